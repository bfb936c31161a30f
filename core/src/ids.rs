//! One type for each kind of number, so that none stands in for another.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A position in the replicated log: the cluster's time. The first entry has index 1; 0 is before everything.
    LogIndex
}
number! {
    /// A term of Raft (Ongaro, "Consensus: Bridging Theory and Practice", section 3.3).
    Term
}
number! {
    /// One data directory of one node, for as long as that directory exists. Also the node's id in Raft. A node whose
    /// disk was lost gets another one, because it no longer knows whom it voted for.
    MemberId
}
number! {
    /// One life of a member: the index of the `Join` entry that began it. Commands and frames of an earlier life are
    /// refused.
    Incarnation
}
number! {
    /// A random number that a process draws when it starts; tells two processes of one member apart before the log
    /// has given them an incarnation.
    BootId
}
number! {
    /// A session on its node: counted from 1 by the node's process, never used twice in a life.
    SessionId
}
number! {
    /// Counts what one sender hands over (proposals of a member, parcels on a lane), from 1.
    Sequence
}

/// Bits that count the entries of one log.
const LOG_BITS: u32 = 40;

/// Bits that tell the logs of nodes by themselves apart. What is above them says that it is such a log; the last bit stays
/// free, because databases keep numbers with a sign.
const ALONE_BITS: u32 = 22;

impl LogIndex {
    /// The position after this one.
    pub fn next(self) -> LogIndex {
        LogIndex(self.0 + 1)
    }

    /// The position before the first entry of a node that is by itself, whose positions are none of the cluster's, nor, but
    /// for chance, of another node's or of another time's.
    pub fn of_nobody_else(boot: BootId) -> LogIndex {
        let which = boot.0 % (1 << ALONE_BITS);
        LogIndex((1 << (LOG_BITS + ALONE_BITS)) | (which << LOG_BITS))
    }

    /// Whether both are positions of one log: only then is the greater one later.
    pub fn is_in_the_log_of(self, other: LogIndex) -> bool {
        self.0 >> LOG_BITS == other.0 >> LOG_BITS
    }
}

/// One life of one member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Life {
    /// The member.
    pub member: MemberId,
    /// Which of its lives.
    pub incarnation: Incarnation,
}

/// One holding of one full JID: the position in the log of the bind that gave it out. A later bind has a greater id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct RouteId {
    /// The index of the entry.
    pub index: LogIndex,
    /// The position among the operations of the entry, from 0.
    pub position: u32,
}

impl RouteId {
    /// One that nobody ever holds: no entry has that index.
    pub fn of_nobody(number: u32) -> RouteId {
        RouteId { index: LogIndex(0), position: number }
    }
}

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.position)
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.member, self.incarnation)
    }
}
