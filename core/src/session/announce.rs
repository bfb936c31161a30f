//! What routing is told of a session's presence, one agreement at a time.
//!
//! While an announcement is on its way the next changes gather into one, so a client whose presence flaps costs the
//! cluster one entry per round. What waits for an announcement takes its turn in the order in which it came.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::cluster::RoutePresence;
use crate::ids::Sequence;
use crate::stanza::Stanza;

/// What is done once an announcement is known everywhere.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Next {
    /// Broadcasts this presence of the client.
    Broadcast {
        /// Its number.
        number: Sequence,
        /// The presence.
        presence: Stanza,
    },
    /// Answers this request for the roster.
    LoadRoster {
        /// Its number.
        number: Sequence,
        /// The request.
        iq: Stanza,
    },
    /// Broadcasts the presence that the client has.
    BroadcastAgain,
}

/// An announcement to order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Announcement {
    pub(super) presence: RoutePresence,
    pub(super) revision: u64,
}

/// What routing was told, is to be told, and what waits for that. Bounded by the stanzas of the client that are not
/// handled.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Announcer {
    wanted: RoutePresence,
    ordered: RoutePresence,
    /// Of the last announcement that was ordered.
    revision: u64,
    in_flight: bool,
    /// With the revision for which it waits, which never falls.
    waiting: VecDeque<(u64, Next)>,
}

impl Announcer {
    /// What routing is to know in the end.
    pub(super) fn wanted(&self) -> RoutePresence {
        self.wanted
    }

    /// Wants routing to know this presence, and then `next` to be done. Gives the announcement that has to be ordered, if
    /// any; then [`Announcer::due`] may have something.
    pub(super) fn want(&mut self, presence: RoutePresence, next: Next) -> Option<Announcement> {
        self.wanted = presence;
        let behind = self.waiting.back().map_or(self.revision, |(revision, _)| *revision);
        let unordered = self.wanted != self.ordered || behind > self.revision;
        let revision = if unordered { self.revision + 1 } else { behind };
        self.waiting.push_back((revision, next));
        self.order()
    }

    /// The announcement of this revision is known everywhere. Gives the one that has to be ordered next, if any.
    pub(super) fn announced(&mut self, revision: u64) -> Option<Announcement> {
        self.announced_at_the_end(revision);
        self.order()
    }

    /// The session holds its JID by another route, of whose presence nothing is known: wants routing to know what it is to
    /// know, and then what waited, and `next`, to be done.
    pub(super) fn begin_again(&mut self, next: Option<Next>) -> Option<Announcement> {
        let awaited = self.revision + 1;
        self.waiting.iter_mut().for_each(|(revision, _)| *revision = awaited);
        self.waiting.extend(next.map(|next| (awaited, next)));
        self.ordered = RoutePresence::default();
        self.in_flight = false;
        self.order()
    }

    /// What can be done now.
    pub(super) fn due(&mut self) -> Option<Next> {
        let known = if self.in_flight { self.revision - 1 } else { self.revision };
        let (revision, _) = self.waiting.front()?;
        if *revision > known {
            return None;
        }
        self.waiting.pop_front().map(|(_, next)| next)
    }

    /// The session is over: nothing waits for an announcement any more.
    pub(super) fn end(&mut self) {
        self.waiting.clear();
    }

    /// As [`announced`](Announcer::announced), when the session is over: what was to follow is not ordered.
    pub(super) fn announced_at_the_end(&mut self, revision: u64) {
        if revision == self.revision {
            self.in_flight = false;
        }
    }

    /// Wants nobody to be sent by this route any more. Gives the announcement that has to be ordered, if any: none while
    /// another one is under way.
    pub(super) fn retreat(&mut self) -> Option<Announcement> {
        self.wanted = RoutePresence::default();
        self.order()
    }

