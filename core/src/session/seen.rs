//! Whom the client sees: who is available, as far as it was told, and from where it was told so.
//!
//! A full JID may pass from one session to another, on another node, and what each of the two says comes by its own way:
//! the farewell of the first may arrive behind the greeting of the second, and would make the client believe that
//! somebody is gone who is there. But a session stays on its node. So who is seen from one node is not gone because
//! another node says so; and whoever was said to be gone is not said to be gone again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::ids::MemberId;
use crate::jid::{FullJid, Jid};
use crate::limits::{PRESENCE_GONE_MAX, PRESENCE_SEEN_MAX};
use crate::planted;
use crate::routing::Home;

/// Where somebody's session is, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Origin {
    /// On this node.
    Here,
    /// On another one.
    Member(MemberId),
}

impl Origin {
    /// Of what came from that home.
    pub(super) fn of(home: &Home) -> Origin {
        match home {
            Home::Member { member, .. } => Origin::Member(*member),
            Home::Here { .. } | Home::Named { .. } | Home::Offline { .. } => Origin::Here,
        }
    }
}

/// Who is seen, and who was lately.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Seen {
    present: BTreeMap<FullJid, Origin>,
    gone: VecDeque<FullJid>,
}

impl Seen {
    /// The client is told that somebody is available. Only who has a resource is.
    pub(super) fn appears(&mut self, jid: &Jid, origin: Origin) {
        self.gone.retain(|gone| gone != jid);
        if let Some(known) = self.present.get_mut(jid) {
            *known = origin;
        } else if self.present.len() < PRESENCE_SEEN_MAX
            && let Ok(jid) = FullJid::try_from(jid.clone())
        {
            self.present.insert(jid, origin);
        }
    }

    /// Whether the client is to be told that somebody is unavailable, who was there and says so.
    pub(super) fn disappears(&mut self, jid: &Jid, origin: Origin) -> bool {
        let believes_anybody = planted!(StaleFarewellBelieved) || planted!(FarewellOfTheExpelled);
        match self.present.get(jid) {
            Some(known) if *known != origin && !believes_anybody => false,
            Some(_) => {
                self.loses(jid);
                true
            }
            None if self.gone.iter().any(|gone| gone == jid) && !believes_anybody => false,
            None => {
                self.note_gone(jid);
                true
            }
        }
    }

    /// The client is told of an error: whether somebody is there is not known any more.
    pub(super) fn forget(&mut self, jid: &Jid) {
        self.present.remove(jid);
    }

    /// Those of these whom the client sees. It is told that they are gone.
    pub(super) fn lost_among(&mut self, gone: &BTreeSet<FullJid>) -> Vec<FullJid> {
        let lost: Vec<FullJid> = gone.iter().filter(|jid| self.present.contains_key(*jid)).cloned().collect();
        lost.iter().for_each(|jid| self.loses(jid));
        lost
    }

    fn loses(&mut self, jid: &Jid) {
        self.present.remove(jid);
        self.note_gone(jid);
    }

    fn note_gone(&mut self, jid: &Jid) {
        let Ok(jid) = FullJid::try_from(jid.clone()) else { return };
        if self.gone.len() == PRESENCE_GONE_MAX {
            self.gone.pop_front();
        }
        self.gone.push_back(jid);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const THERE: Origin = Origin::Member(MemberId(2));

    fn juliet() -> FullJid {
        "juliet@capulet.example/balcony".parse().unwrap()
    }

    #[test]
    fn who_comes_and_goes_is_told_each_time() {
        let mut seen = Seen::default();
        for _ in 0..2 {
            seen.appears(&juliet(), THERE);
            assert!(seen.disappears(&juliet(), THERE));
        }
    }

    #[test]
    fn who_was_replaced_does_not_say_that_the_new_one_is_gone() {
        let mut seen = Seen::default();
        seen.appears(&juliet(), THERE);
        seen.appears(&juliet(), Origin::Here);

        assert!(!seen.disappears(&juliet(), THERE));
        assert!(seen.disappears(&juliet(), Origin::Here));
    }

    #[test]
    fn nobody_is_gone_twice() {
        let mut seen = Seen::default();
        assert!(seen.disappears(&juliet(), Origin::Here), "it may have been seen before");
        assert!(!seen.disappears(&juliet(), THERE));

        seen.appears(&juliet(), THERE);
        assert_eq!(seen.lost_among(&BTreeSet::from([juliet()])), [juliet()]);
        assert!(!seen.disappears(&juliet(), THERE));
        assert!(seen.lost_among(&BTreeSet::from([juliet()])).is_empty());
    }

    #[test]
    fn whoever_was_forgotten_is_not_lost() {
        let mut seen = Seen::default();
        seen.appears(&juliet(), THERE);

        seen.forget(&juliet());

        assert!(seen.lost_among(&BTreeSet::from([juliet()])).is_empty());
    }

    #[test]
    fn no_more_are_remembered_than_may_be() {
        let mut seen = Seen::default();
        let number = |number: usize| format!("a{number}@capulet.example/x").parse::<FullJid>().unwrap();
        (0..PRESENCE_SEEN_MAX + 10).for_each(|one| seen.appears(&number(one), THERE));
        (0..PRESENCE_GONE_MAX + 10).for_each(|one| assert!(seen.disappears(&number(one), THERE)));

        assert_eq!(seen.present.len() + PRESENCE_GONE_MAX + 10, PRESENCE_SEEN_MAX);
        assert_eq!(seen.gone.len(), PRESENCE_GONE_MAX);
    }
}
