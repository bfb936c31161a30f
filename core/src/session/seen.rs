//! Whom the client sees: who is available, as far as it was told, and from where it was told so.
//!
//! A full JID may pass from one session to another, on another node, and what each of the two says comes by its own way:
//! the farewell of the first may arrive behind the greeting of the second, and would make the client believe that
//! somebody is gone who is there. But a session stays on its node. So who is seen from one node is not gone because
//! another node says so.
//!
//! When a member is lost, the server itself says that its sessions are gone. What such a session had said before may
//! come after that: a farewell from that life of the member repeats what the client knows, and is dropped. When this node
//! leaves a cluster, or another one does, those elsewhere go on: a farewell from another life repeats it as well, if the
//! client has not seen them since. Every other farewell is delivered, however often somebody says it (RFC 6121 section
//! 8.5.2.1.2).
//!
//! Each full JID stands for itself: what one resource says changes nothing for the others of its account.
//!
//! They are kept by where they are, so that the loss of a member costs a session what it has seen of that member, and
//! nothing if that is nothing: in that moment every session of the node is asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::ids::Life;
use crate::jid::{FullJid, Jid};
use crate::limits::{PRESENCE_GONE_MAX, PRESENCE_SEEN_BYTES_MAX, PRESENCE_SEEN_MAX};
use crate::planted;
use crate::routing::Home;
use crate::session::Lost;

/// Where somebody's session is, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
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
    /// Nobody is at two places, and no place is empty. They are as many as there are members at most.
    present: BTreeMap<Origin, BTreeSet<FullJid>>,
    /// How many they are.
    count: usize,
    /// Of their JIDs.
    bytes: usize,
    gone: VecDeque<Gone>,
}

/// Somebody of whom the client was told that he is gone, because he was lost.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Gone {
    jid: FullJid,
    from: Origin,
    /// He goes on where he is, and the client has not been told since that he is there.
    goes_on_unseen: bool,
}

impl Seen {
    /// The client is told that somebody is available. Only who has a resource is.
    pub(super) fn appears(&mut self, jid: &Jid, origin: Origin) {
        self.gone.retain(|gone| gone.jid != *jid || gone.from != origin);
        self.gone.iter_mut().filter(|gone| gone.jid == *jid).for_each(|gone| gone.goes_on_unseen = false);
        match self.origin(jid) {
            Some(known) if known == origin => return,
            Some(_) => self.forget(jid),
            None => {}
        }
        let bytes = self.bytes + jid.as_str().len();
        if self.count < PRESENCE_SEEN_MAX
            && bytes <= PRESENCE_SEEN_BYTES_MAX
            && let Ok(jid) = FullJid::try_from(jid.clone())
        {
            self.present.entry(origin).or_default().insert(jid);
            (self.count, self.bytes) = (self.count + 1, bytes);
        }
    }

    /// Whether the client is to be told that somebody is unavailable, who was there and says so.
    pub(super) fn disappears(&mut self, jid: &Jid, origin: Origin) -> bool {
        let believes_anybody = planted!(StaleFarewellBelieved) || planted!(FarewellOfTheExpelled);
        match self.origin(jid) {
            Some(known) if known != origin && !believes_anybody => false,
            Some(_) => {
                self.forget(jid);
                true
            }
            None => {
                let is_known = |gone: &Gone| gone.jid == *jid && (gone.from == origin || gone.goes_on_unseen);
                believes_anybody || !self.gone.iter().any(is_known)
            }
        }
    }

    /// The client is told of an error: whether somebody is there is not known any more.
    pub(super) fn forget(&mut self, jid: &Jid) {
        let Some(origin) = self.origin(jid) else { return };
        let Some(there) = self.present.get_mut(&origin) else { return };
        there.remove(jid);
        if there.is_empty() {
            self.present.remove(&origin);
        }
        (self.count, self.bytes) = (self.count - 1, self.bytes - jid.as_str().len());
    }

    /// Those whom the client sees and who are lost. It is told that they are gone.
    pub(super) fn lose(&mut self, lost: Lost) -> Vec<FullJid> {
        let origins: Vec<Origin> = match lost {
            Lost::Life(life) | Lost::Left(life) => vec![Origin::Member(life)],
            Lost::AllElsewhere => self.present.keys().filter(|origin| **origin != Origin::Here).copied().collect(),
        };
        let goes_on_unseen = !matches!(lost, Lost::Life(_));
        let mut gone = Vec::new();
        for origin in origins {
            for jid in self.present.remove(&origin).unwrap_or_default() {
                (self.count, self.bytes) = (self.count - 1, self.bytes - jid.as_str().len());
                self.note_gone(Gone { jid: jid.clone(), from: origin, goes_on_unseen });
                gone.push(jid);
            }
        }
        gone
    }

    /// Where somebody is seen.
    fn origin(&self, jid: &Jid) -> Option<Origin> {
        self.present.iter().find(|(_, there)| there.contains(jid)).map(|(origin, _)| *origin)
    }

