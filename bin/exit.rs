//! What the program ends with, and what it says then.

use std::fmt::Display;

use crate::terminal;

/// The part of `--help` about exit codes.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  failed: the reason is one sentence on standard error
  2  the arguments or the configuration are wrong; nothing was started
  3  the node answers, but the cluster serves nobody there (no quorum)";

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be done.
    Failed(String),
    /// The arguments or the configuration are wrong, and nothing was started.
    Configuration(String),
    /// The cluster was asked, and serves nobody at the node that answered. What there was to say was said.
    NotServing,
}

impl Failure {
    /// It could not be done, for this reason.
    pub(crate) fn failed(reason: impl Display) -> Self {
        Failure::Failed(reason.to_string())
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Configuration(_) => 2,
            Failure::NotServing => 3,
        }
    }

    /// Says why, on standard error.
    pub(crate) fn show(&self) {
        match self {
            Failure::Failed(reason) => terminal::complain(&format!("cresset: {reason}")),
            // Each line begins with the file and the place, so that editors can jump to it.
            Failure::Configuration(problems) => terminal::complain(problems),
            Failure::NotServing => {}
        }
    }
}
