//! What the operating system tells the program: stop, or look at the files again.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM.
#[derive(Debug)]
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// From here on these signals do not end the process by themselves.
    ///
    /// # Errors
    ///
    /// If the signals cannot be listened to.
    pub(crate) fn listen() -> std::io::Result<Stop> {
        Ok(Stop { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits until one of them comes.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
/// SIGHUP.
///
/// # Errors
///
/// If the signal cannot be listened to.
pub(crate) fn reload() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}
