//! A state as it was at one position of the log, for those who have time to work with it.

use std::sync::Arc;

use crate::cluster::{AgreedTimes, ClusterState, Member, Route};
use crate::ids::{LogIndex, MemberId, RouteId};

/// A state as it was at one position of the log. It shares the routes with the state, so that it costs one pointer for
/// each.
#[derive(Clone, Debug)]
pub struct Frozen {
    pub(super) version: u32,
    pub(super) applied: LogIndex,
    pub(super) members: Vec<Member>,
    pub(super) voters: Vec<MemberId>,
    pub(super) times: AgreedTimes,
    pub(super) digest: u64,
    /// By member and then by id.
    pub(super) routes: Vec<Arc<Route>>,
    /// How many there are to be.
    count: usize,
}

impl Frozen {
    /// Whether all routes are in it.
    pub fn is_complete(&self) -> bool {
        self.routes.len() == self.count
    }

    /// How many routes are in it.
    pub fn routes(&self) -> usize {
        self.routes.len()
    }

    /// Whether a route is in it, and how it was.
    pub(super) fn route(&self, member: MemberId, id: RouteId) -> Option<&Arc<Route>> {
        let at = self.routes.binary_search_by_key(&(member, id), |route| (route.member, route.id)).ok()?;
        self.routes.get(at)
    }
}

impl ClusterState {
    /// The state as it is, without its routes but for the first so many; or so many more of what was frozen so far. If
    /// the state has changed since, it begins again.
    #[must_use]
    pub fn freeze(&self, so_far: Option<Frozen>, routes_max: usize) -> Frozen {
        let so_far = so_far.filter(|so_far| so_far.applied == self.applied);
        let mut frozen = so_far.unwrap_or_else(|| Frozen {
            version: self.version,
            applied: self.applied,
            members: self.members.values().cloned().collect(),
            voters: self.voters.iter().copied().collect(),
            times: self.times,
            digest: self.digest(),
            routes: Vec::with_capacity(self.routes.count()),
            count: self.routes.count(),
        });
        let last = frozen.routes.last().map(|route| (route.member, route.id));
        frozen.routes.extend(self.routes.after(last).take(routes_max).cloned());
        frozen
    }
}
