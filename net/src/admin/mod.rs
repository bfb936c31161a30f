//! The control socket: how the operator's commands reach a running node.
//!
//! ```text
//! cresset cluster status ─▶ client::ask ─▶ unix socket (0600, same user only) ─▶ Server ─▶ the node's answer
//!                                          {"ask":"status"}⏎ ─▶ ◀─ {"answer":"status","status":{…}}⏎
//! ```
//!
//! One request and one answer on each connection, one line of JSON each, both bounded in size and time, and so is the
//! number of connections. Nothing here decides anything: the node hands in where its answers come from.

mod client;
mod server;
mod status;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use client::{AskError, ask, ask_events, ask_status, order};
pub use server::{AdminError, Answers, Server};
pub use status::{ClusterStatus, Connections, MemberState, MemberStatus, TimesStatus};

/// What may be asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the cluster is, as this node sees it.
    Status,
    /// What happened to the members since this node joined.
    Events,
    /// That another member leads.
    TransferLeader {
        /// The name of the member.
        to: String,
    },
    /// That a member that is gone is not waited for any more.
    Remove {
        /// The name of the member.
        name: String,
    },
    /// That the clients of a member are sent to others. Done as soon as that is agreed.
    Drain {
        /// The name of the member.
        name: String,
    },
    /// That a member may have clients again.
    Undrain {
        /// The name of the member.
        name: String,
    },
    /// That the times on which fencing rests become others, for all members. Those that are absent stay.
    ChangeTimes {
        /// Between two signs of life.
        heartbeat_ms: Option<u64>,
        /// How long a member serves without proof that a quorum counts it in.
        lease_ms: Option<u64>,
        /// By how many percent two clocks may differ in speed.
        drift_percent: Option<u32>,
        /// The silence after which a member is expelled.
        expel_after_ms: Option<u64>,
    },
}

impl Request {
    /// How long the answer may take.
    fn time_max(&self) -> Duration {
        match self {
            Request::Status | Request::Events => EXCHANGE_TIME_MAX,
            Request::TransferLeader { .. }
            | Request::Remove { .. }
            | Request::Drain { .. }
            | Request::Undrain { .. }
            | Request::ChangeTimes { .. } => EXCHANGE_TIME_MAX + ORDER_TIME_MAX,
        }
    }
}

/// What is answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Response {
    /// To [`Request::Status`].
    Status {
        /// How the cluster is.
        status: Box<ClusterStatus>,
    },
    /// To [`Request::Events`].
    Events {
        /// The oldest first.
        events: Vec<ClusterEvent>,
    },
    /// What was asked for is so.
    Done,
    /// Nothing can be agreed on at this node at the moment, so nothing was done.
    NoQuorum {
        /// One sentence.
        reason: String,
    },
    /// The request was not understood, or what was asked for cannot be.
    Refused {
        /// One sentence.
        reason: String,
    },
}

/// Something that happened to a member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClusterEvent {
    /// When, in UTC, by the clock of the node that answers.
    pub at: String,
    /// The name of the member.
    pub member: String,
    /// What happened to it, in words that follow the name.
    pub what: String,
}

/// Connections at one time. Beyond it one is cut for the next: of those who have asked nothing, as long as there are any.
const CONNECTIONS_MAX: usize = 16;

/// Bytes of a request. Beyond it the request is refused.
const REQUEST_BYTES_MAX: u64 = 4096;

/// Bytes of an answer: 128 members of less than 1 KiB each, or 500 events of less than 512 bytes, and room. Beyond it the client gives up.
const RESPONSE_BYTES_MAX: u64 = 1024 * 1024;

/// How long it may take to ask, and to be told what is known. Beyond it the server closes the connection, and the client
/// gives up.
const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(5);

/// How long an order may take beside that: as long as operators may set it.
const ORDER_TIME_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
