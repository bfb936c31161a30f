//! The ways by which one sender last reached its recipients.
//!
//! A stanza may be under way on a route that has ended since: it will come back and be decided again. A later stanza of
//! the same sender to the same account, decided by the present routes, would overtake it. So before a stanza goes, its
//! sender asks here for the ended routes on which earlier ones went, and waits until nothing is under way on them
//! ([`Outbox::pass`](crate::routing::Outbox::pass), or the queue of a session of this node).
//!
//! Whoever logs out is unavailable before its route ends, and what is said in between goes elsewhere or is stored. So a
//! sender waits for such an [abandoned](Paths::abandoned) route as well: one that took messages when the sender used it and
//! is not available any more. It may belong to a client that stays connected and acknowledges nothing, so what is said to
//! that account, and nothing else, waits no longer than [`ABANDONED_WAY_WAIT_MAX`]. A client that never took messages, or
//! whose priority is negative, is not about to go, and nobody waits for it.
//!
//! [`ABANDONED_WAY_WAIT_MAX`]: crate::limits::ABANDONED_WAY_WAIT_MAX
//!
//! At most [`PATHS_MAX`] routes are remembered, the latest; in a row [`ROW_PATHS_MAX`]. One to which only presence went is
//! forgotten first: whoever tells five hundred contacts that he is there does not forget with whom he talks.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::cluster::Route;
use crate::ids::{Life, RouteId};
use crate::jid::BareJid;
use crate::limits::{PATHS_MAX, ROW_PATHS_MAX};
use crate::{planted, sometimes};

/// Remembers routes by recipient.
#[derive(Debug)]
pub(super) struct Paths {
    taken: VecDeque<Path>,
    max: usize,
    own: Option<RouteId>,
}

/// A route on which something may be under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// Who held it.
    pub life: Life,
    /// The route.
    pub route: RouteId,
}

#[derive(Clone, Copy, Debug)]
struct Path {
    /// A hash of the account. If two accounts share it, a sender waits once more than it has to.
    account: u64,
    way: Way,
    /// The session took messages to its account then.
    took_messages: bool,
    /// Nothing went there that is of use to anybody else if it comes back, such as the presence of a client.
    is_fleeting: bool,
}

/// The paths of one sender.
impl Default for Paths {
    fn default() -> Self {
        Paths { taken: VecDeque::new(), max: PATHS_MAX, own: None }
    }
}

impl Paths {
    /// The paths of what stood in one [`Row`](super::row::Row), of many senders to many recipients.
    pub(super) fn of_row() -> Paths {
        Paths { max: ROW_PATHS_MAX, ..Paths::default() }
    }

    /// The sender holds this route itself. It does not wait for what it sent to itself, because what is under way on
    /// its own route comes back only when it has ended.
    pub(super) fn set_own(&mut self, route: RouteId) {
        self.own = Some(route);
    }

    /// The route that the sender holds itself.
    pub(super) fn own(&self) -> Option<RouteId> {
        self.own
    }

    /// The routes of this account that stanzas took and that have ended. They are forgotten here: the caller waits
    /// for each of them and then decides.
    #[must_use]
    pub(super) fn ended(&mut self, account: &BareJid, routes: Option<&[Arc<Route>]>) -> SmallVec<[Way; 1]> {
        if self.taken.is_empty() || planted!(PathForgotten) {
            return SmallVec::new();
        }
        let account = hash(account);
        let routes = routes.unwrap_or_default();
        let has_ended = |path: &Path| path.account == account && routes.iter().all(|route| route.id != path.way.route);
        let ended = self.take_out(has_ended);
        sometimes!(!ended.is_empty(), "a_path_has_ended");
        ended
    }

    /// The routes of this account that stanzas took while they took messages, that have not ended, that are not available
    /// any more, and that are not `chosen` for what goes now. They are forgotten here: the caller waits for them and then
    /// decides.
    #[must_use]
    pub(super) fn abandoned(
        &mut self,
        account: &BareJid,
        routes: &[Arc<Route>],
        chosen: &[Arc<Route>],
    ) -> SmallVec<[Way; 1]> {
        let is_left =
            |route: &Route| !route.presence.is_available() && chosen.iter().all(|chosen| chosen.id != route.id);
        let left: SmallVec<[RouteId; 2]> = routes.iter().filter(|route| is_left(route)).map(|route| route.id).collect();
        if left.is_empty() || planted!(AbandonedWayForgotten) {
            return SmallVec::new();
        }
        let account = hash(account);
        let is_abandoned =
            |path: &Path| path.took_messages && path.account == account && left.contains(&path.way.route);
        let abandoned = self.take_out(is_abandoned);
        sometimes!(!abandoned.is_empty(), "a_path_is_abandoned");
        abandoned
    }

