//! One client: bytes in, orders out.
//!
//! ```text
//!             handle_bytes ┌─────────────────────────────────────────┐ Send, StartTls, Close
//!  transport ─────────────▶│ stream ─▶ sasl ─▶ bind ─▶ bound:        │──────────────────────▶ transport
//!                          │                  ack, presence, roster, │ LookUpCredentials, Roster, ClaimOffline
//!  accounts  ─────────────▶│                  disco, offline, …      │──────────────────────▶ accounts
//!             handle_parcel│                                         │ Bind, Announce, Route, Settle, Return, End
//!  cluster   ─────────────▶│                                         │──────────────────────▶ cluster
//!                          └─────────────────────────────────────────┘
//! ```
//!
//! The driver calls [`Session::set_wall_clock`] when time has passed, one `handle_*`, then
//! [`Session::poll_output`] until there is nothing, then waits for the next fact or for [`Session::poll_timeout`]. It
//! reads from the transport only while [`Session::wants_bytes`].

mod error;
mod facts;
mod order;
mod roster;
mod settings;

use std::sync::Arc;

use rand::rngs::StdRng;

pub use error::StreamErrorCondition;
pub use facts::{BindRefusal, Bound, CredentialsAnswer, OfflineMessage, RoutesGone, StoreUnavailable, TlsEstablished};
pub use order::{Order, ResumptionId};
pub use roster::{RosterAnswer, RosterItem, RosterOrder, RosterRefusal, Subscription};
pub use settings::{SessionSettings, TlsPolicy};

use crate::ids::Sequence;
use crate::routing::Parcel;
use crate::sasl::ScramKeys;
use crate::time::{UnixMillis, Uptime};

/// One client's session.
#[derive(Debug)]
pub struct Session {
    settings: Arc<SessionSettings>,
    random: StdRng,
    orders: std::collections::VecDeque<Order>,
    deadline: Option<Uptime>,
}

/// What a session that resumes another one hands over to it: what the client has sent and was not read, and where in
/// its stream it is.
#[derive(Debug)]
pub struct Remaining(Vec<u8>);

impl Session {
    /// A session on a transport that was just accepted. The generator has to be seeded by the operating system in
    /// production: nonces, resources and resumption ids come from it.
    pub fn new(now: Uptime, settings: Arc<SessionSettings>, random: StdRng) -> Session {
        Session {
            settings,
            random,
            orders: Default::default(),
            deadline: Some(now + crate::limits::AUTHENTICATION_TIME_MAX),
        }
    }

    /// Tells what people call the time. It is only told to people: delay stamps, XEP-0202.
    pub fn set_wall_clock(&mut self, _wall: UnixMillis) {}

    /// The client sent these bytes.
    pub fn handle_bytes(&mut self, _now: Uptime, _bytes: &[u8]) {}

    /// The TLS handshake is complete: after [`Order::StartTls`], or before the first byte on a listener of direct TLS.
    pub fn handle_tls(&mut self, _now: Uptime, _established: TlsEstablished) {}

    /// Answers [`Order::LookUpCredentials`].
    pub fn handle_credentials(&mut self, _now: Uptime, _answer: CredentialsAnswer) {}

    /// Answers [`Order::DeriveKeys`].
    pub fn handle_derived(&mut self, _now: Uptime, _keys: ScramKeys) {}

    /// Answers [`Order::Bind`].
    pub fn handle_bound(&mut self, _now: Uptime, _answer: Result<Bound, BindRefusal>) {}

    /// Answers [`Order::Announce`]: every active member knows the presence of this revision.
    pub fn handle_announced(&mut self, _now: Uptime, _revision: u64) {}

    /// A stanza for the client. It ends as one [`Order::Settle`] or one [`Order::Return`].
    pub fn handle_parcel(&mut self, _now: Uptime, _parcel: Parcel) {}

    /// Answers [`Order::Route`] with a number. The answers may come in any order.
    pub fn handle_handled(&mut self, _now: Uptime, _number: Sequence) {}

    /// Answers [`Order::Roster`], in the order of the orders.
    pub fn handle_roster(&mut self, _now: Uptime, _answer: RosterAnswer) {}

    /// Answers [`Order::ClaimOffline`], which is repeated until nothing more waits.
    pub fn handle_offline(&mut self, _now: Uptime, _answer: Result<Vec<OfflineMessage>, StoreUnavailable>) {}

    /// Everything that was handed out by [`Order::Send`] so far is on the socket.
    pub fn handle_written(&mut self, _now: Uptime) {}

    /// The transport is gone. The session waits to be resumed if the client asked for that, or ends.
    pub fn handle_lost(&mut self, _now: Uptime) {}

    /// The client resumes this session on another transport: it comes back as it was. `handled` is how many stanzas it
    /// has handled, `remaining` what the session that read [`Order::Resume`] leaves.
    pub fn handle_resumed(&mut self, _now: Uptime, _handled: u32, _remaining: Remaining) {}

    /// Answers [`Order::Resume`]: there is no such session.
    pub fn handle_resume_failed(&mut self, _now: Uptime) {}

    /// The client is about to resume this session on another transport: the one that it has is closed with
    /// `<conflict/>`.
    pub fn handle_superseded(&mut self, _now: Uptime) {}

    /// The session has to end: a newer bind has its JID (`conflict`), or the node stops (`system-shutdown`, or
    /// `see-other-host` with the host).
    pub fn handle_close(&mut self, _now: Uptime, _condition: StreamErrorCondition, _other_host: Option<String>) {}

    /// The node may not serve at the moment: until [`handle_unpause`](Session::handle_unpause) nothing is read,
    /// delivered or acknowledged, and parcels wait.
    pub fn handle_pause(&mut self, _now: Uptime) {}

    /// The node may serve again.
    pub fn handle_unpause(&mut self, _now: Uptime) {}

    /// Routes ended with their member: the client is told of those whose presence it has seen.
    pub fn handle_routes_gone(&mut self, _now: Uptime, _gone: &RoutesGone) {}

    /// Messages wait for the account that nobody else will claim.
    pub fn handle_nudge(&mut self, _now: Uptime) {}

    /// It is at least as late as [`poll_timeout`](Session::poll_timeout) said.
    pub fn handle_timeout(&mut self, _now: Uptime) {}

    /// When to call [`handle_timeout`](Session::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Uptime> {
        self.deadline
    }

    /// The next order.
    pub fn poll_output(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// Whether the driver is to read from the transport. It is not while an answer is awaited without which the next
    /// bytes mean nothing, or while too much that the client sent is not handled.
    pub fn wants_bytes(&self) -> bool {
        true
    }

    /// What the client has sent and this session has not read, for the session that it resumes.
    pub fn into_remaining(self) -> Remaining {
        Remaining(Vec::new())
    }
}
