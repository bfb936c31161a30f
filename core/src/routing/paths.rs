//! The ways by which one sender last reached its recipients.
//!
//! A stanza may be under way on a route that has ended since: it will come back and be decided again. A later stanza of
//! the same sender to the same account, decided by the present routes, would overtake it. So before a stanza goes, its
//! sender asks here for the ended routes on which earlier ones went, and waits until nothing is under way on them
//! ([`Outbox::pass`](crate::routing::Outbox::pass), or the queue of a session of this node).
//!
//! At most [`PATHS_MAX`] routes are remembered, the latest.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::cluster::Route;
use crate::ids::{Life, MemberId, RouteId};
use crate::jid::BareJid;
use crate::limits::PATHS_MAX;
use crate::{planted, sometimes};

/// Remembers routes by recipient.
#[derive(Debug, Default)]
pub struct Paths {
    taken: VecDeque<Path>,
    own: Option<RouteId>,
    returned_by: Option<MemberId>,
}

/// A route on which something may be under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndedPath {
    /// Who held it.
    pub life: Life,
    /// The route.
    pub route: RouteId,
}

#[derive(Clone, Copy, Debug)]
struct Path {
    /// A hash of the account. If two accounts share it, a sender waits once more than it has to.
    account: u64,
    ended: EndedPath,
}

impl Paths {
    /// The paths of whoever decides again about what comes back from this member. What it sends there comes back to it as
    /// well, behind what it has to do: it would wait for itself.
    pub fn of_returned_by(member: MemberId) -> Paths {
        Paths { returned_by: Some(member), ..Paths::default() }
    }

    /// The sender holds this route itself. It does not wait for what it sent to itself, because what is under way on
    /// its own route comes back only when it has ended.
    pub fn set_own(&mut self, route: RouteId) {
        self.own = Some(route);
    }

    /// The routes of this account that stanzas took and that have ended. They are forgotten here: the caller waits
    /// for each of them and then decides.
    #[must_use]
    pub fn ended(&mut self, account: &BareJid, routes: Option<&[Arc<Route>]>) -> SmallVec<[EndedPath; 1]> {
        if self.taken.is_empty() || planted!(PathForgotten) {
            return SmallVec::new();
        }
        let account = hash(account);
        let routes = routes.unwrap_or_default();
        let has_ended =
            |path: &Path| path.account == account && routes.iter().all(|route| route.id != path.ended.route);
        let ended: SmallVec<[EndedPath; 1]> =
            self.taken.iter().filter(|path| has_ended(path)).map(|path| path.ended).collect();
        self.taken.retain(|path| !has_ended(path));
        sometimes!(!ended.is_empty(), "a_path_has_ended");
        ended
    }

    /// A stanza goes to this account by this route.
    pub fn take(&mut self, account: &BareJid, route: &Route) {
        if self.own == Some(route.id) || self.returned_by == Some(route.member) {
            return;
        }
        let account = hash(account);
        let is_known = |path: &Path| path.ended.route == route.id && path.account == account;
        // A conversation goes on with whom it went last, so the search is mostly one step.
        if self.taken.back().is_some_and(is_known) {
            return;
        }
        if let Some(at) = self.taken.iter().position(is_known) {
            self.taken.remove(at);
        } else if self.taken.len() == PATHS_MAX {
            self.taken.pop_front();
        }
        let life = Life { member: route.member, incarnation: route.incarnation };
        self.taken.push_back(Path { account, ended: EndedPath { life, route: route.id } });
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
    use crate::ids::{Incarnation, LogIndex, SessionId};

    #[test]
    fn a_route_that_lives_holds_nobody_up() {
        let (juliet, balcony) = (account("juliet"), route("juliet", 1));
        let mut paths = Paths::default();
        paths.take(&juliet, &balcony);

        assert!(paths.ended(&juliet, Some(&[balcony])).is_empty());
    }

    #[test]
    fn an_ended_route_is_named_once_and_to_its_own_recipient_only() {
        let (juliet, nurse) = (account("juliet"), account("nurse"));
        let mut paths = Paths::default();
        paths.take(&juliet, &route("juliet", 1));

        assert!(paths.ended(&nurse, None).is_empty());
        assert_eq!(paths.ended(&juliet, None).len(), 1);
        assert!(paths.ended(&juliet, None).is_empty());
    }

    #[test]
    fn nobody_waits_for_himself() {
        let juliet = account("juliet");
        let own = route("juliet", 1);
        let mut paths = Paths::default();
        paths.set_own(own.id);
        paths.take(&juliet, &own);

        assert!(paths.ended(&juliet, None).is_empty());
    }

    /// Found by the simulator: it waited until the longest wait was over, eight seconds for each message.
    #[test]
    fn who_decides_about_what_comes_back_does_not_wait_for_what_comes_back_to_him() {
        let juliet = account("juliet");
        let mut paths = Paths::of_returned_by(MemberId(1));
        paths.take(&juliet, &route("juliet", 1));

        assert!(paths.ended(&juliet, None).is_empty());
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let juliet = account("juliet");
        let mut paths = Paths::default();
        for number in 0..PATHS_MAX as u64 + 1 {
            paths.take(&juliet, &route("juliet", number));
        }

        let ended = paths.ended(&juliet, None);

        assert_eq!(ended.len(), PATHS_MAX);
        assert_eq!(ended[0].route.index, LogIndex(1));
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