    /// Whether routing knows everything that it is to know.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && !self.in_flight && self.wanted == self.ordered
    }

    fn order(&mut self) -> Option<Announcement> {
        let awaited = self.waiting.back().is_some_and(|(revision, _)| *revision > self.revision);
        if self.in_flight || !(awaited || self.wanted != self.ordered) {
            return None;
        }
        self.in_flight = true;
        self.revision += 1;
        self.ordered = self.wanted;
        Some(Announcement { presence: self.ordered, revision: self.revision })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::{Kind, PresenceType};

    #[test]
    fn what_waits_is_due_when_its_announcement_is_known() {
        let mut announcer = Announcer::default();

        let ordered = announcer.want(presence(1), next(1));
        assert_eq!(ordered, Some(Announcement { presence: presence(1), revision: 1 }));
        assert_eq!(announcer.due(), None);

        assert_eq!(announcer.announced(1), None);
        assert_eq!(announcer.due(), Some(next(1)));
        assert_eq!(announcer.due(), None);
    }

    #[test]
    fn nothing_is_announced_twice() {
        let mut announcer = Announcer::default();
        announcer.want(presence(1), next(1));
        announcer.announced(1);
        announcer.due();

        assert_eq!(announcer.want(presence(1), next(2)), None);
        assert_eq!(announcer.due(), Some(next(2)));
    }

    #[test]
    fn changes_gather_while_one_is_on_its_way() {
        let mut announcer = Announcer::default();
        announcer.want(presence(1), next(1));
        assert_eq!(announcer.want(presence(2), next(2)), None);
        assert_eq!(announcer.want(presence(3), next(3)), None);

        assert_eq!(announcer.announced(1), Some(Announcement { presence: presence(3), revision: 2 }));
        assert_eq!(announcer.due(), Some(next(1)));
        assert_eq!(announcer.due(), None);
        assert_eq!(announcer.announced(2), None);
        assert_eq!((announcer.due(), announcer.due()), (Some(next(2)), Some(next(3))));
    }

    /// A presence that goes away and comes back while the first one is on its way is still done in order.
    #[test]
    fn what_goes_back_to_what_was_ordered_waits_its_turn() {
        let mut announcer = Announcer::default();
        announcer.want(presence(1), next(1));
        announcer.want(presence(2), next(2));
        announcer.want(presence(1), next(3));

        assert_eq!(announcer.announced(1), Some(Announcement { presence: presence(1), revision: 2 }));
        assert_eq!((announcer.due(), announcer.due()), (Some(next(1)), None));
        announcer.announced(2);
        assert_eq!((announcer.due(), announcer.due()), (Some(next(2)), Some(next(3))));
    }

    /// The answer to what was announced of the route before it does not come any more, or means nothing.
    #[test]
    fn on_another_route_everything_is_announced_again_before_what_waited_is_done() {
        let mut announcer = Announcer::default();
        announcer.want(presence(1), next(1));
        announcer.want(presence(2), next(2));

        let again = announcer.begin_again(Some(Next::BroadcastAgain));

        assert_eq!(again, Some(Announcement { presence: presence(2), revision: 2 }));
        assert_eq!((announcer.announced(1), announcer.due()), (None, None));
        announcer.announced(2);
        let due = [announcer.due(), announcer.due(), announcer.due(), announcer.due()];
        assert_eq!(due, [Some(next(1)), Some(next(2)), Some(Next::BroadcastAgain), None]);
        assert_eq!(Announcer::default().begin_again(None), None);
    }

    #[test]
    fn an_answer_to_an_older_announcement_changes_nothing() {
        let mut announcer = Announcer::default();
        announcer.want(presence(1), next(1));
        announcer.announced(1);
        announcer.due();
        announcer.want(presence(2), next(2));

        assert_eq!(announcer.announced(1), None);
        assert_eq!(announcer.due(), None);
    }

    fn presence(priority: i8) -> RoutePresence {
        RoutePresence { priority: Some(priority), interested: false }
    }

    fn next(number: u64) -> Next {
        Next::Broadcast { number: Sequence(number), presence: Stanza::new(Kind::Presence(PresenceType::Available)) }
    }
}
