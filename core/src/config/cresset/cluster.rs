//! `<cluster>`: how the members reach each other, and the times on which fencing rests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::config::discovery::{Discovery, HostPattern, MemberPattern, Ports, TcpIp};
use crate::config::document::Element;
use crate::config::model::{ClusterSettings, ServerRole};
use crate::config::problem::{Fault, Place};
use crate::config::reading::{ADDRESS, Kind, MILLISECONDS, Reading, SECONDS, SWITCH, Shape, Text};
use crate::config::tcp_ip;
use crate::config::timing::Timing;

/// Where members listen unless the file says so: the port of Hazelcast, on this machine only.
const CLUSTER_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5701);

/// Silence before an expulsion beyond which promise P6 (5 s) is not kept.
const EXPEL_AFTER_PROMISED: Duration = Duration::from_millis(4_500);

const ROLE: Kind<ServerRole> = Kind {
    expected: "'server' or 'witness'",
    parse: |text| [ServerRole::Server, ServerRole::Witness].into_iter().find(|role| role.as_str() == text),
};
const PERCENT: Kind<u32> = Kind {
    expected: "a whole number of percent, from 0 to 50",
    parse: |text| text.parse().ok().filter(|percent| (0..=50).contains(percent)),
};

/// What `<cluster>` says, or its defaults.
pub(super) fn read(reading: &mut Reading<'_>, root: &Element) -> ClusterSettings {
    let mut settings = ClusterSettings {
        listen: CLUSTER_ADDRESS,
        advertise: CLUSTER_ADDRESS,
        discovery: Discovery::Alone,
        secret_file: None,
        role: ServerRole::Server,
        timing: Timing::default(),
        crash_evidence: true,
    };
    let Some(element) = reading.child(root, "cluster") else { return settings };
    reading.allow(
        element,
        &Shape {
            attributes: &[],
            children: &[
                "listen",
                "join",
                "secret",
                "role",
                "heartbeat",
                "election",
                "lease",
                "drift",
                "expel-after",
                "crash-evidence",
            ],
            text: Text::Refused,
        },
    );
    if let Some(listen) = reading.child(element, "listen") {
        (settings.listen, settings.advertise) = read_listen(reading, listen);
    }
    if let Some(join) = reading.child(element, "join") {
        settings.discovery = read_join(reading, join, settings.listen.port());
    }
    if let Some(secret) = reading.child(element, "secret") {
        reading.allow(secret, &Shape { attributes: &["file"], children: &[], text: Text::Refused });
        settings.secret_file = reading.required_path(secret, "file");
    }
    if let Some(role) = reading.child(element, "role").and_then(|role| reading.text(role, &ROLE)) {
        settings.role = role;
    }
    settings.timing = read_timing(reading, element);
    if let Some(enabled) = reading.setting(element, "crash-evidence", &["enabled"], &SWITCH) {
        settings.crash_evidence = enabled;
    }
    warn_about_reach(reading, element.place, &settings);
    settings
}

/// The address to listen on, and the one that others are told.
fn read_listen(reading: &mut Reading<'_>, element: &Element) -> (SocketAddr, SocketAddr) {
    reading.allow(element, &Shape { attributes: &["address", "advertise"], children: &[], text: Text::Refused });
    let address = reading.required(element, "address", &ADDRESS).unwrap_or(CLUSTER_ADDRESS);
    let advertise = reading.attribute(element, "advertise", &ADDRESS);
    if address.port() == 0 || advertise.is_some_and(|advertise| advertise.port() == 0) {
        let message = "a member must have a port that the others can know: 0 is none".to_owned();
        reading.problem(element.place, Fault::Inconsistent(message));
    }
    let told = advertise.unwrap_or(address);
    if told.ip().is_unspecified() {
        let message = format!(
            "no member can be reached at {told}: name an address of this machine with the attribute 'advertise'"
        );
        reading.problem(element.place, Fault::Inconsistent(message));
    }
    (address, told)
}

