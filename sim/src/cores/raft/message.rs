//! What members of the model say to each other, and what they want of the world.

use std::rc::Rc;

use cresset_core::ids::MemberId;

use super::log::{LogEntry, Position, Snapshot};

/// A question.
#[derive(Clone, Debug)]
pub(in crate::cores) enum Question {
    Append {
        term: u64,
        previous: Position,
        entries: Vec<LogEntry>,
        commit: u64,
    },
    Snapshot {
        term: u64,
        snapshot: Rc<Snapshot>,
    },
    Vote {
        term: u64,
        last: Position,
        /// Only asks whether it would be worth asking.
        is_trial: bool,
        /// The leader has gone or wants to: the lease of its followers does not count.
        is_transfer: bool,
    },
    /// The leader of this term wants `to` to lead, whose log should end there.
    Transfer {
        term: u64,
        to: MemberId,
        last: Position,
    },
}

/// The answer to it.
#[derive(Clone, Debug)]
pub(in crate::cores) enum Answer {
    Appended {
        /// Of the member that answers.
        term: u64,
        /// Up to here the logs are the same, or else where the answering one ends.
        agrees: Result<u64, u64>,
    },
    Voted {
        term: u64,
        /// Of the question.
        asked: u64,
        is_trial: bool,
        is_granted: bool,
    },
    /// There is nothing to say.
    Heard,
}

/// What a member of the model wants done.
#[derive(Debug)]
pub(in crate::cores) enum Order {
    /// Ask another one, if there is a link.
    Ask { to: MemberId, question: Question },
    /// The link to that one is stuck: close it.
    GiveUp { to: MemberId },
    /// It leads.
    Leads { term: u64 },
}
