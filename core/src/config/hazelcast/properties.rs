//! `<properties>`: Hazelcast's own properties, of which few have a meaning here.
//!
//! As in Hazelcast, a value given on the command line (`-D name=value`) goes before one in a file. What has no meaning is
//! named with the reason; a name that is not known is named, too.

use std::time::Duration;

use crate::config::discovery::TcpIp;
use crate::config::document::Element;
use crate::config::origins::Origin;
use crate::config::problem::excerpt;
use crate::config::reading::{Kind, Reading, SECONDS, SWITCH, Shape, Text};

const TRIES: Kind<u16> = Kind {
    expected: "a number of ports, from 1 to 100",
    parse: |text| text.parse().ok().filter(|count| (1..=100).contains(count)),
};

const PORT_TRIES: &str = "hazelcast.tcp.join.port.try.count";
const CONNECT_TIME: &str = "hazelcast.socket.connect.timeout.seconds";
const JOIN_TIME: &str = "hazelcast.max.join.seconds";
const BIND_ANY: &str = "hazelcast.socket.bind.any";
const PREFER_VERSION_4: &str = "hazelcast.prefer.ipv4.stack";

/// What the properties say.
pub(super) struct Properties {
    /// Ports at which a member without one is tried.
    pub(super) ports_tried: u16,
    /// How long one attempt to connect may take, unless `<tcp-ip>` says it.
    pub(super) connection_time_max: Duration,
    /// How long a required member is tried.
    pub(super) join_time_max: Duration,
    /// Whether to listen on all addresses of the machine.
    pub(super) binds_everywhere: bool,
    /// Whether addresses of version 4 are told to other members before those of version 6.
    pub(super) prefers_version_4: bool,
}

impl Default for Properties {
    fn default() -> Self {
        Properties {
            ports_tried: TcpIp::PORTS_TRIED,
            connection_time_max: TcpIp::CONNECTION_TIME_MAX,
            join_time_max: TcpIp::JOIN_TIME_MAX,
            binds_everywhere: true,
            prefers_version_4: true,
        }
    }
}

const FENCING: &str = "fencing has times of its own: <heartbeat>, <lease>, <expel-after>";
const NO_MERGE: &str = "there is never a second cluster to merge with";
const FORMING: &str = "forming needs no waiting: the identity in the shared database decides who founds the cluster";
const NO_CALLS: &str = "there are no calls into a data grid";

/// Properties without a meaning here, by name or by what the name begins with, and why.
const NOT_NEEDED: &[(&str, &str)] = &[
    ("hazelcast.heartbeat.", FENCING),
    ("hazelcast.max.no.heartbeat.seconds", FENCING),
    ("hazelcast.max.no.master.confirmation.seconds", FENCING),
    ("hazelcast.icmp.", FENCING),
    ("hazelcast.merge.", NO_MERGE),
    ("hazelcast.max.join.merge.target.seconds", NO_MERGE),
    ("hazelcast.wait.seconds.before.join", FORMING),
    ("hazelcast.max.wait.seconds.before.join", FORMING),
    ("hazelcast.mastership.claim.timeout.seconds", "the leader is elected (Raft)"),
    ("hazelcast.member.list.publish.interval.seconds", "every member reads the members from the log"),
    ("hazelcast.connect.all.wait.seconds", FORMING),
    ("hazelcast.initial.", "a node serves as soon as a quorum counts it in, and never before"),
    ("hazelcast.graceful.shutdown.max.wait", "a node stops in good order within five seconds"),
    ("hazelcast.operation.", NO_CALLS),
    ("hazelcast.partition.", "there are no partitions: every node has all routes"),
    ("hazelcast.logging.type", "see --log-format and --log-filter"),
    ("hazelcast.shutdownhook.", "a node stops in good order at SIGTERM"),
    ("hazelcast.phone.home.enabled", "nothing is ever sent home"),
    ("hazelcast.jmx", "there is no Java; see `cresset cluster status --json`"),
    ("hazelcast.rest.enabled", "there is no data grid to be asked"),
    ("hazelcast.memcache.enabled", "there is no data grid to be asked"),
    ("hazelcast.diagnostics.", "see the log, and `cresset cluster status`"),
    ("hazelcast.health.monitoring.", "see the log, and `cresset cluster status`"),
];

/// Reads `<properties>` of `cluster`.
pub(super) fn read(reading: &mut Reading<'_>, cluster: &Element) -> Properties {
    let mut found = Vec::new();
    if let Some(element) = reading.child(cluster, "properties") {
        reading.allow(element, &Shape { attributes: &[], children: &["property"], text: Text::Refused });
        for property in element.children.iter().filter(|child| child.name == "property") {
            let shape = Shape { attributes: &["name"], children: &[], text: Text::Allowed };
            reading.allow(property, &shape);
            let name = property.attributes.iter().find(|attribute| attribute.name == "name");
            let name = name.map(|attribute| attribute.value.trim()).unwrap_or_default();
            name_ignored(reading, property, name);
            found.push((name.to_owned(), property));
        }
    }
    let all = found.as_slice();
    let default = Properties::default();
    Properties {
        ports_tried: value(reading, all, PORT_TRIES, &TRIES).unwrap_or(default.ports_tried),
        connection_time_max: value(reading, all, CONNECT_TIME, &SECONDS).unwrap_or(default.connection_time_max),
        join_time_max: value(reading, all, JOIN_TIME, &SECONDS).unwrap_or(default.join_time_max),
        binds_everywhere: value(reading, all, BIND_ANY, &SWITCH).unwrap_or(default.binds_everywhere),
        prefers_version_4: value(reading, all, PREFER_VERSION_4, &SWITCH).unwrap_or(default.prefers_version_4),
    }
}

fn name_ignored(reading: &mut Reading<'_>, property: &Element, name: &str) {
    if [PORT_TRIES, CONNECT_TIME, JOIN_TIME, BIND_ANY, PREFER_VERSION_4].contains(&name) {
        return;
    }
    let shown = format!("the property '{}'", excerpt(name));
    let matches =
        |known: &str| name == known || (known.ends_with('.') || known == "hazelcast.jmx") && name.starts_with(known);
    let reason = NOT_NEEDED.iter().find(|(known, _)| matches(known)).map(|(_, reason)| *reason);
    reading.ignore(property.place, &shown, reason.unwrap_or("it is not known here; is it spelled right?"));
}

/// The value of one property: the command line's, else the last one in the file.
fn value<T>(reading: &mut Reading<'_>, found: &[(String, &Element)], name: &'static str, kind: &Kind<T>) -> Option<T> {
    let element = found.iter().rev().find(|(given, _)| given == name).map(|(_, element)| *element);
    let Some(variable) = reading.surroundings.variable(name) else {
        let value = reading.bare_text(element?, kind);
        let element = element?;
        reading.origins.insert(name.to_owned(), Origin::at(element.text_place, element.note.as_deref()));
        return value;
    };
    let value = (kind.parse)(variable.value.trim());
    if value.is_none() {
        let place = element.map_or(reading.start(), |element| element.place);
        let subject = format!("the property '{name}', given by {}", variable.given_by);
        reading.bad_value(place, subject, &variable.value, kind.expected);
    }
    reading.origins.insert(name.to_owned(), Origin::Follows(variable.given_by.to_owned()));
    value
}
