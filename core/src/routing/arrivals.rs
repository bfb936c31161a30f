//! What a stanza was called before, so that whoever has it already knows it again.
//!
//! Two members hold a stanza until it is settled. When the life of one ends while its process goes on, or when one copy
//! of several comes back, more than one may decide about it anew, and each says by which name it was known. Three places
//! know names again: the owner to whom it had been sent under that name, every node that has taken it for the same route
//! under that name, and the store.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, RouteId, Sequence};
use crate::limits::{ENDED_LIVES_MAX, NAMES_MAX};
use crate::{planted, sometimes};

/// The name under which a stanza was in two hands for the first time. It keeps it, whoever decides about it later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct StanzaName {
    /// The life that had sent it.
    pub home: BootId,
    /// The life to which it was sent. The home itself if it was given to several sessions at once.
    pub owner: BootId,
    /// Its number on the lane between the two, or among what the home gave to several.
    pub number: Sequence,
}

impl StanzaName {
    /// As bytes that are equal only for the same name.
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        for (part, number) in bytes.chunks_exact_mut(8).zip([self.home.0, self.owner.0, self.number.0]) {
            part.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }
}

/// What had arrived of each ended life, for the latest [`ENDED_LIVES_MAX`] of them, and the latest [`NAMES_MAX`] names
/// that sessions of this node were given. What is older is forgotten: then a stanza may be delivered twice.
#[derive(Debug)]
pub struct Arrivals {
    me: BootId,
    ended: VecDeque<(BootId, Sequence)>,
    named: BTreeSet<(StanzaName, RouteId)>,
    oldest: VecDeque<(StanzaName, RouteId)>,
}

impl Arrivals {
    /// Nothing has arrived at this life.
    pub fn new(me: BootId) -> Self {
        Arrivals { me, ended: VecDeque::new(), named: BTreeSet::new(), oldest: VecDeque::new() }
    }

    /// A life is over of which everything up to `received` has arrived.
    pub fn ended(&mut self, home: BootId, received: Sequence) {
        if self.ended.len() == ENDED_LIVES_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back((home, received));
    }

    /// Whether this life is to take a stanza of that name, which another one has sent, for this route: it does not if it has
    /// taken charge of it before.
    pub fn takes(&mut self, name: StanzaName, route: RouteId) -> bool {
        let had_arrived = self.ended.iter().any(|(home, received)| *home == name.home && name.number <= *received);
        if name.owner == self.me && had_arrived && !planted!(EarlierLifeForgotten) {
            sometimes!("a_parcel_had_arrived_in_an_earlier_life");
            return false;
        }
        self.gives(name, route)
    }

    /// Whether a session of this node is to be given a stanza of that name about which this life itself has decided: not
    /// if the session was before. What has arrived here of a life that is over is in the hands of this one.
    pub fn gives(&mut self, name: StanzaName, route: RouteId) -> bool {
        if !self.named.insert((name, route)) && !planted!(NameForgotten) {
            sometimes!("a_session_has_it_by_that_name_already");
            return false;
        }
        if self.oldest.len() == NAMES_MAX
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.named.remove(&oldest);
        }
        self.oldest.push_back((name, route));
        true
    }

    /// The session was not there, or went without it: it may come again.
    pub fn came_back(&mut self, name: StanzaName, route: RouteId) {
        self.named.remove(&(name, route));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LogIndex;

    const ME: BootId = BootId(1);
    const ROUTE: RouteId = RouteId { index: LogIndex(7), position: 0 };
    const OTHER: RouteId = RouteId { index: LogIndex(8), position: 0 };

    fn name(home: u64, number: u64) -> StanzaName {
        StanzaName { home: BootId(home), owner: ME, number: Sequence(number) }
    }

    #[test]
    fn what_had_arrived_of_an_ended_life_is_known_and_nothing_else() {
        let mut arrivals = Arrivals::new(ME);
        arrivals.ended(BootId(7), Sequence(3));

        assert!(!arrivals.takes(name(7, 3), ROUTE));
        assert!(arrivals.takes(name(7, 4), ROUTE));
        assert!(arrivals.takes(name(8, 1), ROUTE));
        assert!(arrivals.takes(StanzaName { owner: BootId(2), ..name(7, 3) }, ROUTE), "it had gone to somebody else");
    }

    /// P2. Found by the simulator: what this node had been left by a home that died was not given to its own sessions.
    #[test]
    fn what_had_arrived_of_an_ended_life_is_given_to_a_session_once_by_who_is_in_charge_of_it() {
        let mut arrivals = Arrivals::new(ME);
        arrivals.ended(BootId(7), Sequence(3));

        assert!(arrivals.gives(name(7, 3), ROUTE));
        assert!(!arrivals.gives(name(7, 3), ROUTE));
        assert!(!arrivals.takes(name(7, 3), OTHER), "nobody else is in charge of it");
    }

    #[test]
    fn a_name_is_taken_once_for_each_route() {
        let mut arrivals = Arrivals::new(ME);

        assert!(arrivals.takes(name(7, 1), ROUTE));
        assert!(!arrivals.takes(name(7, 1), ROUTE));
        assert!(arrivals.takes(name(7, 1), OTHER));
    }

    #[test]
    fn what_came_back_may_come_again() {
        let mut arrivals = Arrivals::new(ME);
        arrivals.takes(name(7, 1), ROUTE);

        arrivals.came_back(name(7, 1), ROUTE);

        assert!(arrivals.takes(name(7, 1), ROUTE));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut arrivals = Arrivals::new(ME);
        for number in 0..=ENDED_LIVES_MAX as u64 {
            arrivals.ended(BootId(number + 10), Sequence(1));
        }
        for number in 0..=NAMES_MAX as u64 {
            arrivals.takes(name(5, number), ROUTE);
        }

        assert!(arrivals.takes(name(10, 1), ROUTE));
        assert!(!arrivals.takes(name(10 + ENDED_LIVES_MAX as u64, 1), ROUTE));
        assert_eq!((arrivals.named.len(), arrivals.oldest.len()), (NAMES_MAX, NAMES_MAX));
    }

    #[test]
    fn different_names_are_different_bytes() {
        let names = [name(1, 2), name(2, 1), StanzaName { owner: BootId(2), ..name(1, 2) }];
        assert_eq!(names.map(StanzaName::to_bytes).into_iter().collect::<BTreeSet<_>>().len(), 3);
    }
}
