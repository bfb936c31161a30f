//! What the data lanes need of the sessions, and what sessions ask of a lane.

use cresset_core::ids::RouteId;
use cresset_core::limits::LANE_QUEUE_BYTES_MAX;
use cresset_core::node::Peer;
use cresset_core::routing::{Missed, Parcel, Redecide, Refused, StanzaName, Turn};
use cresset_core::stanza::{STANZA_OVERHEAD_BYTES, Stanza};

/// The sessions, as the data lanes see them. Every call returns at once: a lane serves all sessions and waits for none.
/// What it hands over is bounded by what the lanes may keep and by the queues of the sessions.
pub trait DataService: Send + Sync + 'static {
    /// Who wants to know that a parcel was taken.
    type Origin: Send + 'static;
    /// Who wants to know that a route is clear.
    type Pass: Send + 'static;

    /// Puts a parcel of another member into the queue of the session that holds its route.
    ///
    /// # Errors
    ///
    /// No session of this node holds the route; the parcel comes back.
    fn deliver(&self, parcel: Parcel) -> Result<(), Box<Missed>>;

    /// Tells the session that holds this route, if any, that messages are stored for it.
    fn nudge(&self, route: RouteId);

    /// Decides here about a parcel whose home is over and which no session of this node took. Others may have it by that
    /// name.
    fn inherit(&self, parcel: Parcel, name: Option<StanzaName>);

    /// A stanza is in the hands of two members.
    fn handled(&self, origin: Self::Origin);

    /// Decides again where a stanza goes that `peer` did not take; if it says so, confirms it afterwards by
    /// [`Mesh::confirm`](super::Mesh::confirm).
    fn redecide(&self, peer: Peer, again: Redecide<Self::Origin>);

    /// Tells the sender of a stanza that too much is under way to the account for which it was.
    fn refused(&self, refused: Refused<Self::Origin>);

    /// Nothing is under way any more on the route that was asked about.
    fn passed(&self, pass: Self::Pass);
}

/// What a session asks of the lane to another member. See [`Outbox`](cresset_core::routing::Outbox).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToLane<Origin, Pass> {
    /// Takes charge of a stanza.
    Parcel {
        /// Who is told that it is in the hands of two members.
        origin: Option<Origin>,
        /// The holding it is for.
        route: RouteId,
        /// What to deliver.
        stanza: Stanza,
        /// How often it was returned before.
        attempts: u8,
        /// By which name somebody may have it already.
        name: Option<StanzaName>,
        /// Its place if it comes back.
        turn: Turn,
    },
    /// Tells the session that holds a route to claim stored messages.
    Nudge {
        /// The holding.
        route: RouteId,
    },
    /// Answers when nothing that was sent on this route before is under way any more.
    Pass {
        /// The holding.
        route: RouteId,
        /// Whom to answer.
        pass: Pass,
    },
}

impl<Origin, Pass> ToLane<Origin, Pass> {
    /// Bytes for which it counts while it waits for the lane.
    pub(super) fn weight(&self) -> usize {
        match self {
            ToLane::Parcel { stanza, .. } => stanza.weight().min(LANE_QUEUE_BYTES_MAX),
            ToLane::Nudge { .. } | ToLane::Pass { .. } => STANZA_OVERHEAD_BYTES,
        }
    }
}
