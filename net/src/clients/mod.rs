//! Clients: one task for each, which reads, drives a session and writes.
//!
//! ```text
//! listener ─accept─▶ admission ─▶ connection ◀──orders──▶ core Session
//!                                    │  ▲
//!                     tls, errands ──┘  └── mailbox ◀── router
//! ```
//!
//! Invariants: a connection writes nothing, except its farewell, while the node may not serve. What a client is owed
//! ends as settled or goes back to where it came from, whatever becomes of the connection. A client that does not read
//! holds up nobody but itself, in bounded memory.
//!
//! The session outlives its transport if the client may resume it: then its task waits without one, and the
//! connection on which the client comes back hands its transport over.

mod admission;
mod close;
mod connection;
mod derive;
mod errands;
mod farewell;
mod listener;
mod outbound;
mod perform;
#[cfg(test)]
mod tests;
mod tls;
mod tries;
mod turns;
mod work;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cresset_core::admission::{Origin, Party};
use cresset_core::jid::BareJid;
use cresset_core::session::{Remaining, SessionSettings};
use rand::rngs::StdRng;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::accounts::Store;
use crate::router::Router;

pub use admission::Admission;
pub use derive::{Derive, DeriveHere, DerivePool};
pub use listener::{Listener, ListenerKind, serve};
pub use tls::{Certificate, ServerTls, TlsError};
pub use tries::Tries;
pub use turns::Threads;

use admission::Admitted;

/// How long a client may leave what is written to it unread. Beyond it the transport is taken for lost. Longer than a
/// mobile client's worst hand-over, and below the patience of a correspondent.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);

/// How long the last words to a client may take. Beyond it they are lost with the transport.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes that wait for the socket beyond which the client is neither read from nor given further stanzas, which wait
/// in its mailbox.
const OUTBOUND_BYTES_HIGH: usize = 64 * 1024;

/// Bytes read at once: as much as an ordinary burst of stanzas, and little enough for the stack.
const READ_BYTES: usize = 4096;

/// A connection to a client, in clear or within TLS.
pub type ClientTransport = Box<dyn ClientStream>;

/// What a connection to a client can do.
pub trait ClientStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ClientStream for S {}

/// What is the same for all clients of a listener.
#[derive(Clone)]
pub struct ClientSettings {
    /// What sessions are told.
    pub session: Arc<SessionSettings>,
    /// The certificate, if there is TLS.
    pub tls: Option<Arc<ServerTls>>,
    /// Where keys are derived from passwords.
    pub derive: Arc<dyn Derive>,
    /// Who may try a password, and how soon.
    pub tries: Arc<Tries>,
    /// Whether clients come through a proxy, so that all of them have its address.
    pub proxied: bool,
    /// Who may connect at all.
    pub admission: Admission,
    /// Who is heard next of those who have not authenticated.
    pub strangers: Threads<Party>,
    /// Who is heard next of the accounts that use much processor time.
    pub busy: Threads<BareJid>,
    /// A generator for one session: seeded by the operating system, except in a simulation.
    pub randomness: fn() -> StdRng,
    /// Where accounts, rosters and the messages for those who are away are.
    pub accounts: Arc<dyn Store>,
    /// The node.
    pub router: Arc<Router>,
}

impl ClientSettings {
    /// Where a client is whose connection comes from this address.
    fn origin(&self, address: IpAddr) -> Origin {
        if self.proxied { Origin::Shared(address) } else { Origin::Own(address) }
    }
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSettings").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A transport on which a client resumes a session.
pub struct Attach {
    transport: ClientTransport,
    /// What was still to be written to it.
    outbound: outbound::Outbound,
    admitted: Admitted,
    /// How many stanzas the client says it has.
    handled: u32,
    /// What the client sent behind its request.
    remaining: Remaining,
}

#[cfg(all(test, feature = "interleavings"))]
impl Attach {
    /// One of a client that is connected to nothing and has said nothing.
    pub(crate) fn of_nobody() -> Box<Attach> {
        use cresset_core::session::Session;
        use rand::SeedableRng;

        let domain = cresset_core::jid::DomainPart::new("capulet.example").expect("a domain");
        let settings = Arc::new(SessionSettings::new(domain, [7; 32], "test"));
        let remaining =
            Session::new(cresset_core::time::Uptime::ZERO, settings, StdRng::seed_from_u64(1)).into_remaining();
        let origin = Origin::Own(IpAddr::from([127, 0, 0, 1]));
        let admitted = Admission::new(1).admit(origin).expect("there is room for one");
        let outbound = outbound::Outbound::default();
        Box::new(Attach { transport: Box::new(tokio::io::empty()), outbound, admitted, handled: 0, remaining })
    }
}

impl fmt::Debug for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attach").field("handled", &self.handled).finish_non_exhaustive()
    }
}
