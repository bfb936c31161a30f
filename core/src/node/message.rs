//! What members say to each other on the control links.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::Command;
use crate::ids::{BootId, Life, LogIndex, MemberId, Sequence, Term};
use crate::liveness::LogEnd;
use crate::node::Wish;
use crate::wire::{self, LinkFormat, WireError};

/// Bytes of the largest control message: a batch of [`BATCH_OPERATIONS_MAX`](crate::limits::BATCH_OPERATIONS_MAX) binds
/// whose JIDs are of ordinary length. The batcher stays below it.
pub const CONTROL_BYTES_MAX: usize = 1 << 20;

/// One message on a control link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ControlMessage {
    /// I live. Also my ask for a lease, and if I lead, the round that confirms that I still do.
    Beat {
        /// Counts my beats.
        round: Sequence,
        /// What I have applied.
        applied: LogIndex,
        /// My life, if I have one.
        life: Option<Life>,
        /// Who leads, as far as I know.
        leader: Option<MemberId>,
        /// Whom of the active members I do not hear.
        unheard: BTreeSet<MemberId>,
    },
    /// The answer to a beat.
    BeatAnswer(BeatAnswer),
    /// A quorum counts you in, as of your asking.
    Granted {
        /// The round of the beat that asked.
        ask: Sequence,
        /// The life that asked.
        life: Life,
    },
    /// That life of yours is over.
    Over {
        /// Which.
        life: Life,
    },
    /// I have applied everything up to here.
    Applied {
        /// The index.
        index: LogIndex,
    },
    /// The links of this process closed and its port refuses me.
    Crashed {
        /// The member.
        member: MemberId,
        /// Which process of it.
        boot: BootId,
        /// Where my log ends.
        log_end: LogEnd,
    },
    /// I take that back: I have a link to it.
    TakenBack {
        /// The member.
        member: MemberId,
        /// Which process of it.
        boot: BootId,
    },
    /// Propose this for me, if you lead.
    Propose {
        /// Commands of the sender's own life.
        commands: Vec<Command>,
    },
    /// You want to join and I do not lead: who does is reached there.
    LedFrom {
        /// Where other members reach the leader.
        address: SocketAddr,
    },
    /// An operator wants this, who spoke to me: do it, if you lead.
    Wanted(Wish),
}

impl ControlMessage {
    /// Its bytes on a link of this format.
    pub fn encode(&self, format: LinkFormat) -> Vec<u8> {
        match format {
            LinkFormat::First | LinkFormat::Third => wire::encode(self),
        }
    }

    /// The message that the bytes hold on a link of this format.
    ///
    /// # Errors
    ///
    /// If they are none, or one with a kind or a field that is not known: it is passed over as a whole, as if it had been
    /// lost. Whatever still matters is said again.
    pub fn decode(bytes: &[u8], format: LinkFormat) -> Result<ControlMessage, WireError> {
        match format {
            LinkFormat::First | LinkFormat::Third => wire::decode(bytes, CONTROL_BYTES_MAX),
        }
    }
}

/// The answer to a beat.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BeatAnswer {
    /// Which.
    pub round: Sequence,
    /// The term of my last vote.
    pub voted: Term,
    /// What I have applied.
    pub applied: LogIndex,
    /// Who leads, as far as I know.
    pub leader: Option<MemberId>,
    /// To whom says that it leads: how long ago I last answered another one that said so.
    pub another_leader: Option<Duration>,
}
