//! `<cluster>`: how the members reach each other, and the times on which fencing rests.
//!
//! Hazelcast's words say how the members are found (`<network>`); ours say what Hazelcast has no words for. Two short
//! forms: `<listen>` names the exact address that `<port>`, `<interfaces>` and `<public-address>` lead to otherwise, and
//! `<join>` may stand without `<network>` around it.

use std::time::Duration;

use crate::config::discovery::{Discovery, HostPattern, MemberPattern};
use crate::config::document::Element;
use crate::config::files::Dialect;
use crate::config::hazelcast::{self, CLUSTER_ADDRESS, Listening};
use crate::config::model::{ClusterSettings, ServerRole};
use crate::config::origins::Origin;
use crate::config::problem::{Fault, Place};
use crate::config::reading::{ADDRESS, Kind, MILLISECONDS, Reading, SWITCH, Shape, Text};
use crate::config::timing::Timing;
use crate::fencing::{DRIFT_PERCENT_MAX, Times};

/// Silence before an expulsion beyond which promise P6 (5 s) is not kept.
const EXPEL_AFTER_PROMISED: Duration = Duration::from_millis(4_500);

const ROLE: Kind<ServerRole> = Kind {
    expected: "'server' or 'witness'",
    parse: |text| [ServerRole::Server, ServerRole::Witness].into_iter().find(|role| role.as_str() == text),
};
const PERCENT: Kind<u32> = Kind {
    expected: "a whole number of percent, from 0 to 50",
    parse: |text| text.parse().ok().filter(|percent| *percent <= DRIFT_PERCENT_MAX),
};

/// Our own words, and the one of Hazelcast's to which what is misspelled is most likely to belong.
const SHAPE: Shape = Shape {
    attributes: &["enabled"],
    children: &[
        "network",
        "cluster-name",
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
};

/// What `<cluster>` says, or its defaults.
pub(in crate::config) fn read(reading: &mut Reading<'_>, element: &Element) -> ClusterSettings {
    reading.allow_but(element, &SHAPE, hazelcast::looks_at);
    let listening = own_child(reading, element, "listen").map(|listen| {
        refuse_second_address(reading, element, listen.place);
        read_listen(reading, listen)
    });
    let said = hazelcast::read(reading, element, listening);
    let mut settings = ClusterSettings {
        name: said.name,
        listen: said.network.listen,
        advertise: said.network.advertise,
        ports_tried: said.network.ports_tried,
        discovery: said.network.discovery,
        secret_file: None,
        role: ServerRole::Server,
        timing: read_timing(reading, element),
        crash_evidence: true,
        enabled: true,
    };
    if let Some(enabled) = reading.attribute(element, "enabled", &SWITCH) {
        settings.enabled = enabled;
    }
    if let Some(secret) = own_child(reading, element, "secret") {
        reading.allow(secret, &Shape { attributes: &["file"], children: &[], text: Text::Refused });
        settings.secret_file = reading.required_path(secret, "file");
    }
    if let Some(role) = own_child(reading, element, "role").and_then(|role| reading.text(role, &ROLE)) {
        settings.role = role;
    }
    if let Some(enabled) = reading.setting(element, "crash-evidence", &["enabled"], &SWITCH) {
        settings.crash_evidence = enabled;
    }
    // An address that stands in for a wrong one says nothing.
    if reading.problems.is_empty() {
        warn_about_reach(reading, element.place, &settings);
    }
    settings
}

/// A child in our own file. Hazelcast's have none of that name; what has it there was named as not known.
fn own_child<'e>(reading: &mut Reading<'_>, cluster: &'e Element, name: &str) -> Option<&'e Element> {
    let child = reading.child(cluster, name)?;
    (reading.dialect(child.place) == Dialect::Cresset).then_some(child)
}

/// The address to listen on, and the one that others are told.
fn read_listen(reading: &mut Reading<'_>, element: &Element) -> Listening {
    reading.allow(element, &Shape { attributes: &["address", "advertise"], children: &[], text: Text::Refused });
    let address = reading.required(element, "address", &ADDRESS).unwrap_or(CLUSTER_ADDRESS);
    let advertise = reading.attribute(element, "advertise", &ADDRESS);
    if address.port() == 0 || advertise.is_some_and(|advertise| advertise.port() == 0) {
        let message = "a member must have a port that the others can know: 0 is none".to_owned();
        reading.problem(element.place, Fault::Inconsistent(message));
    }
    if advertise.is_none() {
        reading.origins.insert("cluster/listen@advertise".to_owned(), Origin::at(element.place, None));
    }
    let told = advertise.unwrap_or(address);
    if told.ip().is_unspecified() {
        let message = format!(
            "no member can be reached at {told}: name an address of this machine with the attribute 'advertise'"
        );
        reading.problem(element.place, Fault::Inconsistent(message));
    }
    Listening { listen: address, advertise: told }
}

/// `<listen>` says in one what `<network>` may say in three.
fn refuse_second_address(reading: &mut Reading<'_>, cluster: &Element, listen: Place) {
    let Some(network) = cluster.children.iter().find(|child| child.name == "network") else { return };
    let is_address = |child: &&Element| matches!(child.name.as_str(), "port" | "interfaces" | "public-address");
    if let Some(other) = network.children.iter().find(is_address) {
        let message = format!(
            "the address of this node is given twice, by <listen> and by <{}> ({}): remove one of them",
            other.name,
            reading.files.line(other.place)
        );
        reading.problem(listen, Fault::Inconsistent(message));
    }
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
    if expel_after.is_none() && (heartbeat.is_some() || lease.is_some() || drift_percent.is_some()) {
        let reason = "follows from <heartbeat>, <lease> and <drift>".to_owned();
        reading.origins.insert("cluster/expel-after@milliseconds".to_owned(), Origin::Follows(reason));
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
        expel_after: expel_after.unwrap_or(Times::expel_after_for(lease, heartbeat, drift_percent)),
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
        Discovery::TcpIp(list) => list.members.iter().chain(&list.required_member).all(is_local),
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
