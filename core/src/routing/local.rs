//! The routes of this node's own sessions, and what comes for them from other members.
//!
//! ```text
//! a parcel ──deliver──▶ session | early (its route is not applied here yet) | missed (it goes back)
//! the log  ──route_added──▶ what came early, in order        applied──▶ what is missed after all
//!          ──route_removed, life_ended──▶ who is told
//! ```
//!
//! A sender may have seen more of the log than this node. What it sends by a route that is not applied here waits.
//!
//! The invariant: the parcels of one route reach their session in the order in which they came (P4). So what came early
//! is left with the session in the same step in which the session is found by its route. Threads that share this machine
//! share it behind one lock, and hold it from [`LocalRoutes::route_added`] until what came early is in the mailbox.
//!
//! It does not know whether a mailbox takes anything still: its caller says so by [`LocalRoutes::turned_away`].

use std::collections::{BTreeMap, VecDeque};

use crate::cluster::{Removal, Route};
use crate::ids::{Life, LogIndex, MemberId, RouteId};
use crate::limits::EARLY_BYTES_MAX;
use crate::routing::parcel::Parcel;
use crate::{planted, sometimes};

/// Which session of this node holds which route. `S` is how the caller knows a session.
#[derive(Debug)]
pub struct LocalRoutes<S> {
    me: MemberId,
    applied: LogIndex,
    by_route: BTreeMap<RouteId, S>,
    /// At most [`EARLY_BYTES_MAX`] of them; beyond it they are missed.
    early: BTreeMap<RouteId, VecDeque<Parcel>>,
    early_bytes: usize,
    is_leaving: bool,
}

/// What becomes of a parcel of another member.
#[derive(PartialEq, Eq, Debug)]
pub enum Arrival<S> {
    /// It is for this session.
    Here(S, Parcel),
    /// It waits until this node knows its route.
    Early,
    /// It goes back.
    Missed(Missed),
}

/// A parcel for a session that is not here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missed {
    /// The parcel.
    pub parcel: Parcel,
    /// The state of this node by which the session is not here.
    pub index: LogIndex,
}

/// What a route that is not agreed on any more means for this node.
#[derive(PartialEq, Eq, Debug)]
pub enum RouteEnd<S> {
    /// Its session goes on with it until it is told to move: it is looked up as before.
    Kept,
    /// It is not looked up any more, and no session of this node is concerned.
    Gone,
    /// As [`RouteEnd::Gone`], and this session is told.
    Told {
        /// Which.
        session: S,
        /// Somebody else may hold its JID from this moment on, so it writes nothing but its farewell.
        is_revoked: bool,
    },
}

impl<S: Clone> LocalRoutes<S> {
    /// No session of this member holds a route.
    pub fn new(me: MemberId) -> Self {
        LocalRoutes {
            me,
            applied: LogIndex(0),
            by_route: BTreeMap::new(),
            early: BTreeMap::new(),
            early_bytes: 0,
            is_leaving: false,
        }
    }

    /// The session that holds this route, or has held it and is not over.
    pub fn session(&self, route: RouteId) -> Option<&S> {
        self.by_route.get(&route)
    }

    /// A parcel came from another member.
    #[must_use]
    pub fn deliver(&mut self, parcel: Parcel) -> Arrival<S> {
        match self.by_route.get(&parcel.route) {
            Some(session) => Arrival::Here(session.clone(), parcel),
            None => self.turned_away(parcel).map_or(Arrival::Early, Arrival::Missed),
        }
    }

    /// The session that holds the route of this parcel is over, or there is none: the parcel waits, or goes back.
    #[must_use]
    pub fn turned_away(&mut self, parcel: Parcel) -> Option<Missed> {
        if parcel.route.index <= self.applied {
            sometimes!("a_parcel_misses_its_session");
            return Some(self.missed(parcel));
        }
        sometimes!("a_parcel_comes_before_its_route");
        let bytes = self.early_bytes + parcel.stanza.weight();
        if bytes > EARLY_BYTES_MAX {
            sometimes!("too_much_comes_before_its_route");
            return Some(self.missed(parcel));
        }
        self.early_bytes = bytes;
        self.early.entry(parcel.route).or_default().push_back(parcel);
        None
    }

