//! A small XMPP client for measuring and for drills: it speaks to any server.
//!
//! ```text
//!  Client ── what a drill calls: send, await the acknowledgement, receive, reconnect
//!    │
//!  negotiate ── stream header, STARTTLS, SASL (scram), bind or resume, XEP-0198
//!    │
//!  Connection ── one socket (plain or tls), bytes waiting to go out, a Framer for what came in
//!    │
//!  Framer ── where a stanza ends;  Stanza ── a glance at its first tag;  Node ── the whole of it, parsed
//! ```
//!
//! It shares no code with the server, so that a mistake in one is not repeated in the other. The invariant of the
//! hot path: a stanza that came in is looked at in place, and nothing is allocated for it.
//!
//! What a server sends is bounded everywhere: stanza size, depth, number of attributes, iterations of a password
//! hash, waiting stanzas. It deliberately has no roster, no retries of its own, and no queue between tasks.
#![allow(dead_code, unused_imports, reason = "two binaries include this module, and each uses its own half")]

mod acks;
mod connection;
#[cfg(test)]
mod conversations;
mod error;
mod framing;
mod negotiate;
mod node;
mod reconnect;
mod scram;
mod session;
mod stanza;
mod tls;

pub(crate) use acks::Acks;
pub(crate) use connection::Connection;
pub(crate) use error::{ClientError, Step};
pub(crate) use framing::{Frame, Framer, FramingError};
pub(crate) use negotiate::{Account, Bind, LoginTimes, Mechanism, Server, StreamManagement, authenticate, login};
pub(crate) use node::Node;
pub(crate) use reconnect::{Reconnect, Reconnected};
pub(crate) use scram::KeyCache;
pub(crate) use session::{Arrival, Client, Lost, Message};
pub(crate) use stanza::{Stanza, escape_into};
pub(crate) use tls::{CertificatePolicy, TlsMode, fingerprint};
