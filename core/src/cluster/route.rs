//! Who holds which full JID.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{Incarnation, Life, MemberId, RouteId, SessionId};
use crate::jid::{BareJid, FullJid};

/// One holding of one full JID by one session of one life of a member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Route {
    /// Which holding; a later holder of the same JID has a greater id.
    pub id: RouteId,
    /// The JID that is held.
    pub jid: FullJid,
    /// The member to which the client is connected.
    pub member: MemberId,
    /// The life of that member.
    pub incarnation: Incarnation,
    /// The session on that member.
    pub session: SessionId,
    /// What routing to the account's bare JID needs to know.
    pub presence: RoutePresence,
}

impl Route {
    /// The life of the member in which it is held.
    pub fn life(&self) -> Life {
        Life { member: self.member, incarnation: self.incarnation }
    }
}

/// The part of a session's presence that decides where a stanza to a bare JID goes (RFC 6121 section 8.5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RoutePresence {
    /// The priority of an available resource; absent as long as it has not sent initial presence.
    pub priority: Option<i8>,
    /// The resource has asked for the roster and gets its changes (RFC 6121 section 2.2).
    pub interested: bool,
}

impl RoutePresence {
    /// Whether the resource is available (RFC 6121 section 4.2).
    pub fn is_available(&self) -> bool {
        self.priority.is_some()
    }

    /// Whether it takes messages to the account: its priority is not negative (RFC 6121 section 8.5.2.1.1).
    pub fn accepts_messages(&self) -> bool {
        self.priority.is_some_and(|priority| priority >= 0)
    }
}

/// The routes of one account as routing reads them, ordered by id. Shared, never changed in place.
pub type AccountRoutes = Arc<[Arc<Route>]>;

/// A read view of the routes, kept current by the apply step.
pub trait RouteView {
    /// The routes of an account; none if it is offline or unknown.
    fn routes_of(&self, account: &BareJid) -> Option<AccountRoutes>;

    /// Whether a session of this node has held a route of the account in the life of the node before this one, and goes on,
    /// and does not hold its JID again yet: what is decided about by the routes alone would miss somebody who is there.
    fn is_moving(&self, _account: &BareJid) -> bool {
        false
    }
}
