//! Lines for the person at the terminal. A reader that has gone away (`cresset … | head`) is no failure.

use std::io::{IsTerminal, Write, stderr, stdout};

/// Writes lines to standard output.
pub(crate) fn say(lines: &str) {
    drop(writeln!(stdout().lock(), "{lines}"));
}

/// Writes lines to standard error.
pub(crate) fn complain(lines: &str) {
    drop(writeln!(stderr().lock(), "{lines}"));
}

/// Shows how far something is, in the place of what was shown before, if somebody looks at standard error. An empty
/// line ends it.
pub(crate) fn progress(line: &str) {
    let mut stderr = stderr().lock();
    if stderr.is_terminal() {
        drop(write!(stderr, "\r{line}\x1b[K").and_then(|()| stderr.flush()));
    }
}
