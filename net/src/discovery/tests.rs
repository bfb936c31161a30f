use std::net::Ipv4Addr;
use std::time::Duration;

use cresset_core::config::discovery::{Dns, DnsQuery, Multicast as MulticastSettings};
use cresset_core::config::{ServerRole, Timing};
use tokio::time::timeout;

use super::*;
use crate::clock::SystemClock;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_list_of_addresses_is_there_at_once_and_needs_no_task() {
    let list = TcpIp { members: vec!["10.0.0.1-2:5701".parse().expect("a pattern")], ..TcpIp::of(5701, []) };

    let mut search = Search::begin(&settings(Discovery::TcpIp(list)), seeker(1, "chat"));

    assert!(search.task.is_none());
    assert_eq!(search.candidates(), set(&["10.0.0.1:5701", "10.0.0.2:5701"]));
}

#[tokio::test]
async fn names_of_a_list_are_looked_up_while_the_node_runs() {
    let members = ["localhost:5709", "no-such-host.invalid:5709", "10.0.0.2:5709"];
    let members = members.map(|member| member.parse().expect("a pattern")).into();
    let list = TcpIp { members, ..TcpIp::of(5701, []) };

    runtime::scope(1, async {
        let mut search = Search::begin(&settings(Discovery::TcpIp(list)), seeker(1, "chat"));
        let is_found = |found: &BTreeSet<SocketAddr>| {
            found.contains(&address(2, 5709)) && found.iter().any(|address| address.ip().is_loopback())
        };
        timeout(SOON, search.candidates.wait_for(is_found)).await.expect("in time").expect("the search goes on");
    })
    .await;
}

/// The names of a whole service are one question, and each of its machines a candidate.
#[tokio::test]
async fn a_name_is_found_at_the_port_that_it_was_given() {
    let queries = vec![DnsQuery::Host { name: "localhost".to_owned(), port: 5705 }];
    let dns = Dns { queries, answer_time_max: SOON, every: SOON };

    runtime::scope(1, async {
        let mut search = Search::begin(&settings(Discovery::Dns(dns)), seeker(1, "chat"));
        let found = timeout(SOON, search.candidates.wait_for(|found| !found.is_empty())).await.expect("in time");
        let found = found.expect("the search goes on");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 5705), "{found:?}");
    })
    .await;
}

#[tokio::test]
async fn two_nodes_of_a_cluster_find_each_other_by_multicast_and_not_a_third() {
    let multicast = Discovery::Multicast(MulticastSettings { port: free_port(), ..MulticastSettings::default() });

    runtime::scope(1, async {
        let mut other = Search::begin(&settings(multicast.clone()), seeker(3, "another cluster"));
        let mut first = Search::begin(&settings(multicast.clone()), seeker(1, "chat"));
        let mut second = Search::begin(&settings(multicast), seeker(2, "chat"));

        for (search, expected) in [(&mut first, address(2, 5701)), (&mut second, address(1, 5701))] {
            let found = timeout(SOON, search.candidates.wait_for(|found| !found.is_empty())).await.expect("in time");
            assert_eq!(*found.expect("the search goes on"), BTreeSet::from([expected]));
        }
        assert!(other.candidates().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_search_that_is_dropped_answers_nobody() {
    let multicast = Discovery::Multicast(MulticastSettings { port: free_port(), ..MulticastSettings::default() });

    runtime::scope(1, async {
        let first = Search::begin(&settings(multicast.clone()), seeker(1, "chat"));
        drop(first);
        let mut second = Search::begin(&settings(multicast.clone()), seeker(2, "chat"));
        let _third = Search::begin(&settings(multicast), seeker(3, "chat"));

        let found = timeout(SOON, second.candidates.wait_for(|found| !found.is_empty())).await.expect("in time");
        assert_eq!(*found.expect("the search goes on"), BTreeSet::from([address(3, 5701)]));
    })
    .await;
}

fn seeker(number: u8, cluster: &str) -> Seeker<SystemClock> {
    Seeker {
        clock: SystemClock::start(),
        boot: BootId(number.into()),
        address: address(number, 5701),
        key: DiscoveryKey::derive(b"secret", cluster),
        randomness: runtime::generator,
    }
}

fn settings(discovery: Discovery) -> ClusterSettings {
    ClusterSettings {
        name: "chat".to_owned(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5701)),
        advertise: SocketAddr::from((Ipv4Addr::LOCALHOST, 5701)),
        ports_tried: 1,
        discovery,
        secret_file: None,
        role: ServerRole::Server,
        timing: Timing::default(),
        crash_evidence: true,
        enabled: true,
    }
}

/// A UDP port that nobody uses at the moment.
fn free_port() -> u16 {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    free.local_addr().expect("bound").port()
}

fn address(number: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], port))
}

fn set(all: &[&str]) -> BTreeSet<SocketAddr> {
    all.iter().map(|address| address.parse().expect("an address")).collect()
}
