//! Who may connect: a bound on all clients, and one on the strangers from one address.
//!
//! A stranger is a connection on which nobody has authenticated. Without a bound one address could take every place
//! for as long as the deadline of authentication lasts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many may be connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdmissionLimits {
    /// Connections of clients to this node. Beyond it a new one is closed at once.
    pub connections_max: usize,
    /// Connections from one address on which nobody has authenticated. Beyond it a new one is closed at once.
    pub strangers_per_address_max: usize,
}

impl Default for AdmissionLimits {
    /// As many as a machine with a few gigabytes holds, and as many strangers as may come at once from behind one
    /// address translator after a failure.
    fn default() -> Self {
        AdmissionLimits { connections_max: 200_000, strangers_per_address_max: 2_000 }
    }
}

/// Counts the connections of one node. Clones count together.
#[derive(Clone, Debug)]
pub struct Admission {
    limits: AdmissionLimits,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    /// Only looked up. No entry for an address without strangers.
    strangers: HashMap<IpAddr, usize>,
}

/// The place of one connection; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    counts: Arc<Mutex<Counts>>,
    stranger: Option<IpAddr>,
}

impl Admission {
    /// Nobody is connected yet.
    pub fn new(limits: AdmissionLimits) -> Self {
        Admission { limits, counts: Arc::default() }
    }

    /// Clients that are connected.
    pub fn connections(&self) -> usize {
        lock(&self.counts).connections
    }

    /// A place for a connection from this address, if there is one.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Admitted> {
        let mut counts = lock(&self.counts);
        let strangers = counts.strangers.get(&address).copied().unwrap_or(0);
        if counts.connections >= self.limits.connections_max || strangers >= self.limits.strangers_per_address_max {
            return None;
        }
        counts.connections += 1;
        counts.strangers.insert(address, strangers + 1);
        Some(Admitted { counts: self.counts.clone(), stranger: Some(address) })
    }
}

impl Admitted {
    /// Somebody has authenticated.
    pub(super) fn is_known(&mut self) {
        let Some(address) = self.stranger.take() else { return };
        let mut counts = lock(&self.counts);
        let Some(strangers) = counts.strangers.get_mut(&address) else { return };
        *strangers -= 1;
        if *strangers == 0 {
            counts.strangers.remove(&address);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.is_known();
        lock(&self.counts).connections -= 1;
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn strangers_of_one_address_do_not_take_the_places_of_others() {
        let admission = Admission::new(AdmissionLimits { connections_max: 3, strangers_per_address_max: 1 });

        let mut first = admission.admit(HERE).expect("there is room");
        assert!(admission.admit(HERE).is_none());
        let second = admission.admit(THERE);
        assert!(second.is_some());

        first.is_known();
        assert!(admission.admit(HERE).is_some());
    }

    #[test]
    fn a_place_is_free_again_when_the_connection_is_gone() {
        let admission = Admission::new(AdmissionLimits { connections_max: 1, strangers_per_address_max: 9 });

        let first = admission.admit(HERE);
        assert!(admission.admit(THERE).is_none());
        drop(first);

        assert!(admission.admit(THERE).is_some());
        assert_eq!(admission.connections(), 0);
        assert!(lock(&admission.counts).strangers.is_empty());
    }
}