fn read_join(reading: &mut Reading<'_>, element: &Element, port: u16) -> Discovery {
    reading.allow(element, &Shape { attributes: &[], children: &["tcp-ip"], text: Text::Refused });
    let Some(list) = reading.required_child(element, "tcp-ip") else { return Discovery::Alone };
    let enabled = reading.attribute(list, "enabled", &SWITCH).unwrap_or(true);
    let connection_time_max = reading.attribute(list, "connection-timeout-seconds", &SECONDS);
    let ports = Ports { first: port, count: TcpIp::PORTS_TRIED };
    let members = tcp_ip::read(reading, list, ports);
    if !enabled || members.is_empty() {
        return Discovery::Alone;
    }
    Discovery::TcpIp(TcpIp {
        members,
        ports,
        required_member: None,
        join_time_max: TcpIp::JOIN_TIME_MAX,
        connection_time_max: connection_time_max.unwrap_or(TcpIp::CONNECTION_TIME_MAX),
    })
}

fn read_timing(reading: &mut Reading<'_>, cluster: &Element) -> Timing {
    let default = Timing::default();
    let heartbeat = reading.setting(cluster, "heartbeat", &["milliseconds"], &MILLISECONDS);
    let lease = reading.setting(cluster, "lease", &["milliseconds"], &MILLISECONDS);
    let drift_percent = reading.setting(cluster, "drift", &["percent"], &PERCENT);
    let expel_after = reading.setting(cluster, "expel-after", &["milliseconds"], &MILLISECONDS);
    let (mut election_min, mut election_max) = (None, None);
    if let Some(election) = reading.child(cluster, "election") {
        let attributes = &["min-milliseconds", "max-milliseconds"];
        reading.allow(election, &Shape { attributes, children: &[], text: Text::Refused });
        election_min = reading.required(election, "min-milliseconds", &MILLISECONDS);
        election_max = reading.required(election, "max-milliseconds", &MILLISECONDS);
    }
    let heartbeat = heartbeat.unwrap_or(default.heartbeat);
    let lease = lease.unwrap_or(default.lease);
    let drift_percent = drift_percent.unwrap_or(default.drift_percent);
    let timing = Timing {
        heartbeat,
        election_min: election_min.unwrap_or(default.election_min),
        election_max: election_max.unwrap_or(default.election_max),
        lease,
        drift_percent,
        expel_after: expel_after.unwrap_or(Timing::expel_after_for(lease, heartbeat, drift_percent)),
    };
    for fault in timing.faults() {
        reading.problem(cluster.place, Fault::Inconsistent(fault));
    }
    if timing.expel_after > EXPEL_AFTER_PROMISED {
        let message = format!(
            "a hung member is expelled after {} ms: its users wait longer than the 5 s that Cresset promises",
            timing.expel_after.as_millis()
        );
        reading.warn(Some(cluster.place), message);
    }
    timing
}

fn warn_about_reach(reading: &mut Reading<'_>, place: Place, settings: &ClusterSettings) {
    let is_local = |member: &MemberPattern| match &member.host {
        HostPattern::Name(name) => name == "localhost",
        HostPattern::Address(address) => address.is_loopback(),
        HostPattern::Range { octets, .. } => octets[0] == 127,
    };
    let is_near = match &settings.discovery {
        Discovery::Alone => true,
        Discovery::TcpIp(list) => list.members.iter().all(is_local),
        Discovery::Multicast(multicast) => multicast.time_to_live == 0,
        Discovery::Dns(_) | Discovery::Aws(_) => false,
    };
    if settings.advertise.ip().is_loopback() && !is_near {
        let message = format!(
            "members on other machines cannot reach this node at {}: name an address with <listen address=\"…\"/>",
            settings.advertise
        );
        reading.warn(Some(place), message);
    }
    if settings.discovery == Discovery::Alone && settings.role == ServerRole::Witness {
        reading.warn(Some(place), "a witness without peers has nothing to witness");
    }
}
