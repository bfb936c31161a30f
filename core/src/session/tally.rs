//! Which stanzas of the client the server answers for (XEP-0198 section 4).
//!
//! Stanzas are numbered as they come and are handled in whatever order the nodes answer; the client is told of the
//! longest run from the beginning. Numbers are 64 bits wide, and what the client sees is their difference to the number
//! at which counting began, modulo 2^32.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ids::Sequence;
use crate::planted;

/// Room for so many stanzas that are not handled is kept while there are none.
const IDLE_ROOM: usize = 8;

/// The count of a client's stanzas. Its memory is bounded by what is not handled, however much is handled beyond that.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Stanzas that came.
    received: u64,
    /// Those that are not known to be handled, in order.
    unhandled: VecDeque<Unhandled>,
    /// Their weights.
    unhandled_bytes: usize,
    /// How many had come when the client asked for acknowledgements.
    begun_at: u64,
    /// Those that are handled once the answers in their place are delivered. They are among the unhandled ones.
    withheld: Vec<Sequence>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Unhandled {
    number: u64,
    weight: usize,
}

impl Tally {
    /// A stanza came; gives its number.
    pub(super) fn receive(&mut self) -> Sequence {
        self.received += 1;
        self.unhandled.push_back(Unhandled { number: self.received, weight: 0 });
        Sequence(self.received)
    }

    /// The stanza that came last has this weight until it is handled.
    pub(super) fn weigh(&mut self, weight: usize) {
        if let Some(last) = self.unhandled.back_mut() {
            self.unhandled_bytes += weight;
            last.weight += weight;
        }
    }

    /// A stanza was handled. What was handled before or never came changes nothing.
    pub(super) fn handle(&mut self, number: Sequence) {
        let Ok(at) = self.unhandled.binary_search_by_key(&number.0, |unhandled| unhandled.number) else { return };
        if let Some(handled) = self.unhandled.remove(at) {
            self.unhandled_bytes -= handled.weight;
        }
    }

    /// A stanza was handled, and counts as handled from [`handle_withheld`](Tally::handle_withheld) on.
    pub(super) fn withhold(&mut self, number: Sequence) {
        self.withheld.push(number);
    }

    /// Whatever was answered before is delivered.
    pub(super) fn handle_withheld(&mut self) {
        for number in std::mem::take(&mut self.withheld) {
            self.handle(number);
        }
    }

    /// Counting begins with the next stanza.
    pub(super) fn begin(&mut self) {
        self.begun_at = self.received;
    }

    /// The count that the client is told. Zero as long as stanzas from before the beginning are not handled.
    pub(super) fn acknowledged(&self) -> u32 {
        // Truncation is the wrap at 2^32 that XEP-0198 section 4 asks for.
        let handled = if planted!(AcknowledgedBeforeHandover) { self.received } else { self.handled() };
        handled.saturating_sub(self.begun_at) as u32
    }

    /// The number of the stanza that came last.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Whether all stanzas up to this number are handled.
    pub(super) fn is_handled_up_to(&self, number: u64) -> bool {
        self.handled() >= number || planted!(AcknowledgedBeforeHandover)
    }

    /// How many stanzas came and are not known to be handled.
    pub(super) fn unhandled(&self) -> usize {
        self.unhandled.len()
    }

    /// The weight of the stanzas that came and are not known to be handled.
    pub(super) fn unhandled_bytes(&self) -> usize {
        self.unhandled_bytes
    }

    /// Gives back memory that a burst needed. The little that one stanza after the other needs stays.
    pub(super) fn shrink(&mut self) {
        if self.unhandled.is_empty() && self.unhandled.capacity() > IDLE_ROOM {
            self.unhandled = VecDeque::new();
        }
    }

    /// What the empty queue holds on to.
    #[cfg(test)]
    pub(super) fn capacity_bytes(&self) -> usize {
        self.unhandled.capacity() * size_of::<Unhandled>()
    }

    /// All stanzas up to this one are handled.
    fn handled(&self) -> u64 {
        self.unhandled.front().map_or(self.received, |oldest| oldest.number - 1)
    }
}

/// Requests for a count that wait for it, bounded by [`ACK_REQUESTS_MAX`](crate::limits::ACK_REQUESTS_MAX).
pub(super) type CountRequests = VecDeque<CountRequest>;

/// A request of the client for the count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CountRequest {
    /// The stanza before it.
    pub(super) after: u64,
    /// When it is answered, whatever is handled.
    pub(super) due: crate::time::Uptime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unbroken_run_from_the_beginning_is_acknowledged() {
        let mut tally = Tally::default();
        let numbers: Vec<Sequence> = (0..4).map(|_| tally.receive()).collect();
        assert_eq!(numbers.last(), Some(&Sequence(4)));

        tally.handle(Sequence(2));
        tally.handle(Sequence(4));
        assert_eq!((tally.acknowledged(), tally.unhandled()), (0, 2));

        tally.handle(Sequence(1));
        assert_eq!((tally.acknowledged(), tally.unhandled()), (2, 1));
    }

    #[test]
    fn what_is_handled_twice_or_never_came_changes_nothing() {
        let mut tally = Tally::default();
        tally.receive();

        tally.handle(Sequence(1));
        tally.handle(Sequence(1));
        tally.handle(Sequence(7));

        assert_eq!((tally.acknowledged(), tally.unhandled()), (1, 0));
    }

    #[test]
    fn stanzas_before_the_beginning_do_not_count() {
        let mut tally = Tally::default();
        tally.receive();
        tally.begin();
        tally.receive();

        tally.handle(Sequence(2));
        assert_eq!(tally.acknowledged(), 0);
        tally.handle(Sequence(1));
        assert_eq!(tally.acknowledged(), 1);
    }

    /// O9. One stanza that waits must not make the server keep anything of all that were handled after it.
    #[test]
    fn what_is_handled_beyond_one_that_waits_takes_no_memory_and_has_no_weight() {
        let mut tally = Tally::default();
        tally.receive();
        tally.weigh(1000);

        for _ in 0..100_000 {
            let number = tally.receive();
            tally.weigh(3000);
            tally.handle(number);
        }

        assert_eq!((tally.unhandled(), tally.unhandled_bytes(), tally.acknowledged()), (1, 1000, 0));
        assert!(tally.capacity_bytes() < 1024);
        tally.handle(Sequence(1));
        assert_eq!((tally.unhandled_bytes(), tally.acknowledged()), (0, 100_001));
    }

    #[test]
    fn the_count_wraps_at_two_to_the_thirty_second() {
        let near = u64::from(u32::MAX);
        let mut tally = Tally { received: near, ..Tally::default() };
        assert_eq!(tally.acknowledged(), u32::MAX);

        let number = tally.receive();
        tally.handle(number);

        assert_eq!(tally.acknowledged(), 0);
    }
}
