//! The agreed state: members, routes and the times on which fencing rests, as every node computes it from the same log.
//!
//! ```text
//! Command ──▶ ClusterState::apply ──▶ Outcome + Events
//!                  │    ▲
//!            snapshot   snapshot          RouteView: what routing reads of it
//! ```
//!
//! The invariant: a full JID has at most one route, and a route belongs to a life that goes on. This room knows no XML,
//! no sessions and no Raft; who proposes what and when is decided in [`crate::node`].

mod chronicle;
mod command;
mod event;
mod member;
mod route;
mod routes;
mod snapshot;
mod state;
mod times;
mod voters;

pub use crate::ids::Life;
pub use chronicle::{Chronicle, Happening, What};
pub use command::{Batch, Command, ConflictPolicy, ExpelReason, Join, Operation, Role, VersionRange};
pub use event::{Applied, Event, OperationOutcome, Outcome, Rejection, Removal};
pub use member::{Member, MemberState};
pub use route::{AccountRoutes, Route, RoutePresence, RouteView};
pub use snapshot::{Change, Frozen, Installation, SNAPSHOT_BYTES_MAX, SnapshotError, SnapshotReader, SnapshotWriter};
pub use state::{ClusterState, STATE_VERSIONS};
pub use times::{AgreedTimes, TIMES_SINCE_VERSION, TimesChange};

#[cfg(test)]
mod tests;