    /// The first route for which parcels wait that this node does not know.
    pub fn early(&self) -> Option<RouteId> {
        self.early.keys().next().copied()
    }

    /// A route was agreed on; `session` holds it if it is of this node and the session is not over. Answers with what came
    /// for it before, in order: the caller leaves it with the session before it asks anything else.
    #[must_use]
    pub fn route_added(&mut self, route: &Route, session: Option<S>) -> VecDeque<Parcel> {
        let Some(session) = session.filter(|_| route.member == self.me) else { return VecDeque::new() };
        self.by_route.insert(route.id, session);
        let early = self.early.remove(&route.id).unwrap_or_default();
        self.early_bytes -= early.iter().map(|parcel| parcel.stanza.weight()).sum::<usize>();
        early
    }

    /// A route is not agreed on any more.
    pub fn route_removed(&mut self, route: &Route, reason: Removal) -> RouteEnd<S> {
        let has_member_ended = reason == Removal::MemberEnded;
        if route.member != self.me {
            return RouteEnd::Gone;
        }
        if has_member_ended && self.is_leaving {
            return RouteEnd::Kept;
        }
        let Some(session) = self.by_route.get(&route.id).cloned() else { return RouteEnd::Gone };
        match reason {
            Removal::Replaced { .. } if planted!(ReplacedSessionStays) => RouteEnd::Gone,
            Removal::Replaced { .. } | Removal::MemberEnded => RouteEnd::Told { session, is_revoked: true },
            Removal::Unbound => RouteEnd::Told { session, is_revoked: false },
        }
    }

    /// The life of a member is over, and all its routes were removed. Answers with the life of which every session is to
    /// hear that it is lost, if it was another member's: also if no route was left, because the farewell of one that was
    /// given back a moment before may have gone with it.
    #[must_use]
    pub fn life_ended(&self, life: Life) -> Option<Life> {
        if life.member == self.me || planted!(UnavailableNever) {
            return None;
        }
        sometimes!("sessions_are_told_who_is_gone");
        Some(life)
    }

    /// Everything up to this position of the log was told. Answers with what goes back: what waited for routes that are not
    /// here even so, or whose sessions were over by then. That of one route is in order.
    #[must_use]
    pub fn applied(&mut self, index: LogIndex) -> Vec<Missed> {
        self.applied = self.applied.max(index);
        let mut known = Vec::new();
        while let Some(first) = self.early.first_entry().filter(|first| first.key().index <= self.applied) {
            known.extend(first.remove());
        }
        self.early_bytes -= known.iter().map(|parcel| parcel.stanza.weight()).sum::<usize>();
        known.into_iter().map(|parcel| self.missed(parcel)).collect()
    }

    /// A session is over and its mailbox closed.
    pub fn session_over(&mut self, route: RouteId) {
        self.by_route.remove(&route);
    }

    /// This life of the node is about to end, and its sessions are to go on.
    pub fn leave(&mut self) {
        self.is_leaving = true;
    }

    /// This life of the node is over. Those who had sent what waits here decide about it again, and the next life does not
    /// answer for it.
    pub fn life_over(&mut self) {
        self.early.clear();
        self.early_bytes = 0;
    }

    /// The sessions go on in another life of the node, whose log begins after `begin`. Answers with the routes that they
    /// held.
    #[must_use]
    pub fn move_on(&mut self, begin: LogIndex) -> BTreeMap<RouteId, S> {
        self.life_over();
        self.is_leaving = false;
        self.applied = begin;
        std::mem::take(&mut self.by_route)
    }