    fn note_gone(&mut self, gone: Gone) {
        if self.gone.len() == PRESENCE_GONE_MAX {
            self.gone.pop_front();
        }
        self.gone.push_back(gone);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{Incarnation, MemberId};

    const LIFE: Life = Life { member: MemberId(2), incarnation: Incarnation(5) };
    const THERE: Origin = Origin::Member(LIFE);
    const LOST: Lost = Lost::Life(LIFE);

    /// Clustering was switched off and on: she went on in the next life of her node, and says farewell there.
    #[test]
    fn who_went_on_elsewhere_unseen_and_says_farewell_is_gone_already() {
        let next = Origin::Member(Life { incarnation: Incarnation(6), ..LIFE });
        for lost in [Lost::AllElsewhere, Lost::with(LIFE, None)] {
            let mut seen = Seen::default();
            seen.appears(&juliet(), THERE);
            seen.lose(lost);

            assert!(!seen.disappears(&juliet(), next), "{lost:?}");

            seen.appears(&juliet(), next);
            assert!(seen.disappears(&juliet(), next), "she was there again");
            assert!(!seen.disappears(&juliet(), THERE), "it is late");
        }
    }

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

        assert_eq!(seen.lose(LOST), [juliet()]);

        assert!(!seen.disappears(&juliet(), THERE));
        assert!(!seen.disappears(&juliet(), THERE));
        assert!(seen.lose(LOST).is_empty());
    }

    /// O19: the full JID may be somebody's again, who has every right to say farewell.
    #[test]
    fn a_farewell_from_elsewhere_does_not_repeat_what_the_server_said() {
        let next_life = Origin::Member(Life { member: MemberId(2), incarnation: Incarnation(9) });
        for origin in [Origin::Here, next_life] {
            let mut seen = Seen::default();
            seen.appears(&juliet(), THERE);
            seen.lose(LOST);

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
        assert!(seen.disappears(&three, THERE));
        assert_eq!(seen.lose(LOST), [one]);
    }

    #[test]
    fn whoever_was_forgotten_is_not_lost() {
        let mut seen = Seen::default();
        seen.appears(&juliet(), THERE);

        seen.forget(&juliet());

        assert!(seen.lose(LOST).is_empty());
    }

    /// R4.5. Thirty thousand sessions that each look for thirty thousand others keep a node busy in the middle of a
    /// failover: what is not of the member that was lost is not looked at.
    #[test]
    fn a_member_that_is_lost_takes_those_who_were_there_and_nobody_else() {
        let mut seen = Seen::default();
        let elsewhere = Origin::Member(Life { member: MemberId(3), incarnation: Incarnation(6) });
        for number in 0..100 {
            seen.appears(&juliet_at(&number.to_string()), [THERE, elsewhere, Origin::Here][number % 3]);
        }
        let untouched = seen.present[&elsewhere].clone();

        assert_eq!(seen.lose(LOST).len(), 34);
        assert_eq!((&seen.present[&elsewhere], seen.count), (&untouched, 66));
        assert!(seen.lose(Lost::Life(Life { incarnation: Incarnation(9), ..LIFE })).is_empty());

        assert_eq!(seen.lose(Lost::AllElsewhere).len(), 33);
        assert_eq!(seen.present.keys().collect::<Vec<_>>(), [&Origin::Here]);
    }

    #[test]
    fn whoever_goes_from_one_node_to_another_is_lost_with_the_latter() {
        let mut seen = Seen::default();
        seen.appears(&juliet(), THERE);
        seen.appears(&juliet(), Origin::Here);

        assert!(seen.lose(LOST).is_empty());
        assert!(seen.disappears(&juliet(), Origin::Here));
        assert_eq!(seen, Seen::default());
    }

    #[test]
    fn no_more_are_remembered_than_may_be() {
        let mut seen = Seen::default();
        let number = |number: usize| format!("a{number}@capulet.example/x").parse::<FullJid>().unwrap();
        (0..PRESENCE_SEEN_MAX + 10).for_each(|one| seen.appears(&number(one), THERE));
        assert_eq!(seen.count, PRESENCE_SEEN_MAX);
        assert_eq!(seen.lose(LOST).len(), PRESENCE_SEEN_MAX);

        assert_eq!((seen.count, seen.bytes, seen.gone.len()), (0, 0, PRESENCE_GONE_MAX));
    }

    /// O9.
    #[test]
    fn long_addresses_fill_the_memory_before_many_do() {
        let mut seen = Seen::default();
        let number = |number: usize| format!("a@capulet.example/{number:0>1000}").parse::<FullJid>().unwrap();
        (0..2000).for_each(|one| seen.appears(&number(one), THERE));

        let remembered = seen.count;
        assert!(remembered * 1018 <= PRESENCE_SEEN_BYTES_MAX && remembered > 1000, "{remembered}");
        (0..2000).for_each(|one| seen.forget(&number(one)));
        assert_eq!((seen.count, seen.bytes), (0, 0));
    }
}
