//! What applying an entry yields: an outcome for who proposed it, and facts for everybody.

use std::sync::Arc;

use crate::cluster::{ExpelReason, Life, Route};
use crate::ids::{MemberId, RouteId};

/// What applying one entry yields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The answer to who proposed it.
    pub outcome: Outcome,
    /// What changed, in order.
    pub events: Vec<Event>,
}

/// The answer to one command. The same on every node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It took effect.
    Done,
    /// It took effect when it was committed for the first time.
    AlreadyDone,
    /// The answers to the operations of a batch, in their order.
    Operations(Vec<OperationOutcome>),
    /// It changed nothing.
    Rejected(Rejection),
}

/// Why a command changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    /// The life that it speaks of is over, or was never begun.
    #[error("that life of the member is over")]
    LifeEnded,
    /// The life that it speaks of goes on.
    #[error("that life of the member goes on")]
    LifeGoesOn,
    /// The member has not applied its own join yet.
    #[error("the member does not serve yet")]
    NotActive,
    /// The cluster has as many members as it can have.
    #[error("the cluster has {} members already", crate::limits::MEMBERS_MAX)]
    TooManyMembers,
    /// The program of the member does not understand this version of the agreed state.
    #[error("the member's program does not understand the version of the agreed state")]
    WrongVersion,
    /// Not all programs follow the version of the agreed state that the command is of.
    #[error("not all members follow the version of the agreed state that this is of")]
    TooEarly,
    /// The times are becoming others already.
    #[error("the times on which fencing rests are being changed already")]
    TimesAreChanging,
    /// The times were proposed in the place of others than those that are in force.
    #[error("the times on which fencing rests have become others since")]
    TimesHaveChanged,
    /// With these times two members could serve one user.
    #[error("the times are out of bounds, or a lease could outlive the silence after which its holder is expelled")]
    UnsafeTimes,
}

/// The answer to one operation of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OperationOutcome {
    /// The session holds the JID by this route.
    Bound(RouteId),
    /// The account has as many sessions as it can have.
    TooManySessions,
    /// It took effect.
    Done,
    /// The route that it speaks of is not held, or not by this member.
    NotHeld,
}

/// A change of the agreed state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A life began.
    Joined(Life),
    /// A life serves from now on.
    Activated(Life),
    /// A life is over; its routes went with it, each in an event before this one.
    Ended {
        /// Which.
        life: Life,
        /// Why, if the others ended it.
        expelled: Option<ExpelReason>,
    },
    /// Other members than before are to vote.
    VotersChanged,
    /// The [senior](crate::cluster::ClusterState::senior) is another one.
    SeniorChanged(Option<MemberId>),
    /// A session holds a JID.
    RouteAdded(Arc<Route>),
    /// The presence of a route changed.
    RouteChanged(Arc<Route>),
    /// A holding ended.
    RouteRemoved {
        /// As it was.
        route: Arc<Route>,
        /// Why.
        reason: Removal,
    },
}

/// Why a holding ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Removal {
    /// Its session gave it back.
    Unbound,
    /// A later bind took the JID over.
    Replaced {
        /// The holding that did.
        by: RouteId,
    },
    /// The life of its member ended.
    MemberEnded,
}
