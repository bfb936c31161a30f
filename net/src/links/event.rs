//! What the links report, and why they end.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use cresset_core::cluster::VersionRange;
use cresset_core::config::alike::Difference;
use cresset_core::ids::MemberId;
pub use cresset_core::links::LinkId;
use cresset_core::node::Peer;
use cresset_core::wire::{LinkFormat, WireError};
use futures_util::future::BoxFuture;
use thiserror::Error;

use super::identity::{Direction, Lane};

/// What happened on the links, in the order in which it happened on each of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkEvent {
    /// A link is there: both sides know who the other one is.
    Up(LinkUp),
    /// A link that was up is not there any more.
    Closed {
        /// Which link.
        link: LinkId,
        /// Who was at the other end.
        peer: Peer,
        /// What it was for.
        lane: Lane,
        /// Who had made it.
        direction: Direction,
        /// Why it ended. [`LinkFault::is_evidence`] says whether that is half of the evidence of a crash.
        fault: LinkFault,
    },
    /// The port of a peer refused a connection: nobody listens there. The other half of the evidence of a crash. Told
    /// for each attempt on the control lane, so at least once a second.
    Refused {
        /// Who was last found at the address.
        member: Option<MemberId>,
        /// The address.
        address: SocketAddr,
    },
    /// A message of the control plane.
    Control {
        /// From whom.
        peer: Peer,
        /// How it is written.
        format: LinkFormat,
        /// What [`Mesh::send_control`](super::Mesh::send_control) was given.
        message: Bytes,
    },
    /// Two nodes do not want to speak with each other. Told at most once a minute for an address that is dialled, and
    /// once a minute for each kind of reason among those that dial us.
    HelloRefused {
        /// The other end.
        address: SocketAddr,
        /// Who had made the connection.
        direction: Direction,
        /// Why.
        refusal: HelloRefusal,
    },
}

/// A link as both sides know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkUp {
    /// Which link.
    pub link: LinkId,
    /// Who is at the other end.
    pub peer: Peer,
    /// The name that people know the peer by.
    pub name: String,
    /// Where the peer says that others reach it. May be dialled by whoever did not know it.
    pub address: SocketAddr,
    /// What the link is for.
    pub lane: Lane,
    /// Who made it.
    pub direction: Direction,
    /// The newest protocol version that both understand: what goes over the link is written in its
    /// [format](LinkFormat::of_version).
    pub version: u32,
    /// The version of the peer's program, for people; empty if it does not say.
    pub program: String,
}

/// Why a link ended.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LinkFault {
    /// The other side closed it.
    #[error("closed by the other side")]
    Ended,
    /// The other side's system reset it.
    #[error("reset by the other side")]
    Reset,
    /// The network failed in another way.
    #[error("network error: {0}")]
    Io(io::ErrorKind),
    /// Nothing came for too long.
    #[error("silent")]
    Silent,
    /// A record is shorter than its seal or longer than a handshake may be.
    #[error("a record of {0} bytes")]
    RecordLength(usize),
    /// What came is not what was sent: the seal or the checksum does not fit.
    #[error("a record that was tampered with or damaged")]
    Forged,
    /// A frame that is too long or has no room for its own head.
    #[error("a frame of {len} bytes, at most {max} are accepted")]
    FrameLength {
        /// What it said.
        len: u64,
        /// What the lane accepts.
        max: u64,
    },
    /// A frame of another format than both ends had agreed on.
    #[error("a frame of format {found}, and both sides had agreed on format {agreed}")]
    FrameFormat {
        /// What it said.
        found: u8,
        /// That of the link.
        agreed: u8,
    },
    /// A frame that this side of this lane does not understand.
    #[error("a malformed frame: {0}")]
    Malformed(&'static str),
    /// A request was not answered in time.
    #[error("a request was not answered in time")]
    CallTimedOut,
    /// Another link took its place.
    #[error("replaced by another link")]
    Replaced,
    /// The process at the other end is not the current one of its member.
    #[error("of a process that is over")]
    Superseded,
    /// This node wanted it closed.
    #[error("closed by this node")]
    Stopped,
}

impl LinkFault {
    /// Of a payload that is not `what` it should be.
    pub(super) fn of_payload(error: WireError, what: &'static str) -> LinkFault {
        match error {
            WireError::Format { found, expected: agreed } => LinkFault::FrameFormat { found, agreed },
            WireError::TooLong { .. } | WireError::Empty | WireError::Malformed(_) | WireError::Trailing(_) => {
                LinkFault::Malformed(what)
            }
        }
    }

    /// Whether the end of the link is what the death of the process at the other end looks like. Silence, time-outs
    /// and unreachable hosts never are; nor is anything that this side did.
    pub fn is_evidence(&self) -> bool {
        matches!(self, LinkFault::Ended | LinkFault::Reset)
    }
}

