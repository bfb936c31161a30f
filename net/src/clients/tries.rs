//! Asks whether a password may be tried, and tells the log what became of it.
//!
//! One machine for all clients of the node, behind a lock that is held for microseconds and for log-ins alone. A try that
//! has to wait sleeps in the task of its client, and holds nothing but its connection.
//!
//! The lines for the log have a fixed form, so that a program can read them: first what the client cannot choose, then what
//! it can.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cresset_core::admission::Origin;
use cresset_core::jid::BareJid;
use cresset_core::sasl::Mechanism;
use cresset_core::sasl::throttle::{Burst, Subject, Throttle, Try, TryOutcome, Verdict};
use cresset_core::session::{LoginFailure, LoginName, LoginReport};
use cresset_core::time::Uptime;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::router::Router;

/// What is tried here. Whatever else is tried one day has a name of its own.
const ACCOUNT: &str = "account";

/// The tries of all clients of a node.
#[derive(Debug, Default)]
pub struct Tries {
    throttle: Mutex<Throttle>,
    /// A burst has begun.
    begun: Notify,
}

impl Tries {
    /// Asks for a password of this account to be checked; none if it may not be.
    pub(super) fn ask(self: &Arc<Self>, now: Uptime, account: &BareJid, origin: Origin) -> Option<Attempt> {
        let subject = Subject::new(ACCOUNT, account.as_str());
        let (verdict, is_slowed) = self.with(|throttle| {
            let verdict = throttle.handle_try(now, &subject, origin);
            (verdict, throttle.poll_timeout().is_some())
        });
        if is_slowed {
            self.begun.notify_one();
        }
        match verdict {
            Verdict::Go(wait, tried) => Some(Attempt { tries: self.clone(), wait, now, tried: Some(tried) }),
            Verdict::Refused => None,
        }
    }

    /// Writes a line about an attempt that failed, unless there were too many, which are counted.
    pub(super) fn tell(&self, now: Uptime, address: IpAddr, report: &LoginReport) {
        let Err(failure) = report.result else { return };
        // Those are told of as a burst.
        if failure == LoginFailure::TooManyTries {
            return;
        }
        if self.with(|throttle| throttle.handle_line(now, address)) {
            log(address, report.mechanism, failure, &report.login);
        } else {
            self.begun.notify_one();
        }
    }

    /// Tells of the bursts that are over, until `stop` says so or is dropped.
    pub async fn tell_bursts(self: Arc<Self>, router: Arc<Router>, mut stop: watch::Receiver<bool>) {
        loop {
            let next = self.with(|throttle| throttle.poll_timeout());
            let now = router.now();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = sleep(next.map_or(Duration::MAX, |next| next.since(now))), if next.is_some() => {}
                () = self.begun.notified(), if next.is_none() => {}
            }
            let now = router.now();
            let bursts: Vec<Burst> = self.with(|throttle| {
                if throttle.poll_timeout().is_some_and(|due| due <= now) {
                    throttle.handle_timeout(now);
                }
                std::iter::from_fn(|| throttle.poll_burst()).collect()
            });
            bursts.iter().for_each(log_burst);
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut MutexGuard<'_, Throttle>) -> T) -> T {
        work(&mut self.throttle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A try that may be made. If it is dropped, no password was checked.
#[derive(Debug)]
pub(super) struct Attempt {
    tries: Arc<Tries>,
    wait: Duration,
    /// When it was last heard of.
    now: Uptime,
    tried: Option<Try>,
}

impl Attempt {
    /// Ready when it is its turn.
    pub(super) async fn turn(&self) {
        if !self.wait.is_zero() {
            sleep(self.wait).await;
        }
    }

    /// Tells how the attempt to authenticate has ended.
    pub(super) fn end(mut self, now: Uptime, report: &LoginReport) {
        self.now = now;
        self.end_as(match report.result {
            Ok(()) => TryOutcome::Succeeded,
            Err(failure) if failure.is_wrong_secret() => TryOutcome::Failed,
            Err(_) => TryOutcome::Abandoned,
        });
    }

    fn end_as(&mut self, outcome: TryOutcome) {
        if let Some(tried) = self.tried.take() {
            let now = self.now;
            self.tries.with(|throttle| throttle.handle_outcome(now, tried, outcome));
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.end_as(TryOutcome::Abandoned);
    }
}

/// The line by which other programs know a failure. Its form is promised to operators: the words, the names of the fields
/// and their order stay. The name comes last, because it is what the client chooses.
fn log(address: IpAddr, mechanism: Option<Mechanism>, failure: LoginFailure, login: &LoginName) {
    let (mechanism, reason) = (mechanism.map_or("-", Mechanism::name), failure.name());
    let address = address.to_canonical();
    tracing::info!(target: TARGET, %address, %mechanism, %reason, account = %login, "log-in failed");
}

/// The line about many tries.
fn log_burst(burst: &Burst) {
    let Burst { scope, subject, address, slowed, refused, unlogged, lasted, .. } = burst;
    let count = slowed + refused + unlogged;
    let seconds = lasted.as_secs();
    let account = subject.as_deref().unwrap_or("-");
    let scope = scope.name();
    tracing::info!(
        target: TARGET, %scope, %address, count, slowed, refused, unlogged, seconds, %account, "log-ins slowed down"
    );
}

/// Where both lines come from, whatever this file is called.
const TARGET: &str = "cresset::login";

#[cfg(test)]
mod tests;