    /// All routes of this account that stanzas took, for whoever decides in this sender's place from now on.
    #[must_use]
    pub(super) fn hand_over(&mut self, account: &BareJid) -> Vec<Way> {
        let account = hash(account);
        self.take_out(|path| path.account == account).into_vec()
    }

    /// All routes of this account that stanzas took, for whoever goes on beside this sender.
    #[must_use]
    pub(super) fn known(&self, account: &BareJid) -> Vec<Way> {
        let account = hash(account);
        self.taken.iter().filter(|path| path.account == account).map(|path| path.way).collect()
    }

    /// Stanzas of somebody else went to this account by these routes.
    pub(super) fn take_over(&mut self, account: &BareJid, ways: &[Way]) {
        let account = hash(account);
        let path = |way: &Way| Path { account, way: *way, took_messages: false, is_fleeting: false };
        let own = self.own;
        let of_others = ways.iter().filter(|way| Some(way.route) != own);
        of_others.for_each(|way| self.remember(path(way)));
    }

    /// A stanza goes to this account by this route. It is fleeting if it is of use to nobody else should it come back.
    pub(super) fn take(&mut self, account: &BareJid, route: &Route, is_fleeting: bool) {
        if self.own == Some(route.id) {
            return;
        }
        let way = Way { life: route.life(), route: route.id };
        let took_messages = route.presence.accepts_messages();
        self.remember(Path { account: hash(account), way, took_messages, is_fleeting });
    }

    fn take_out(&mut self, is_one: impl Fn(&Path) -> bool) -> SmallVec<[Way; 1]> {
        let ways = self.taken.iter().filter(|path| is_one(path)).map(|path| path.way).collect();
        self.taken.retain(|path| !is_one(path));
        ways
    }

    fn remember(&mut self, mut path: Path) {
        let is_known = |known: &Path| known.way.route == path.way.route && known.account == path.account;
        // A conversation goes on with whom it went last, so the search is mostly one step.
        if let Some(last) = self.taken.back_mut().filter(|last| is_known(last)) {
            last.took_messages |= path.took_messages;
            last.is_fleeting &= path.is_fleeting;
            return;
        }
        if let Some(known) = self.taken.iter().position(is_known).and_then(|at| self.taken.remove(at)) {
            path.took_messages |= known.took_messages;
            path.is_fleeting &= known.is_fleeting;
        } else if self.taken.len() == self.max {
            match self.taken.iter().position(|known| known.is_fleeting) {
                Some(oldest) => drop(self.taken.remove(oldest)),
                None if path.is_fleeting => return,
                None => drop(self.taken.pop_front()),
            }
        }
        self.taken.push_back(path);
    }
}

