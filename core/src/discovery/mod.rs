//! Where may members be? Machines that find addresses and decide nothing.
//!
//! ```text
//!            ┌─ Multicast ──── Send ───▶ the group ─── packets ───┐
//!  settings ─┤                                                    ├─▶ Found(addresses) ─▶ who dials
//!            └─ Lookup ─────── Ask ────▶ names, EC2 ── answers ───┘
//! ```
//!
//! Both keep the contract of the crate: `handle_*(now, fact)` takes facts, `poll_output` hands out orders and only pops,
//! `poll_timeout` says when to call `handle_timeout(now)`; calls that come too early or twice change nothing.
//!
//! The invariant: **what is found is a candidate, nothing more.** Who answers at an address proves that it knows the join
//! secret when it is dialled, and becomes a member by being agreed. So an attacker who gets past everything here wins a
//! refused connection.
//!
//! Not here: sockets, resolvers, HTTP, and dialling.

pub mod aws;
mod lookup;
mod multicast;
mod packet;

use std::collections::BTreeSet;
use std::net::SocketAddr;

pub use lookup::{Lookup, NoAnswer, Question, QuestionId};
pub use multicast::{Counts, Multicast};
pub use packet::{DiscoveryKey, PACKET_BYTES_MAX};

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send this packet to the group.
    Send(Vec<u8>),
    /// Ask this, and hand the answer in under its number.
    Ask(QuestionId, Question),
    /// These are all addresses at which members may be, this node's own left out. Replaces what was found before.
    Found(BTreeSet<SocketAddr>),
}
