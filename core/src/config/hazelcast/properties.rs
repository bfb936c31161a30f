//! `<properties>`: Hazelcast's own properties, of which few have a meaning here.
//!
//! A value given on the command line (`-D name=value`) goes before one in a file. What has no meaning is named with the
//! reason, in the file or on the command line; a name that is not known is named, too.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::{SWITCH, known};
use crate::config::discovery::{HostPattern, MemberPattern, TcpIp};
use crate::config::document::Element;
use crate::config::origins::Origin;
use crate::config::problem::{Place, excerpt};
use crate::config::properties::{BadName, named};
use crate::config::reading::{Kind, Reading, SECONDS, Shape, Text};

const TRIES: Kind<u16> = Kind {
    expected: "a number of ports, from 1 to 100",
    parse: |text| text.parse().ok().filter(|count| (1..=100).contains(count)),
};
pub(super) const GROUP: Kind<IpAddr> = Kind {
    expected: "a multicast address, from 224.0.0.0 to 239.255.255.255, or ff00::/8",
    parse: |text| text.parse::<IpAddr>().ok().filter(IpAddr::is_multicast),
};
pub(super) const PUBLIC: Kind<MemberPattern> = Kind {
    expected: "a host name or an address, with or without a port, like 203.0.113.7:5701",
    parse: |text| {
        let pattern: MemberPattern = text.parse().ok()?;
        (!matches!(pattern.host, HostPattern::Range { .. })).then_some(pattern)
    },
};
const LOCAL: Kind<MemberPattern> = Kind {
    expected: "a host name or an address of this machine, without a port",
    parse: |text| (PUBLIC.parse)(text).filter(|pattern| pattern.port.is_none()),
};

const PORT_TRIES: &str = "hazelcast.tcp.join.port.try.count";
const CONNECT_TIME: &str = "hazelcast.socket.connect.timeout.seconds";
const JOIN_TIME: &str = "hazelcast.max.join.seconds";
const BIND_ANY: &str = "hazelcast.socket.bind.any";
const SERVER_BIND_ANY: &str = "hazelcast.socket.server.bind.any";
const PREFER_VERSION_4: &str = "hazelcast.prefer.ipv4.stack";
pub(super) const LOCAL_ADDRESS: &str = "hazelcast.local.localAddress";
pub(super) const PUBLIC_ADDRESS: &str = "hazelcast.local.publicAddress";
const MULTICAST_GROUP: &str = "hazelcast.multicast.group";

/// Those with a meaning.
const FOLLOWED: &[&str] = &[
    PORT_TRIES,
    CONNECT_TIME,
    JOIN_TIME,
    BIND_ANY,
    SERVER_BIND_ANY,
    PREFER_VERSION_4,
    LOCAL_ADDRESS,
    PUBLIC_ADDRESS,
    MULTICAST_GROUP,
];

const NOT_KNOWN: &str = "it is not known here; is it spelled right?";

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
    /// The address of this machine, whatever `<interfaces>` says.
    pub(super) local_address: Option<Said<MemberPattern>>,
    /// What the others are told, whatever `<public-address>` says.
    pub(super) public_address: Option<Said<MemberPattern>>,
    /// The group of multicast, whatever `<multicast>` says.
    pub(super) multicast_group: Option<Said<IpAddr>>,
}

/// The value of a property and where it is from.
pub(super) struct Said<T> {
    pub(super) value: T,
    pub(super) place: Place,
    /// A file and its line, or the command line.
    pub(super) source: String,
}

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
    let everywhere = value(reading, all, BIND_ANY, &SWITCH).unwrap_or(true);
    Properties {
        ports_tried: value(reading, all, PORT_TRIES, &TRIES).unwrap_or(TcpIp::PORTS_TRIED),
        connection_time_max: value(reading, all, CONNECT_TIME, &SECONDS).unwrap_or(TcpIp::CONNECTION_TIME_MAX),
        join_time_max: value(reading, all, JOIN_TIME, &SECONDS).unwrap_or(TcpIp::JOIN_TIME_MAX),
        binds_everywhere: value(reading, all, SERVER_BIND_ANY, &SWITCH).unwrap_or(everywhere),
        prefers_version_4: value(reading, all, PREFER_VERSION_4, &SWITCH).unwrap_or(true),
        local_address: said(reading, all, LOCAL_ADDRESS, &LOCAL),
        public_address: said(reading, all, PUBLIC_ADDRESS, &PUBLIC),
        multicast_group: said(reading, all, MULTICAST_GROUP, &GROUP),
    }
}

fn name_ignored(reading: &mut Reading<'_>, property: &Element, name: &str) {
    if let Some(reason) = reason_against(name) {
        reading.ignore(property.place, &format!("the property '{}'", excerpt(name)), &reason);
    }
}

/// Why a property in a file has no effect; nothing if it has one.
fn reason_against(name: &str) -> Option<String> {
    if FOLLOWED.contains(&name) {
        return None;
    }
    Some(match (known::without_use(name), named(name)) {
        (Some(reason), _) | (None, Err(BadName::WithoutMeaning { reason, .. })) => reason.to_owned(),
        (None, Ok(property)) => {
            format!("it is one of Openfire's plugin; see '{}' in `cresset property`", property.name)
        }
        (None, Err(BadName::Unknown { .. })) => NOT_KNOWN.to_owned(),
    })
}

/// Warns about definitions by which the operator expects something of Hazelcast's, and gets nothing. `used` are those
/// whose values were put into files. What our own properties and those of the plugin make of a definition is not told here.
pub(in crate::config) fn name_definitions(reading: &mut Reading<'_>, used: &BTreeSet<String>) {
    for name in reading.surroundings.definitions() {
        let is_ours = !matches!(named(&name), Err(BadName::Unknown { .. }));
        if !name.starts_with("hazelcast.") || is_ours || used.contains(&name) {
            continue;
        }
        if let Some(reason) = reason_against(&name) {
            reading.warn(None, format!("-D {}: without effect: {reason}", excerpt(&name)));
        }
    }
}

fn value<T>(reading: &mut Reading<'_>, found: &[(String, &Element)], name: &'static str, kind: &Kind<T>) -> Option<T> {
    said(reading, found, name, kind).map(|said| said.value)
}

/// The value of one property: the command line's, else the last one in the file.
fn said<T>(
    reading: &mut Reading<'_>,
    found: &[(String, &Element)],
    name: &'static str,
    kind: &Kind<T>,
) -> Option<Said<T>> {
    let element = found.iter().rev().find(|(given, _)| given == name).map(|(_, element)| *element);
    let Some(variable) = reading.surroundings.variable(name) else {
        let element = element?;
        let value = reading.bare_text(element, kind);
        reading.origins.insert(name.to_owned(), Origin::at(element.text_place, element.note.as_deref()));
        let source = reading.files.line(element.text_place);
        return Some(Said { value: value?, place: element.text_place, source });
    };
    let place = element.map_or(reading.start(), |element| element.place);
    let value = (kind.parse)(variable.value.trim());
    if value.is_none() {
        let subject = format!("the property '{name}', given by {}", variable.given_by);
        reading.bad_value(place, subject, &variable.value, kind.expected);
    }
    reading.origins.insert(name.to_owned(), Origin::Follows(variable.given_by.to_owned()));
    Some(Said { value: value?, place, source: variable.given_by.to_owned() })
}
