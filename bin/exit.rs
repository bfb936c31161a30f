//! What the program ends with, and what it says then.

use std::fmt::Display;

use cresset_net::admin::AskError;

use crate::terminal;

/// The part of `--help` about exit codes.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  failed: the reason is one sentence on standard error
  2  the arguments or the configuration are wrong; nothing was started
  3  the node answers, but the cluster serves nobody there (no quorum); nothing was done";

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be done.
    Failed(String),
    /// The arguments or the configuration are wrong, and nothing was started.
    Configuration(String),
    /// The cluster was asked, and serves nobody at the node that answered. What there was to say was said.
    NotServing,
    /// An order was refused, because nothing can be agreed on at the node that answered. Nothing was done.
    NoQuorum(String),
}

impl Failure {
    /// It could not be done, for this reason.
    pub(crate) fn failed(reason: impl Display) -> Self {
        Failure::Failed(reason.to_string())
    }

    /// A running node was asked, and did not do it or did not answer.
    pub(crate) fn asking(error: AskError) -> Self {
        match error {
            AskError::NoQuorum { .. } => Failure::NoQuorum(error.to_string()),
            AskError::NoSocket { .. }
            | AskError::NobodyThere { .. }
            | AskError::NoPermission { .. }
            | AskError::TimedOut { .. }
            | AskError::NotUnderstood { .. }
            | AskError::Refused { .. }
            | AskError::Failed { .. } => Failure::failed(error),
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Configuration(_) => 2,
            Failure::NotServing | Failure::NoQuorum(_) => 3,
        }
    }

    /// Says why, on standard error.
    pub(crate) fn show(&self) {
        match self {
            Failure::Failed(reason) | Failure::NoQuorum(reason) => terminal::complain(&format!("cresset: {reason}")),
            // Each line begins with the file and the place, so that editors can jump to it.
            Failure::Configuration(problems) => terminal::complain(problems),
            Failure::NotServing => {}
        }
    }
}
