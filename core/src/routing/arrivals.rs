//! How far the ended lives of other members had come with what they handed to this node.
//!
//! A home whose life was ended by the others goes on as another life and decides again what it does not know to be
//! settled: the answers may have been lost with its links. Of that, whatever had arrived here is in good hands already
//! and must not be delivered again (promise P3). So a parcel says by which number of which ended life this owner may
//! have it, and this table knows.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, Sequence};
use crate::limits::ENDED_LIVES_MAX;

/// By which name the owner of a parcel may know it already: an ended life of the same home had sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Earlier {
    /// The life that had sent it.
    pub home: BootId,
    /// The life to which it was sent. To any other this says nothing.
    pub owner: BootId,
    /// Its number on the lane between the two.
    pub number: Sequence,
}

/// What had arrived of each ended life, for the latest [`ENDED_LIVES_MAX`] of them.
#[derive(Debug, Default)]
pub struct Arrivals {
    ended: VecDeque<(BootId, Sequence)>,
}

impl Arrivals {
    /// Nothing has arrived of any life that is over.
    pub fn new() -> Self {
        Self::default()
    }

    /// A life is over of which everything up to `received` has arrived.
    pub fn ended(&mut self, home: BootId, received: Sequence) {
        if self.ended.len() == ENDED_LIVES_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back((home, received));
    }

    /// Whether a parcel had arrived before the life that sent it was over.
    pub fn has(&self, earlier: Earlier) -> bool {
        self.ended.iter().any(|(home, received)| *home == earlier.home && earlier.number <= *received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earlier(home: u64, number: u64) -> Earlier {
        Earlier { home: BootId(home), owner: BootId(1), number: Sequence(number) }
    }

    #[test]
    fn what_had_arrived_of_an_ended_life_is_known_and_nothing_else() {
        let mut arrivals = Arrivals::new();
        arrivals.ended(BootId(7), Sequence(3));

        assert!(arrivals.has(earlier(7, 3)));
        assert!(!arrivals.has(earlier(7, 4)));
        assert!(!arrivals.has(earlier(8, 1)));
    }

    #[test]
    fn the_lives_that_are_remembered_are_bounded() {
        let mut arrivals = Arrivals::new();
        for life in 0..=ENDED_LIVES_MAX as u64 {
            arrivals.ended(BootId(life), Sequence(1));
        }

        assert!(!arrivals.has(earlier(0, 1)));
        assert!(arrivals.has(earlier(ENDED_LIVES_MAX as u64, 1)));
    }
}
