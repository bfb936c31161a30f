//! The places of clients: how many there are, and how many of them strangers of one origin may hold.
//!
//! A stranger is a connection on which nobody has authenticated. What strangers of one host or one network may hold is a
//! share of what is free, so that it shrinks as places become rare: who comes from elsewhere finds one, also while
//! many addresses take as many as they can. Strangers behind a proxy have one address, so they share a greater part, and
//! their network is not looked at.
//!
//! A session whose client is gone and may come back has no connection, but memory: as many of them as there are places may
//! wait besides.

use std::collections::HashMap;
use std::hash::Hash;

use super::{Host, Network, Origin};
use crate::limits::{HOST_STRANGERS_MAX, HOST_STRANGERS_MIN, NETWORK_STRANGERS_MAX, NETWORK_STRANGERS_MIN};

/// Of what is free the strangers of one host may hold one part in so many.
const HOST_SHARE: usize = 8;

/// The same for one network.
const NETWORK_SHARE: usize = 4;

/// The same for all who come through one proxy. Whoever does not finds the other part.
const PROXY_SHARE: usize = 2;

/// Counts who holds a place. Beyond the bounds a connection is refused.
#[derive(Debug)]
pub struct Places {
    places_max: usize,
    taken: usize,
    last: u64,
    /// Sessions without a connection.
    waiting: usize,
    /// Only looked up. No entry for a host without strangers.
    hosts: HashMap<Host, usize>,
    /// The same for networks.
    networks: HashMap<Network, usize>,
}

impl Places {
    /// So many places, all of them free.
    pub fn new(places_max: usize) -> Places {
        Places { places_max, taken: 0, waiting: 0, last: 0, hosts: HashMap::new(), networks: HashMap::new() }
    }