/// SipHash with fixed keys: the same in every run.
fn hash(account: &BareJid) -> u64 {
    let mut hasher = DefaultHasher::new();
    account.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cluster::RoutePresence;
    use crate::ids::{Incarnation, LogIndex, MemberId, SessionId};

    #[test]
    fn a_route_that_lives_holds_nobody_up() {
        let (juliet, balcony) = (account("juliet"), route("juliet", 1));
        let mut paths = Paths::default();
        paths.take(&juliet, &balcony, false);

        assert!(paths.ended(&juliet, Some(&[balcony])).is_empty());
    }

    #[test]
    fn an_ended_route_is_named_once_and_to_its_own_recipient_only() {
        let (juliet, nurse) = (account("juliet"), account("nurse"));
        let mut paths = Paths::default();
        paths.take(&juliet, &route("juliet", 1), false);

        assert!(paths.ended(&nurse, None).is_empty());
        assert_eq!(paths.ended(&juliet, None).len(), 1);
        assert!(paths.ended(&juliet, None).is_empty());
    }

    #[test]
    fn whoever_logs_out_is_waited_for_until_his_route_has_ended() {
        let juliet = account("juliet");
        let (balcony, garden) = (with(&route("juliet", 1), Some(0)), with(&route("juliet", 2), Some(0)));
        let mut paths = Paths::default();
        paths.take(&juliet, &balcony, false);
        paths.take(&juliet, &garden, false);
        let (leaves, stays) = (with(&balcony, None), garden);
        let routes = [leaves.clone(), stays.clone()];

        assert!(paths.abandoned(&juliet, &routes, &[leaves, stays.clone()]).is_empty(), "it goes there");
        assert_eq!(paths.abandoned(&juliet, &routes, std::slice::from_ref(&stays))[0].route, balcony.id);
        assert!(paths.abandoned(&juliet, &routes, &[stays]).is_empty(), "once is enough");
    }

    /// O7: nobody could be held up by sessions that were never there for messages, or are not on purpose.
    #[test]
    fn nobody_waits_for_a_route_that_never_took_messages_or_takes_none_now() {
        let juliet = account("juliet");
        let (silent, shy) = (route("juliet", 1), with(&route("juliet", 2), Some(0)));
        let mut paths = Paths::default();
        paths.take(&juliet, &silent, false);
        paths.take(&juliet, &shy, false);

        let routes = [silent, with(&shy, Some(-1))];

        assert!(paths.abandoned(&juliet, &routes, &[]).is_empty());
    }

    #[test]
    fn who_decides_in_a_senders_place_knows_his_ways() {
        let (juliet, nurse) = (account("juliet"), account("nurse"));
        let (mut sender, mut row) = (Paths::default(), Paths::of_row());
        sender.take(&juliet, &route("juliet", 1), false);
        sender.take(&nurse, &route("nurse", 2), false);

        row.take_over(&juliet, &sender.hand_over(&juliet));

        assert!(sender.ended(&juliet, None).is_empty());
        assert_eq!(sender.ended(&nurse, None).len(), 1);
        assert_eq!(row.ended(&juliet, None)[0].route.index, LogIndex(1));
    }

    #[test]
    fn nobody_waits_for_himself() {
        let juliet = account("juliet");
        let own = route("juliet", 1);
        let mut paths = Paths::default();
        paths.set_own(own.id);
        paths.take(&juliet, &own, false);

        assert!(paths.ended(&juliet, None).is_empty());
    }

    /// It would wait for itself, and end only when it does not wait any more.
    #[test]
    fn nobody_waits_for_himself_because_of_what_others_have_said() {
        let (juliet, own) = (account("juliet"), route("juliet", 1));
        let mut paths = Paths::default();
        paths.set_own(own.id);

        paths.take_over(&juliet, &[Way { life: own.life(), route: own.id }]);

        assert!(paths.ended(&juliet, None).is_empty());
    }

    #[test]
    fn a_presence_for_many_does_not_make_a_sender_forget_with_whom_he_talks() {
        let (juliet, nurse) = (account("juliet"), account("nurse"));
        let mut paths = Paths::default();
        paths.take(&juliet, &route("juliet", 1), false);
        for number in 10..510 {
            paths.take(&nurse, &route("nurse", number), true);
        }

        assert_eq!(paths.ended(&juliet, None).len(), 1);
        assert_eq!(paths.ended(&nurse, None).len(), PATHS_MAX - 1);
    }

    #[test]
    fn presence_after_a_message_leaves_the_message_remembered() {
        let (juliet, balcony) = (account("juliet"), route("juliet", 1));
        let mut paths = Paths::default();
        paths.take(&juliet, &balcony, false);
        paths.take(&juliet, &balcony, true);
        for number in 10..510 {
            paths.take(&account("nurse"), &route("nurse", number), true);
        }

        assert_eq!(paths.ended(&juliet, None).len(), 1);
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let juliet = account("juliet");
        let mut paths = Paths::default();
        for number in 0..PATHS_MAX as u64 + 1 {
            paths.take(&juliet, &route("juliet", number), false);
        }

        let ended = paths.ended(&juliet, None);

        assert_eq!(ended.len(), PATHS_MAX);
        assert_eq!(ended[0].route.index, LogIndex(1));
    }

    fn with(route: &Route, priority: Option<i8>) -> Arc<Route> {
        Arc::new(Route { presence: RoutePresence { priority, interested: false }, ..route.clone() })
    }

    fn account(name: &str) -> BareJid {
        format!("{name}@capulet.example").parse().unwrap()
    }

    fn route(name: &str, number: u64) -> Arc<Route> {
        Arc::new(Route {
            id: RouteId { index: LogIndex(number), position: 0 },
            jid: format!("{name}@capulet.example/x").parse().unwrap(),
            member: MemberId(1),
            incarnation: Incarnation(1),
            session: SessionId(number),
            presence: RoutePresence::default(),
        })
    }
}
