//! What a session is once it holds its JID: everything that would move with it to another node.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ids::RouteId;
use crate::jid::{BareJid, FullJid};
use crate::session::ResumptionId;
use crate::session::announce::Announcer;
use crate::session::delivery::Deliveries;
use crate::session::directed::Directed;
use crate::session::roster_requests::RosterRequest;
use crate::session::seen::Seen;
use crate::session::tally::Tally;
use crate::stanza::Stanza;

/// The part of a session that outlives its transport.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BoundState {
    /// The JID that it holds.
    pub(super) jid: FullJid,
    /// The account, which is the bare form of it.
    pub(super) account: BareJid,
    /// The holding.
    pub(super) route: RouteId,
    /// The holding before it, if the session has moved from one to the other.
    pub(super) former_route: Option<RouteId>,
    /// Stanzas of the client.
    pub(super) tally: Tally,
    /// Stanzas for the client.
    pub(super) deliveries: Deliveries,
    /// Stream management, if the client has asked for it.
    pub(super) management: Option<Management>,
    /// What routing is told of the session.
    pub(super) announcer: Announcer,
    /// The presence that was broadcast last, if the session is available.
    pub(super) presence: Option<Stanza>,
    /// To whom presence was sent directly, to be told when the session goes.
    pub(super) directed: Directed,
    /// Whose available presence the client has seen, to be told when they are lost.
    pub(super) seen: Seen,
    /// Requests to the roster in the order of their answers.
    pub(super) roster_requests: VecDeque<RosterRequest>,
    /// The contact behind which the client is still to be told the rest of its roster: hardly ever there, hence small.
    pub(super) roster_rest: Option<Box<BareJid>>,
    /// Offline messages.
    pub(super) claim: Claim,
}

/// Stream management as the client has enabled it (XEP-0198).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Management {
    /// By what it is resumed, if it can be.
    pub(super) resumption: Option<Resumption>,
    /// What had been sent when the client was asked for its count; nothing if it does not owe an answer.
    pub(super) asked_at: Option<u32>,
}

/// How a session can be resumed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Resumption {
    pub(super) id: ResumptionId,
    pub(super) seconds_max: u64,
}

/// Whether offline messages are being claimed. Parcels wait meanwhile, so that messages come in the order in which they
/// were sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) enum Claim {
    /// Nothing is claimed.
    #[default]
    Idle,
    /// Messages are to be claimed as soon as the presence is announced.
    Planned,
    /// The answer is awaited.
    Asked,
    /// The answer is awaited, and something was stored meanwhile that it may not contain.
    AskedTooEarly,
    /// An answer to a claim by the route before this one is awaited, which says nothing of what this one may claim.
    AskedBefore,
}

impl BoundState {
    pub(super) fn new(jid: FullJid, route: RouteId) -> BoundState {
        BoundState {
            account: jid.to_bare(),
            jid,
            route,
            former_route: None,
            tally: Tally::default(),
            deliveries: Deliveries::default(),
            management: None,
            announcer: Announcer::default(),
            presence: None,
            directed: Directed::default(),
            seen: Seen::default(),
            roster_requests: VecDeque::new(),
            roster_rest: None,
            claim: Claim::Idle,
        }
    }
}