    /// How many places there are.
    pub fn places_max(&self) -> usize {
        self.places_max
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes a place for a stranger that comes from there: its number, which no other connection gets, or nothing if it is
    /// refused.
    #[must_use]
    pub fn take(&mut self, origin: Origin) -> Option<u64> {
        let free = self.places_max.saturating_sub(self.taken);
        let host = origin.host();
        let (of_host, of_network) = (count(&self.hosts, &host), count(&self.networks, &host.network()));
        let (host_max, network_max) = match origin {
            Origin::Own(_) => (
                (free / HOST_SHARE).clamp(HOST_STRANGERS_MIN, HOST_STRANGERS_MAX),
                (free / NETWORK_SHARE).clamp(NETWORK_STRANGERS_MIN, NETWORK_STRANGERS_MAX),
            ),
            Origin::Shared(_) => ((free / PROXY_SHARE).max(HOST_STRANGERS_MIN), usize::MAX),
        };
        if free == 0 || of_host >= host_max || of_network >= network_max {
            return None;
        }
        self.taken += 1;
        self.last += 1;
        self.hosts.insert(host, of_host + 1);
        if let Origin::Own(_) = origin {
            self.networks.insert(host.network(), of_network + 1);
        }
        Some(self.last)
    }

    /// A session is without a connection and waits for its client: whether it may.
    #[must_use]
    pub fn begin_to_wait(&mut self) -> bool {
        let has_room = self.waiting < self.places_max;
        self.waiting += usize::from(has_room);
        has_room
    }

    /// A session that was allowed to wait does so no more.
    pub fn end_to_wait(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// How many sessions wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// A stranger that comes from there has authenticated, and keeps its place.
    pub fn is_known(&mut self, origin: Origin) {
        reduce(&mut self.hosts, origin.host());
        if let Origin::Own(_) = origin {
            reduce(&mut self.networks, origin.host().network());
        }
    }

    /// A place of somebody who has authenticated is free again. One of a stranger is told
    /// [`is_known`](Places::is_known) before.
    pub fn leave(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }
}

fn count<K: Eq + Hash>(counts: &HashMap<K, usize>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or(0)
}

fn reduce<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    let Some(count) = counts.get_mut(&key) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O6. Each of 25 addresses took 2,000 places, and there were 50,000.
    #[test]
    fn some_addresses_do_not_take_all_places() {
        let mut places = Places::new(50_000);

        let taken: usize = (0..25).map(|network| fill(&mut places, &format!("198.51.{network}.7"))).sum();

        assert_eq!(places.taken(), taken);
        assert!(fill(&mut places, "203.0.113.1") >= 500, "{taken} are taken");
    }

    /// O6.
    #[test]
    fn a_network_has_a_share_however_many_addresses_it_has() {
        let mut places = Places::new(50_000);
        let of_ipv4: usize = (0..=255).map(|host| fill(&mut places, &format!("198.51.100.{host}"))).sum();
        let of_ipv6: usize =
            (0..5_000).map(|host| usize::from(takes(&mut places, &format!("2001:db8::{host:x}")))).sum();
        let of_site: usize =
            (0..5_000).map(|net| usize::from(takes(&mut places, &format!("2001:db9:0:{net:x}::1")))).sum();

        assert_eq!((of_ipv4, of_ipv6, of_site), (NETWORK_STRANGERS_MAX, HOST_STRANGERS_MAX, NETWORK_STRANGERS_MAX));
    }

    #[test]
    fn who_has_authenticated_is_not_counted_for_its_address() {
        let mut places = Places::new(1_000);
        for _ in 0..900 {
            assert!(takes(&mut places, "198.51.100.1"));
            places.is_known(own("198.51.100.1"));
        }

        assert_eq!((places.taken(), fill(&mut places, "198.51.100.1")), (900, HOST_STRANGERS_MIN));
        assert!(takes(&mut places, "203.0.113.1"));
    }

    /// Whoever comes through a proxy has its address, and so have all the others after a failure.
    #[test]
    fn those_behind_a_proxy_hold_as_many_places_as_half_of_what_is_free() {
        let mut places = Places::new(50_000);
        let proxy = Origin::Shared("192.0.2.1".parse().expect("an address"));

        let behind = (0..50_000).filter(|_| places.take(proxy).is_some()).count();

        assert_eq!(behind, 50_000 / 3 + 1);
        assert!(fill(&mut places, "192.0.2.2") >= HOST_STRANGERS_MAX, "its network is not counted");
        for _ in 0..behind {
            places.is_known(proxy);
        }
        assert!(places.take(proxy).is_some() && places.hosts.len() == 2 && places.networks.len() == 1);
    }

    #[test]
    fn a_place_is_free_again_when_it_was_left_and_nothing_is_kept_of_it() {
        let mut places = Places::new(1);
        assert!(takes(&mut places, "198.51.100.1"));
        assert!(!takes(&mut places, "203.0.113.1"));

        places.is_known(own("198.51.100.1"));
        places.leave();

        assert_eq!((places.taken(), places.hosts.len(), places.networks.len()), (0, 0, 0));
        assert!(takes(&mut places, "203.0.113.1"));
    }

    /// R4.10. A client that comes and goes would leave more sessions behind than a node has memory for.
    #[test]
    fn sessions_that_wait_for_their_clients_are_bounded_and_take_no_place() {
        let mut places = Places::new(2);

        assert_eq!([(); 3].map(|()| places.begin_to_wait()), [true, true, false]);
        assert_eq!((places.waiting(), places.taken()), (2, 0));
        assert!(takes(&mut places, "203.0.113.1"));

        places.end_to_wait();
        assert!(places.begin_to_wait() && !places.begin_to_wait());
    }

    fn takes(places: &mut Places, address: &str) -> bool {
        places.take(own(address)).is_some()
    }

    fn own(address: &str) -> Origin {
        Origin::Own(address.parse().expect("an address"))
    }

    /// How many places there are for this address.
    fn fill(places: &mut Places, address: &str) -> usize {
        (0..10_000).take_while(|_| takes(places, address)).count()
    }
}
