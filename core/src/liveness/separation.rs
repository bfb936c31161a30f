//! Who has to stop if two members hear the leader and do not hear each other?
//!
//! What is said at the one to somebody at the other would wait for as long as the cut lasts, for both are members in
//! good standing. So every member tells the leader whom of the active ones it does not hear, and the leader sets as few
//! as possible apart, so that all others hear each other. Who is set apart is granted no lease, is expelled as if it
//! were silent, and serves again when it hears everybody who serves.
//!
//! The choice lasts until the cut is over: a cut that changes its mind would stop one member after the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Incarnation, MemberId};
use crate::planted;

/// What the leader is told of cuts between others.
#[derive(Clone, Debug, Default)]
pub struct Separation {
    unheard: BTreeMap<MemberId, BTreeSet<MemberId>>,
    apart: BTreeSet<MemberId>,
}

impl Separation {
    /// Everybody hears everybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// A member says whom it does not hear, at this moment.
    pub fn reported(&mut self, by: MemberId, unheard: BTreeSet<MemberId>) {
        if unheard.is_empty() {
            self.unheard.remove(&by);
        } else {
            self.unheard.insert(by, unheard);
        }
    }

    /// The life of a member is over: what it said counts no more.
    pub fn forget(&mut self, member: MemberId) {
        self.unheard.remove(&member);
        self.apart.remove(&member);
    }

    /// Chooses anew among the active members that the leader hears; `leader` itself stays. Of two that hear equally many, the one that has
    /// served longer stays.
    pub fn choose(&mut self, leader: MemberId, active: &BTreeMap<MemberId, Incarnation>) {
        if planted!(SeparationIgnored) || (self.unheard.is_empty() && self.apart.is_empty()) {
            return;
        }
        let mut apart = std::mem::take(&mut self.apart);
        apart.retain(|id| active.contains_key(id) && *id != leader);
        loop {
            let cuts = active.keys().filter(|id| !apart.contains(id));
            let cuts = cuts.map(|id| (self.cuts(*id, active, &apart), *id != leader, active[id], *id));
            match cuts.filter(|(cuts, may_stop, ..)| *cuts > 0 && *may_stop).max() {
                Some((.., worst)) => apart.insert(worst),
                None => break,
            };
        }
        let needless = |id: &MemberId| self.cuts(*id, active, &apart) == 0;
        self.apart = apart.iter().filter(|id| !needless(id)).copied().collect();
    }

    /// Whether this member has to stop.
    pub fn is_apart(&self, member: MemberId) -> bool {
        self.apart.contains(&member)
    }

    /// From how many of those who may go on a member is cut off.
    fn cuts(&self, id: MemberId, active: &BTreeMap<MemberId, Incarnation>, apart: &BTreeSet<MemberId>) -> usize {
        let others = active.keys().filter(|other| **other != id && !apart.contains(other));
        others.filter(|other| self.says(id, **other) || self.says(**other, id)).count()
    }

    fn says(&self, one: MemberId, other: MemberId) -> bool {
        self.unheard.get(&one).is_some_and(|unheard| unheard.contains(&other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(count: u64) -> BTreeMap<MemberId, Incarnation> {
        (1..=count).map(|id| (MemberId(id), Incarnation(id))).collect()
    }

    fn says(separation: &mut Separation, by: u64, unheard: &[u64]) {
        separation.reported(MemberId(by), unheard.iter().copied().map(MemberId).collect());
    }

    fn apart(separation: &Separation, count: u64) -> Vec<u64> {
        (1..=count).filter(|id| separation.is_apart(MemberId(*id))).collect()
    }

    #[test]
    fn of_two_that_do_not_hear_each_other_the_younger_stops() {
        let mut separation = Separation::new();
        says(&mut separation, 1, &[3]);

        separation.choose(MemberId(2), &active(3));

        assert_eq!(apart(&separation, 3), [3]);
    }

    #[test]
    fn the_leader_stays() {
        let mut separation = Separation::new();
        says(&mut separation, 1, &[3]);

        separation.choose(MemberId(3), &active(3));

        assert_eq!(apart(&separation, 3), [1]);
    }

    #[test]
    fn whoever_hears_fewest_stops_first() {
        let mut separation = Separation::new();
        says(&mut separation, 2, &[4, 5]);
        says(&mut separation, 4, &[2]);

        separation.choose(MemberId(1), &active(5));

        assert_eq!(apart(&separation, 5), [2]);
    }

    #[test]
    fn the_choice_lasts_as_long_as_the_cut_and_no_longer() {
        let mut separation = Separation::new();
        says(&mut separation, 2, &[3]);
        separation.choose(MemberId(1), &active(3));
        assert_eq!(apart(&separation, 3), [3]);

        separation.choose(MemberId(3), &active(3));
        assert_eq!(apart(&separation, 3), [2], "member 3 leads now");
        separation.choose(MemberId(1), &active(3));
        assert_eq!(apart(&separation, 3), [2], "and has led");

        says(&mut separation, 2, &[]);
        separation.choose(MemberId(1), &active(3));
        assert_eq!(apart(&separation, 3), [0; 0]);
    }
}
