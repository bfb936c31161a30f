//! Lines for the person at the terminal. A reader that has gone away (`cargo sim … | head`) is no failure.

use std::io::{Write, stderr, stdout};

/// Writes lines to standard output.
pub(crate) fn say(lines: &str) {
    drop(writeln!(stdout().lock(), "{lines}"));
}

/// Writes lines to standard error.
pub(crate) fn complain(lines: &str) {
    drop(writeln!(stderr().lock(), "{lines}"));
}