impl From<io::Error> for LinkFault {
    fn from(error: io::Error) -> LinkFault {
        let kind = error.kind();
        if kind == io::ErrorKind::UnexpectedEof {
            LinkFault::Ended
        } else if kind == io::ErrorKind::ConnectionReset || kind == io::ErrorKind::BrokenPipe {
            LinkFault::Reset
        } else {
            LinkFault::Io(kind)
        }
    }
}

/// Why two nodes do not speak with each other.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum HelloRefusal {
    /// The other node belongs to another cluster.
    #[error(
        "the account databases differ: ours is that of the cluster {ours}, theirs is that of the cluster {theirs}; all \
         members of a cluster share one"
    )]
    WrongCluster {
        /// This node's.
        ours: String,
        /// The other node's.
        theirs: String,
    },
    /// There is no protocol version that both understand. What a member of a cluster follows begins with the version that
    /// the cluster has agreed on.
    #[error(
        "no common version: ours are {}-{}, theirs are {}-{}; update the program of the node that is behind",
        ours.min, ours.max, theirs.min, theirs.max
    )]
    IncompatibleVersions {
        /// This node's.
        ours: VersionRange,
        /// The other node's.
        theirs: VersionRange,
    },
    /// The other end is this process.
    #[error("the address is this node's own")]
    SelfConnection,
    /// The dialling process is not the current one of its member.
    #[error("that process of the member is over")]
    Superseded,
    /// The other node refuses this process: it knows that the life that it leads is over.
    #[error("this process is over, as the other node knows")]
    Over,
    /// The cluster has not agreed yet that the dialling process is a member's current one, so it may not deliver.
    #[error("the process is not known as a current one yet")]
    NotCurrent,
    /// The accepting node has as many links as it may have.
    #[error("too many links")]
    TooManyLinks,
    /// The handshake cannot be read: the join secrets differ. Unless they are in files, they come from the databases.
    #[error(
        "the join secrets differ, so the two have different account databases or secret files; all members of a \
         cluster share one account database"
    )]
    WrongSecret,
    /// One side encrypts and the other does not.
    #[error("one side encrypts and the other does not")]
    OtherSecurity,
    /// The other side shakes hands in a version that this program does not know.
    #[error("handshake version {0} is not understood")]
    HandshakeVersion(u8),
    /// The other end does not speak the protocol of the links at all.
    #[error("not a peer")]
    NotAPeer,
    /// Both keep their accounts in a file that serves one machine, and run on two.
    #[error(
        "the two run on different machines and keep their accounts in one SQLite file, which cannot work: a cluster on \
         several machines keeps them in PostgreSQL, <accounts><postgresql url=\"…\"/></accounts>"
    )]
    OtherMachine,
    /// What all members must say alike they say differently.
    #[error(transparent)]
    NotAlike(Difference),
    /// A hello that cannot be read.
    #[error("malformed hello")]
    Malformed,
    /// A reason that this program does not know.
    #[error("refused for a reason of a later version, number {0}")]
    Unknown(u8),
    /// The dialling process only wanted to know who is here.
    #[error("it only asked who is here")]
    OnlyAsked,
    /// The handshake took too long, or too many others began one meanwhile.
    #[error("the handshake was not finished in time")]
    Unfinished,
    /// The connection broke off during the handshake.
    #[error("the handshake broke off: {0}")]
    BrokenOff(LinkFault),
}

/// Why a control message was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SendError {
    /// There is no link to the member.
    #[error("not connected")]
    NotConnected,
    /// The queue of the link is full.
    #[error("the queue is full")]
    Full,
    /// It is longer than [`Lane::payload_bytes_max`].
    #[error("too long")]
    TooLong,
}

/// Why a request has no response.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum CallError {
    /// There is no link to the member; the request was not sent.
    #[error("not connected")]
    NotConnected,
    /// It is longer than [`CALL_BYTES_MAX`]; the request was not sent.
    #[error("too long")]
    TooLong,
    /// The link broke off; the request may have arrived.
    #[error("the link broke off")]
    Closed,
    /// No response came in time; the request may have arrived. The link was closed.
    #[error("no response in time")]
    TimedOut,
}

/// Bytes of a request or response on the Raft lane: a payload less the number that pairs the two.
pub const CALL_BYTES_MAX: usize = Lane::Raft.payload_bytes_max() - 8;

/// Answers the requests of the other members' Raft.
pub trait RaftService: Send + Sync + 'static {
    /// Answers one request. Requests of one link begin in the order in which they were sent and go on side by side.
    /// A response of more than [`CALL_BYTES_MAX`] bytes closes the link. Dropped with the link.
    fn handle(&self, peer: Peer, request: Bytes) -> BoxFuture<'static, Bytes>;
}
