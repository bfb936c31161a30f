//! Whom the client sees: who is available, as far as it was told, and from where it was told so.
//!
//! A full JID may pass from one session to another, on another node, and what each of the two says comes by its own way:
//! the farewell of the first may arrive behind the greeting of the second, and would make the client believe that
//! somebody is gone who is there. But a session stays on its node. So who is seen from one node is not gone because
//! another node says so.
//!
//! When a member is lost, the server itself says that its sessions are gone. What such a session had said before may
//! come after that: a farewell from that life of the member repeats what the client knows, and is dropped. Every other
//! farewell is delivered, however often somebody says it (RFC 6121 section 8.5.2.1.2).
//!
//! Each full JID stands for itself: what one resource says changes nothing for the others of its account.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::ids::Life;
use crate::jid::{FullJid, Jid};
use crate::limits::{PRESENCE_GONE_MAX, PRESENCE_SEEN_BYTES_MAX, PRESENCE_SEEN_MAX};
use crate::planted;
use crate::routing::Home;

/// Where somebody's session is, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Origin {
    /// On this node.
    Here,
    /// On another one, in that life of it.
    Member(Life),
}

impl Origin {
    /// Of what came from that home.
    pub(super) fn of(home: &Home) -> Origin {
        match home {
            Home::Member { member, incarnation, .. } => {
                Origin::Member(Life { member: *member, incarnation: *incarnation })
            }
            Home::Here { .. } | Home::Named { .. } | Home::Offline { .. } => Origin::Here,
        }
    }
}

/// Who is seen, and whom the server lately said to be gone.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Seen {
    present: BTreeMap<FullJid, Origin>,
    /// Of the JIDs of those who are present.
    present_bytes: usize,
    gone: VecDeque<(FullJid, Origin)>,
}

impl Seen {
    /// The client is told that somebody is available. Only who has a resource is.
    pub(super) fn appears(&mut self, jid: &Jid, origin: Origin) {
        self.gone.retain(|(gone, from)| gone != jid || *from != origin);
        if let Some(known) = self.present.get_mut(jid) {
            *known = origin;
            return;
        }
        let bytes = self.present_bytes + jid.as_str().len();
        if self.present.len() < PRESENCE_SEEN_MAX
            && bytes <= PRESENCE_SEEN_BYTES_MAX
            && let Ok(jid) = FullJid::try_from(jid.clone())
        {
            self.present.insert(jid, origin);
            self.present_bytes = bytes;
        }
    }

    /// Whether the client is to be told that somebody is unavailable, who was there and says so.
    pub(super) fn disappears(&mut self, jid: &Jid, origin: Origin) -> bool {
        let believes_anybody = planted!(StaleFarewellBelieved) || planted!(FarewellOfTheExpelled);
        match self.present.get(jid) {
            Some(known) if *known != origin && !believes_anybody => false,
            Some(_) => {
                self.remove(jid);
                true
            }
            None => believes_anybody || !self.gone.iter().any(|(gone, from)| gone == jid && *from == origin),
        }
    }

    /// The client is told of an error: whether somebody is there is not known any more.
    pub(super) fn forget(&mut self, jid: &Jid) {
        self.remove(jid);
    }

    /// Those of these whom the client sees. It is told that they are gone.
    pub(super) fn lost_among(&mut self, gone: &BTreeSet<FullJid>) -> Vec<FullJid> {
        let mut lost = Vec::new();
        for jid in gone {
            if let Some(origin) = self.remove(jid) {
                self.note_gone(jid, origin);
                lost.push(jid.clone());
            }
        }
        lost
    }

    fn remove(&mut self, jid: &Jid) -> Option<Origin> {
        let origin = self.present.remove(jid)?;
        self.present_bytes -= jid.as_str().len();
        Some(origin)
    }

    fn note_gone(&mut self, jid: &FullJid, origin: Origin) {
        if self.gone.len() == PRESENCE_GONE_MAX {
            self.gone.pop_front();
        }
        self.gone.push_back((jid.clone(), origin));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{Incarnation, MemberId};

    const THERE: Origin = Origin::Member(Life { member: MemberId(2), incarnation: Incarnation(5) });

    fn juliet() -> FullJid {
        juliet_at("balcony")
    }

    fn juliet_at(resource: &str) -> FullJid {
        format!("juliet@capulet.example/{resource}").parse().unwrap()
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

    /// O19.
    #[test]
    fn what_somebody_says_again_is_told_again() {
        let mut seen = Seen::default();
        for origin in [Origin::Here, Origin::Here, THERE, THERE] {
            assert!(seen.disappears(&juliet(), origin));
        }
    }

    /// O19.
    #[test]
    fn whoever_the_server_said_is_gone_is_not_gone_twice() {
        let mut seen = Seen::default();
        seen.appears(&juliet(), THERE);

        assert_eq!(seen.lost_among(&BTreeSet::from([juliet()])), [juliet()]);

        assert!(!seen.disappears(&juliet(), THERE));
        assert!(!seen.disappears(&juliet(), THERE));
        assert!(seen.lost_among(&BTreeSet::from([juliet()])).is_empty());
    }

    /// O19: the full JID may be somebody's again, who has every right to say farewell.
    #[test]
    fn a_farewell_from_elsewhere_does_not_repeat_what_the_server_said() {
        let next_life = Origin::Member(Life { member: MemberId(2), incarnation: Incarnation(9) });
        for origin in [Origin::Here, next_life] {
            let mut seen = Seen::default();
            seen.appears(&juliet(), THERE);
            seen.lost_among(&BTreeSet::from([juliet()]));

            assert!(seen.disappears(&juliet(), origin), "{origin:?}");
        }
    }

    /// T20.
    #[test]
    fn one_resource_takes_nothing_from_the_others() {
        let mut seen = Seen::default();
        let [one, two, three] = ["one", "two", "three"].map(juliet_at);
        [&one, &two, &three].into_iter().for_each(|jid| seen.appears(jid, THERE));

        assert!(seen.disappears(&two, THERE));
        assert_eq!(seen.lost_among(&BTreeSet::from([one, two])), [juliet_at("one")]);
        assert!(seen.disappears(&three, THERE));
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
        let lost = (0..PRESENCE_GONE_MAX + 10).map(number).collect();
        assert_eq!(seen.lost_among(&lost).len(), PRESENCE_GONE_MAX + 10);

        assert_eq!(seen.present.len() + PRESENCE_GONE_MAX + 10, PRESENCE_SEEN_MAX);
        assert_eq!(seen.gone.len(), PRESENCE_GONE_MAX);
    }

    /// O9.
    #[test]
    fn long_addresses_fill_the_memory_before_many_do() {
        let mut seen = Seen::default();
        let number = |number: usize| format!("a@capulet.example/{number:0>1000}").parse::<FullJid>().unwrap();
        (0..2000).for_each(|one| seen.appears(&number(one), THERE));

        let remembered = seen.present.len();
        assert!(remembered * 1018 <= PRESENCE_SEEN_BYTES_MAX && remembered > 1000, "{remembered}");
        (0..2000).for_each(|one| seen.forget(&number(one)));
        assert_eq!(seen.present_bytes, 0);
    }
}
