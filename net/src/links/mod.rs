//! The mesh of links between the members.
//!
//! ```text
//! 5  mesh        the handle: peers, messages, requests, lanes
//! 4  dial, listen    make connections and keep them      link    runs one from Up to Closed
//!    question    asks who is there, for a command that is no member
//! 3  control, raft, home, owner    what each side of each lane does with frames
//! 2  shared      who is linked and which process of a member is current (registry)
//!    handshake   proof of the join secret, hello
//! 1  wire        frames over one connection: record (seals), frame, hello, identity, event
//! ```
//!
//! Every node dials every address it knows, on each of three lanes. The side that dials sends, answers come back on the
//! same connection: so each direction has a connection of its own, and neither Raft nor the beats of the control plane
//! ever wait behind stanzas.
//!
//! It keeps apart what the control plane must not mix up: the end of a connection and a port that refuses (what a crash
//! looks like) on the one side, silence and time-outs on the other. It keeps the frames of processes that are over
//! away from everybody. It decides nothing about members: that is `cresset_core::node`.

mod control;
mod data;
mod dial;
mod event;
mod frame;
mod handshake;
mod hello;
mod home;
mod identity;
mod link;
mod listen;
mod mesh;
mod owner;
mod question;
mod queue;
mod raft;
mod record;
mod registry;
mod shared;
mod wire;

#[cfg(test)]
pub(crate) mod tests;

pub use cresset_core::node::Peer;
pub use data::{DataService, ToLane};
pub use event::{
    CALL_BYTES_MAX, CallError, HelloRefusal, LinkEvent, LinkFault, LinkId, LinkUp, RaftService, SendError,
};
pub use home::DataLane;
#[cfg(all(test, feature = "interleavings"))]
pub(crate) use home::alone;
pub use identity::{Direction, Identity, JoinSecret, Lane, LinkSecurity, TEXT_BYTES_MAX};
pub use mesh::{Mesh, Services};
pub use question::{Present, who_is_at};
