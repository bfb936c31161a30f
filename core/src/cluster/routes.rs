//! The table of routes: by account for routing, by member for the end of a life.
//!
//! Both indexes share one `Route`. An account's list is replaced, never changed in place, so that a reader elsewhere
//! can hold on to it. The hash map is only looked up, never walked: every order in which routes are listed is that of
//! their ids.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::ops::Bound;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::cluster::{AccountRoutes, Route, RoutePresence};
use crate::ids::{MemberId, RouteId};
use crate::jid::{BareJid, FullJid};
use crate::planted;

/// SipHash with fixed keys: the same table on every node and in every run.
type FixedState = BuildHasherDefault<DefaultHasher>;

#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    by_account: HashMap<BareJid, AccountRoutes, FixedState>,
    by_member: BTreeMap<MemberId, BTreeMap<RouteId, Arc<Route>>>,
    digest: u64,
    count: usize,
}

impl Routes {
    pub(super) fn of(&self, account: &BareJid) -> Option<&AccountRoutes> {
        self.by_account.get(account)
    }

    pub(super) fn holder(&self, jid: &FullJid) -> Option<Arc<Route>> {
        let routes = self.by_account.get(&jid.to_bare())?;
        routes.iter().find(|route| route.jid == *jid).cloned()
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn count_of(&self, member: MemberId) -> usize {
        self.by_member.get(&member).map_or(0, BTreeMap::len)
    }

    /// A sum over the routes that does not depend on the order in which they came (Bellare and Micciancio's AdHash
    /// with truncated SHA-256: it finds faults, it does not withstand an adversary among the members).
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// All routes, by member and then by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.by_member.values().flat_map(BTreeMap::values)
    }

    /// The routes behind this one in that order.
    pub(super) fn after(&self, last: Option<(MemberId, RouteId)>) -> impl Iterator<Item = &Arc<Route>> {
        let of_member = last
            .and_then(|(member, id)| Some(self.by_member.get(&member)?.range((Bound::Excluded(id), Bound::Unbounded))));
        let behind = last.map_or(Bound::Unbounded, |(member, _)| Bound::Excluded(member));
        let of_others = self.by_member.range((behind, Bound::Unbounded)).flat_map(|(_, routes)| routes.values());
        of_member.into_iter().flatten().map(|(_, route)| route).chain(of_others)
    }

    pub(super) fn get(&self, member: MemberId, id: RouteId) -> Option<&Arc<Route>> {
        self.by_member.get(&member)?.get(&id)
    }

    /// Lets go of so many routes; answers whether there are more. What is left is of no use.
    pub(super) fn shed(&mut self, routes_max: usize) -> bool {
        for _ in 0..routes_max {
            let Some(mut member) = self.by_member.first_entry() else { return false };
            match member.get_mut().pop_first() {
                Some((_, route)) => drop(self.by_account.remove(&route.jid.to_bare())),
                None => drop(member.remove()),
            }
        }
        !self.by_member.is_empty()
    }

    pub(super) fn insert(&mut self, route: Arc<Route>) {
        self.digest = self.digest.wrapping_add(digest_of(&route));
        self.count += 1;
        let list = self.by_account.entry(route.jid.to_bare()).or_insert_with(|| Arc::from([]));
        *list = list.iter().cloned().chain([route.clone()]).collect();
        self.by_member.entry(route.member).or_default().insert(route.id, route);
    }

    pub(super) fn remove(&mut self, member: MemberId, id: RouteId) -> Option<Arc<Route>> {
        let held = self.by_member.get_mut(&member)?;
        let route = held.remove(&id)?;
        if held.is_empty() {
            self.by_member.remove(&member);
        }
        self.forget(&route);
        Some(route)
    }

    /// Removes every route of a member and returns them by id.
    pub(super) fn remove_all(&mut self, member: MemberId) -> Vec<Arc<Route>> {
        let mut held: Vec<_> = self.by_member.remove(&member).unwrap_or_default().into_values().collect();
        if planted!(ExpelByJid) {
            held = held.iter().filter_map(|route| self.holder(&route.jid)).collect();
            for route in &held {
                self.by_member.get_mut(&route.member).and_then(|routes| routes.remove(&route.id));
            }
        }
        for route in &held {
            self.forget(route);
        }
        held
    }

    pub(super) fn announce(&mut self, member: MemberId, id: RouteId, presence: RoutePresence) -> Option<Arc<Route>> {
        let slot = self.by_member.get_mut(&member)?.get_mut(&id)?;
        let changed = Arc::new(Route { presence, ..Route::clone(slot) });
        self.digest = self.digest.wrapping_sub(digest_of(slot)).wrapping_add(digest_of(&changed));
        *slot = changed.clone();
        let list = self.by_account.get_mut(&changed.jid.to_bare()).expect("every route is in its account's list");
        *list = list.iter().map(|route| if route.id == id { changed.clone() } else { route.clone() }).collect();
        Some(changed)
    }

    /// The planted bug: the member goes on to count a route among its own that somebody else has taken over.
    pub(super) fn leave_behind(&mut self, route: &Route) {
        self.forget(route);
    }

    fn forget(&mut self, route: &Route) {
        self.digest = self.digest.wrapping_sub(digest_of(route));
        self.count -= 1;
        let account = route.jid.to_bare();
        let list = self.by_account.get_mut(&account).expect("every route is in its account's list");
        if list.len() == 1 {
            self.by_account.remove(&account);
        } else {
            *list = list.iter().filter(|other| other.id != route.id).cloned().collect();
        }
    }
}

fn digest_of(route: &Route) -> u64 {
    let mut hash = Sha256::new();
    let priority = route.presence.priority.map_or([0, 0], |priority| [1, priority.to_be_bytes()[0]]);
    for number in [
        route.id.index.0,
        u64::from(route.id.position),
        route.member.0,
        route.incarnation.0,
        route.session.0,
        u64::from(route.presence.interested),
    ] {
        hash.update(number.to_be_bytes());
    }
    hash.update(priority);
    hash.update(route.jid.as_str());
    let sum = hash.finalize();
    u64::from_be_bytes(sum[..8].try_into().expect("SHA-256 has 32 bytes"))
}
