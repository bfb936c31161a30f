//! Keeps one lane to one address: dials, runs the link, dials again.
//!
//! After the end of a link the next attempt follows at once: if the process is dead, its port says so within
//! milliseconds, and that is half of the evidence on which it is expelled.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cresset_core::links::{NotEntered, Slot};
use cresset_core::{planted, sometimes};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::data::DataService;
use super::event::{HelloRefusal, LinkEvent};
use super::handshake;
use super::hello::Hello;
use super::identity::{Direction, Lane};
use super::link::{self, Link};
use super::shared::Shared;
use crate::runtime;

/// How long one attempt to connect may take. What is lost on the way is tried anew by the next attempt, sooner than
/// the system would.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// How long a handshake may take, on either side.
pub(super) const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// The first pause after an attempt that failed.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A link that lived this long was a good one: its address is dialled again without a pause.
const STEADY: Duration = Duration::from_secs(1);

/// How often a refusal of one address is told.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(60);

/// Why an attempt led to no link.
enum Failure {
    Refused,
    Unreachable(io::ErrorKind),
    Hello(HelloRefusal),
    Alias,
    Unwanted,
}

/// Dials until `stop`, or until the address turns out to be this node's own.
pub(super) async fn keep<D: DataService>(
    shared: Arc<Shared<D>>,
    address: SocketAddr,
    lane: Lane,
    mut stop: oneshot::Receiver<()>,
) {
    let mut pauses = Pauses { next: Duration::ZERO, generator: runtime::generator() };
    let mut told: Option<Instant> = None;
    loop {
        let attempt = async {
            sleep(pauses.take()).await;
            wait_until_wanted(&shared, address, lane).await;
            attempt(&shared, address, lane).await
        };
        let attempted = tokio::select! {
            biased;
            _ = &mut stop => return,
            attempted = attempt => attempted,
        };
        match attempted {
            Ok(link) => {
                let begun = Instant::now();
                link::run(&shared, link).await;
                if begun.elapsed() >= STEADY {
                    pauses.next = Duration::ZERO;
                }
            }
            Err(Failure::Hello(HelloRefusal::SelfConnection)) => {
                tracing::debug!(%address, "the address is this node's own");
                return;
            }
            Err(Failure::Unwanted) => return,
            Err(failure) => {
                let quiet = told.is_some_and(|told| told.elapsed() < TELL_EVERY);
                if tell(&shared, address, lane, failure, quiet).await {
                    told = Some(Instant::now());
                }
            }
        }
    }
}

/// Tells of a failure; says whether it was a refusal that is not to be told again soon.
async fn tell<D: DataService>(
    shared: &Shared<D>,
    address: SocketAddr,
    lane: Lane,
    failure: Failure,
    quiet: bool,
) -> bool {
    match failure {
        Failure::Refused if lane == Lane::Control => {
            let member = shared.registry().found_at(address);
            shared.report(LinkEvent::Refused { member, address }).await;
        }
        Failure::Hello(HelloRefusal::BrokenOff(fault)) => {
            tracing::debug!(%address, ?lane, %fault, "handshake broke off")
        }
        // It is not told for people to know, but for this process to begin another life.
        Failure::Hello(refusal @ HelloRefusal::Over) if lane == Lane::Control => {
            tracing::debug!(%address, %refusal, "hello refused");
            shared.report(LinkEvent::HelloRefused { address, direction: Direction::Dialled, refusal }).await;
        }
        // It has left, or has been expelled, and is about to end or to begin another life.
        Failure::Hello(refusal @ HelloRefusal::Superseded) => {
            tracing::debug!(%address, ?lane, %refusal, "not linked")
        }
        Failure::Hello(refusal) if lane == Lane::Control && !quiet => {
            tracing::warn!(%address, %refusal, "a peer and this node do not speak with each other");
            shared.report(LinkEvent::HelloRefused { address, direction: Direction::Dialled, refusal }).await;
            return true;
        }
        Failure::Hello(refusal) => tracing::debug!(%address, ?lane, %refusal, "hello refused"),
        Failure::Unreachable(error) => tracing::debug!(%address, ?lane, ?error, "unreachable"),
        Failure::Alias => tracing::debug!(%address, ?lane, "another address of a peer that is linked"),
        Failure::Refused | Failure::Unwanted => {}
    }
    false
}

/// The data lane is dialled when the cluster knows the life of who is at the address, because parcels count by lives.
async fn wait_until_wanted<D: DataService>(shared: &Shared<D>, address: SocketAddr, lane: Lane) {
    if lane != Lane::Data {
        return;
    }
    loop {
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if shared.registry().wants_data_of(address) {
            return;
        }
        changed.await;
    }
}

async fn attempt<D: DataService>(shared: &Arc<Shared<D>>, address: SocketAddr, lane: Lane) -> Result<Link<D>, Failure> {
    let stream = match timeout(CONNECT_TIME_MAX, (shared.dialler)(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(Failure::Refused),
        Ok(Err(error)) => return Err(Failure::Unreachable(error.kind())),
        Err(_) if planted!(SilenceCountsAsCrash) => return Err(Failure::Refused),
        Err(_) => {
            sometimes!("a_member_cannot_be_reached");
            return Err(Failure::Unreachable(io::ErrorKind::TimedOut));
        }
    };
    let ours = Hello { identity: shared.identity_now(), lane };
    let greeted = timeout(HANDSHAKE_TIME_MAX, handshake::dial(stream, &shared.security, &ours)).await;
    let acquainted = greeted.unwrap_or(Err(HelloRefusal::Unfinished)).map_err(Failure::Hello)?;
    if acquainted.theirs.lane != lane {
        return Err(Failure::Hello(HelloRefusal::Malformed));
    }

    let peer = acquainted.theirs.peer();
    let slot = Slot { member: peer.member, lane, direction: Direction::Dialled };
    let (inlet, outlet) = link::queue(lane, Direction::Dialled, acquainted.wire.format());
    match shared.enter(slot, peer.boot, address, inlet) {
        Ok(registration) => Ok(Link { acquainted, registration, outlet }),
        Err(NotEntered::Refused(refusal)) => Err(Failure::Hello(refusal.into())),
        Err(NotEntered::Alias) => Err(Failure::Alias),
        Err(NotEntered::Unwanted) => Err(Failure::Unwanted),
    }
}

/// The pauses between attempts: they double, and tremble so that nodes that lost each other do not meet in step.
struct Pauses {
    next: Duration,
    generator: StdRng,
}

impl Pauses {
    fn take(&mut self) -> Duration {
        let pause = self.next.mul_f64(self.generator.random_range(0.75..1.25));
        self.next = (self.next * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        pause
    }
}
