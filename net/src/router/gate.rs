//! Whether this node may serve at this moment, as every connection asks before it writes.
//!
//! The control plane is told by time that the lease has ended, but a machine that was suspended wakes its tasks in any
//! order. So a connection does not wait to be told: it compares the end of the lease with the clock itself.

use std::time::Duration;

use cresset_core::node::Service;
use cresset_core::time::Uptime;
use cresset_core::{planted, sometimes};

use crate::sync::atomic::{AtomicU8, AtomicU64, Ordering};

const SERVE: u8 = 0;
const PAUSE: u8 = 1;
const CLOSE: u8 = 2;

/// The state of the service. Closed until the control plane opens it.
#[derive(Debug)]
pub struct Gate {
    service: AtomicU8,
    /// In microseconds of uptime; the last one for ever.
    lease_until: AtomicU64,
    /// Which life of the node is served.
    generation: AtomicU64,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { service: AtomicU8::new(CLOSE), lease_until: AtomicU64::new(0), generation: AtomicU64::new(0) }
    }
}

impl Gate {
    /// Whether clients may be read from, delivered to and acknowledged.
    pub fn may_serve(&self, now: Uptime) -> bool {
        let is_held = microseconds(now.since_start()) < self.lease_until.load(Ordering::Acquire);
        let is_ordered = self.service() == Service::Serve;
        sometimes!(is_ordered && !is_held, "a_connection_sees_the_end_of_the_lease_first");
        is_ordered && (is_held || planted!(LeaseIgnored) || planted!(GateIgnoresTheClock))
    }

    /// Whether that is for the sessions of this life of the node: those of an earlier one have to go on in it first.
    pub fn is_of(&self, generation: u64) -> bool {
        self.generation() == generation
    }

    /// Counts the lives of this member in this process.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What the control plane last ordered.
    pub fn service(&self) -> Service {
        match self.service.load(Ordering::Acquire) {
            SERVE => Service::Serve,
            PAUSE => Service::Pause,
            _ => Service::Close,
        }
    }

    pub(super) fn set_service(&self, service: Service) {
        let number = match service {
            Service::Serve => SERVE,
            Service::Pause => PAUSE,
            Service::Close => CLOSE,
        };
        self.service.store(number, Ordering::Release);
    }

    pub(super) fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
    }

    pub(super) fn set_lease(&self, until: Option<Uptime>) {
        let until = until.map_or(0, |until| microseconds(until.since_start()));
        self.lease_until.store(until, Ordering::Release);
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
