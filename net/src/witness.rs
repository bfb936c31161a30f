//! What a simulation is told of the inside of a node, at the places where it happens.
//!
//! Only a build with `--cfg cresset_simulated` has a listener; in every other one `tell` is nothing, and what would be
//! told is not computed. The listener belongs to the thread, because a simulation is one thread, and it must know by
//! itself which of the nodes on that thread is at work. What is on a disk is not told here: it is read off the disk.
//!
//! A fact is told before anybody can act on it. Nothing in a node depends on a fact being told.

use cresset_core::cluster::Event;
use cresset_core::ids::{LogIndex, MemberId, SessionId, Term};
use cresset_core::node::{Answer, RaftStatus, Request, Service};
use cresset_core::time::Uptime;

/// Something that happens inside of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// An entry of the log goes to the agreed state.
    Applied {
        /// In which term it was made.
        term: Term,
        /// Its position.
        index: LogIndex,
        /// The sum of what it says.
        sum: u32,
    },
    /// A snapshot has taken the place of the agreed state.
    Installed {
        /// In which term its last entry was made.
        term: Term,
        /// The position of that entry.
        index: LogIndex,
    },
    /// The agreed state, after an entry or a snapshot.
    State {
        /// The position of the last entry in it.
        index: LogIndex,
        /// Its digest.
        digest: u64,
    },
    /// What Raft says of itself has changed.
    Raft {
        /// This member.
        member: MemberId,
        /// What it says.
        status: RaftStatus,
    },
    /// The agreed state changed, and routing follows.
    Changed {
        /// How.
        event: Event,
        /// How far the agreed state is.
        applied: LogIndex,
    },
    /// A session asks the control plane for something.
    Asked(Request),
    /// The control plane answers.
    Answered {
        /// Whom.
        session: SessionId,
        /// What.
        answer: Answer,
    },
    /// The lease ends then.
    Lease {
        /// Absent if the node holds none.
        until: Option<Uptime>,
        /// What time it is by the same clock.
        now: Uptime,
    },
    /// What this node has handed to one other member and must not forget yet.
    UnderWay {
        /// The other member.
        to: MemberId,
        /// How many parcels.
        parcels: usize,
    },
    /// More waits for a session than may wait for one, and nobody has told it to end.
    Overfull {
        /// Which.
        session: SessionId,
    },
    /// Clients are treated like this from now on.
    Service(Service),
    /// The node bootstraps Raft, and with it a cluster.
    Founds {
        /// Which member it is.
        member: MemberId,
    },
    /// Whether the node serves its clients by itself from now on, or by the cluster.
    Alone(bool),
}

#[cfg(not(cresset_simulated))]
mod listener {
    use super::Fact;

    /// Does nothing in this build.
    #[inline(always)]
    pub(crate) fn tell(_: impl FnOnce() -> Fact) {}
}

#[cfg(cresset_simulated)]
mod listener {
    use std::cell::RefCell;

    use super::Fact;

    /// Who is told. It must tell nothing itself.
    pub type Listener = Box<dyn FnMut(Fact)>;

    thread_local! {
        static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
    }

    /// From now on what the nodes of this thread tell goes to this listener, or to nobody.
    pub fn listen(listener: Option<Listener>) {
        LISTENER.set(listener);
    }

    /// Tells a fact, if somebody listens.
    pub(crate) fn tell(fact: impl FnOnce() -> Fact) {
        LISTENER.with_borrow_mut(|listener| {
            if let Some(listener) = listener {
                listener(fact());
            }
        });
    }
}

#[cfg(cresset_simulated)]
pub use listener::{Listener, listen};

pub(crate) use listener::tell;
