//! The routes of the cluster as this node's connections read them, without a lock.
//!
//! One task writes (the control plane, after each entry it has applied), everybody reads. An account's entry is replaced
//! as a whole, so a reader sees an account as it was at one position of the log.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use cresset_core::cluster::{AccountRoutes, Route, RouteView};
use cresset_core::ids::LogIndex;
use cresset_core::jid::BareJid;

use super::lock;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, Table};

/// SipHash with fixed keys, so that a simulated run does not depend on the process it runs in.
pub(super) type FixedState = BuildHasherDefault<DefaultHasher>;

/// The read view.
#[derive(Debug, Default)]
pub struct View {
    routes: Table<BareJid, AccountRoutes, FixedState>,
    applied: AtomicU64,
    /// How many sessions of each account go on in the present life of the node and do not hold their JIDs again yet.
    moving: Mutex<BTreeMap<BareJid, usize>>,
    /// How many they are: mostly none, and then nobody takes that lock.
    moving_count: AtomicUsize,
}

impl View {
    /// How far the log is shown. Read it *before* the routes to know that they are at least as new.
    pub fn applied(&self) -> LogIndex {
        LogIndex(self.applied.load(Ordering::Acquire))
    }

    pub(super) fn set_applied(&self, index: LogIndex) {
        self.applied.fetch_max(index.0, Ordering::AcqRel);
    }

    /// Shows nothing of another log any more, and of the next one everything up to there.
    pub(super) fn begin_again(&self, index: LogIndex) {
        self.routes.pin().clear();
        self.applied.store(index.0, Ordering::Release);
    }

    pub(super) fn all(&self) -> Vec<Arc<Route>> {
        self.routes.pin().values().flat_map(|routes| routes.iter().cloned()).collect()
    }

    /// A session of this account is about to hold its JID again.
    pub(super) fn begins_to_move(&self, account: &BareJid) {
        *lock(&self.moving).entry(account.clone()).or_default() += 1;
        self.moving_count.fetch_add(1, Ordering::AcqRel);
    }

    /// It holds it, or does not go on.
    pub(super) fn has_moved(&self, account: &BareJid) {
        let mut moving = lock(&self.moving);
        if let Some(sessions) = moving.get_mut(account) {
            *sessions -= 1;
            if *sessions == 0 {
                moving.remove(account);
            }
            self.moving_count.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Puts a route in, or in the place of the one with its id.
    pub(super) fn put(&self, route: &Arc<Route>) {
        let account = route.jid.to_bare();
        let others = self.routes_of(&account).unwrap_or_else(|| Arc::from([]));
        let mut routes: Vec<_> = others.iter().filter(|other| other.id != route.id).cloned().collect();
        let at = routes.partition_point(|other| other.id < route.id);
        routes.insert(at, route.clone());
        self.routes.pin().insert(account, Arc::from(routes));
    }

    pub(super) fn remove(&self, route: &Route) {
        let account = route.jid.to_bare();
        let Some(routes) = self.routes_of(&account) else { return };
        let rest: AccountRoutes = routes.iter().filter(|other| other.id != route.id).cloned().collect();
        if rest.is_empty() {
            self.routes.pin().remove(&account);
        } else {
            self.routes.pin().insert(account, rest);
        }
    }
}

impl RouteView for View {
    fn routes_of(&self, account: &BareJid) -> Option<AccountRoutes> {
        self.routes.pin().get(account).cloned()
    }

    fn is_moving(&self, account: &BareJid) -> bool {
        self.moving_count.load(Ordering::Acquire) > 0 && lock(&self.moving).contains_key(account)
    }
}
