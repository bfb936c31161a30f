//! Openraft over the links: questions to one member, each with a deadline, each answered once.
//!
//! ```text
//! openraft ──▶ PeerClient ──encode──▶ PeerCalls (the links' Raft lane) ──▶ … ──▶ Server ──check──▶ openraft
//! ```
//!
//! The invariant: what reaches openraft from outside is within the bounds of [`check`](self), says nothing in another
//! member's name, and cannot raise the term by more than a step. The links know who is at the other end; this room
//! knows nothing of sockets.

mod check;
mod client;
mod message;
mod server;
mod transfer;

use std::time::Duration;

use bytes::Bytes;
use cresset_core::ids::MemberId;
use futures_util::future::BoxFuture;

pub use server::Server;

pub(super) use client::{Acknowledged, Peers};
pub(super) use server::UnderWay;

/// Bytes of the largest question or answer: what the links carry in one message.
pub const CALL_BYTES_MAX: usize = crate::links::CALL_BYTES_MAX;

/// Bytes of a snapshot that are sent at a time.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// The way to other members: the Raft lane of the links.
pub trait PeerCalls: Send + Sync + 'static {
    /// Asks a member and waits for the answer, no longer than `deadline`. Nothing is sent twice. Dropping the future
    /// gives the question up, and so does the deadline: a late answer is dropped.
    fn call(&self, to: MemberId, question: Bytes, deadline: Duration) -> BoxFuture<'static, Result<Bytes, CallError>>;
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// There is no link to the member: the question was not sent, and trying at once again is of no use.
    #[error("no link")]
    NoLink,
    /// The link was lost on the way: the member may have got the question.
    #[error("the link was lost: {0}")]
    Lost(String),
    /// The deadline passed.
    #[error("no answer in time")]
    TimedOut,
}

#[cfg(test)]
pub(super) mod tests;