    fn missed(&self, parcel: Parcel) -> Missed {
        Missed { parcel, index: self.applied }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cluster::RoutePresence;
    use crate::ids::{Incarnation, Sequence, SessionId};
    use crate::routing::parcel::Home;
    use crate::stanza::{Kind, MessageType, Stanza};

    const ME: MemberId = MemberId(2);
    const OTHER: MemberId = MemberId(1);

    #[test]
    fn a_parcel_goes_to_the_session_that_holds_its_route() {
        let mut local = at(5);
        assert!(local.route_added(&route(ME, 5), Some("balcony")).is_empty());

        assert_eq!(local.deliver(parcel(5, 1)), Arrival::Here("balcony", parcel(5, 1)));
        assert!(matches!(local.deliver(parcel(4, 2)), Arrival::Missed(missed) if missed.index == LogIndex(5)));
    }

    /// R4.2, P4: the session is found from the moment on in which it gets what came early, not before.
    #[test]
    fn what_came_before_its_route_is_handed_out_with_it_in_order() {
        let mut local = at(4);
        for number in 1..=3 {
            assert_eq!(local.deliver(parcel(5, number)), Arrival::Early);
        }
        assert_eq!(local.deliver(parcel(6, 4)), Arrival::Early);

        let early = local.route_added(&route(ME, 5), Some("balcony"));

        assert_eq!(early, [parcel(5, 1), parcel(5, 2), parcel(5, 3)]);
        assert_eq!(local.early(), Some(id(6)));
        assert!(local.applied(LogIndex(5)).is_empty());
    }

    #[test]
    fn what_waited_for_a_route_that_is_not_here_goes_back_when_its_entry_was_applied() {
        let mut local = at(4);
        for (index, number) in [(6, 1), (5, 2), (5, 3), (7, 4)] {
            assert_eq!(local.deliver(parcel(index, number)), Arrival::Early);
        }

        let missed = local.applied(LogIndex(6));

        let parcels: Vec<_> = missed.iter().map(|missed| missed.parcel.clone()).collect();
        assert_eq!(parcels, [parcel(5, 2), parcel(5, 3), parcel(6, 1)]);
        assert!(missed.iter().all(|missed| missed.index == LogIndex(6)));
        assert_eq!(local.early(), Some(id(7)));
    }

    /// A sender that got it back with an earlier index would decide by what it knew before, and send it here again.
    #[test]
    fn what_a_session_turns_away_within_a_batch_goes_back_after_it() {
        let mut local = at(4);
        assert!(local.route_added(&route(ME, 5), Some("balcony")).is_empty());

        assert_eq!(local.turned_away(parcel(5, 1)), None);

        assert_eq!(local.applied(LogIndex(6)), [Missed { parcel: parcel(5, 1), index: LogIndex(6) }]);
    }

    /// O9.
    #[test]
    fn what_comes_too_early_is_bounded_by_its_weight() {
        let payload = bytes::Bytes::from(vec![b'x'; 250_000]);
        let stanza = Stanza { payload, ..Stanza::new(Kind::Message(MessageType::Chat)) };
        let heavy = Parcel { stanza, ..parcel(5, 1) };
        let mut local = at(4);

        let taken = (0..100).filter(|_| local.deliver(heavy.clone()) == Arrival::Early).count();

        assert_eq!(taken, EARLY_BYTES_MAX / heavy.stanza.weight());
        assert_eq!(local.route_added(&route(ME, 5), Some("balcony")).len(), taken);
        assert_eq!(local.deliver(Parcel { route: id(6), ..heavy.clone() }), Arrival::Early);
        assert_eq!(local.applied(LogIndex(6)).len(), 1);
        assert_eq!(local.deliver(Parcel { route: id(7), ..heavy }), Arrival::Early);
    }

    #[test]
    fn a_session_hears_why_its_route_ended() {
        let mut local = at(5);
        let held = route(ME, 5);
        assert!(local.route_added(&held, Some("balcony")).is_empty());
        let told = |is_revoked| RouteEnd::Told { session: "balcony", is_revoked };

        assert_eq!(local.route_removed(&held, Removal::Unbound), told(false));
        assert_eq!(local.route_removed(&held, Removal::Replaced { by: id(6) }), told(true));
        assert_eq!(local.route_removed(&held, Removal::MemberEnded), told(true));
        assert_eq!(local.route_removed(&route(ME, 4), Removal::Unbound), RouteEnd::Gone);
        assert_eq!(local.session(held.id), Some(&"balcony"), "its mailbox is open still");
        local.session_over(held.id);
        assert_eq!(local.route_removed(&held, Removal::Unbound), RouteEnd::Gone);
    }

    #[test]
    fn sessions_hear_once_of_those_who_went_with_another_member() {
        let mut local = at(5);
        let (held, theirs) = (route(ME, 4), route(OTHER, 5));
        assert!(local.route_added(&held, Some("balcony")).is_empty());
        assert!(local.route_added(&theirs, None).is_empty());

        assert_eq!(local.route_removed(&theirs, Removal::MemberEnded), RouteEnd::Gone);

        assert_eq!(local.life_ended(life(OTHER)), Some(life(OTHER)));
    }

    #[test]
    fn nobody_hears_that_this_member_itself_is_lost() {
        assert_eq!(at(5).life_ended(life(ME)), None);
    }

    #[test]
    fn sessions_that_are_to_go_on_keep_their_routes_until_they_move() {
        let mut local = at(5);
        let held = route(ME, 5);
        assert!(local.route_added(&held, Some("balcony")).is_empty());
        local.leave();

        assert_eq!(local.route_removed(&held, Removal::MemberEnded), RouteEnd::Kept);
        assert_eq!(local.deliver(parcel(9, 1)), Arrival::Early);

        assert_eq!(local.move_on(LogIndex(2)), BTreeMap::from([(held.id, "balcony")]));
        assert_eq!(local.session(held.id), None);
        assert_eq!(local.early(), None, "its home decides again");
        assert_eq!(local.deliver(parcel(3, 1)), Arrival::Early);
        assert!(local.route_added(&route(ME, 4), Some("balcony")).is_empty());
        assert!(matches!(local.route_removed(&route(ME, 4), Removal::MemberEnded), RouteEnd::Told { .. }));
    }

    /// Numbers of parcels begin anew with each life of their owner: what went back under an old one would be taken for
    /// another stanza.
    #[test]
    fn what_came_early_in_a_life_that_is_over_does_not_go_back_in_the_next() {
        let mut local = at(4);
        assert_eq!(local.deliver(parcel(5, 1)), Arrival::Early);

        local.life_over();

        assert!(local.applied(LogIndex(9)).is_empty());
    }

    fn at(index: u64) -> LocalRoutes<&'static str> {
        let mut local = LocalRoutes::new(ME);
        assert!(local.applied(LogIndex(index)).is_empty());
        local
    }

    fn life(member: MemberId) -> Life {
        Life { member, incarnation: Incarnation(1) }
    }

    fn id(index: u64) -> RouteId {
        RouteId { index: LogIndex(index), position: 0 }
    }

    fn route(member: MemberId, index: u64) -> Route {
        Route {
            id: id(index),
            jid: format!("juliet@capulet.example/{index}").parse().unwrap(),
            member,
            incarnation: Incarnation(1),
            session: SessionId(index),
            presence: RoutePresence::default(),
        }
    }

    fn parcel(index: u64, number: u64) -> Parcel {
        let home = Home::Member { member: OTHER, incarnation: Incarnation(1), number: Sequence(number) };
        Parcel { stanza: Stanza::new(Kind::Message(MessageType::Chat)), route: id(index), home }
    }
}
