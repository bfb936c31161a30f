//! `<network>`: at which port and address this node is reached, and how it finds the others.
//!
//! ```text
//! <port>, and what own_address makes of the addresses of this machine ─▶ listen, advertise
//! <join> ─▶ Discovery
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::properties::Properties;
use super::{SWITCH, join, own_address};
use crate::config::discovery::{Discovery, Ports};
use crate::config::document::Element;
use crate::config::files::Dialect;
use crate::config::problem::Fault;
use crate::config::reading::{Kind, Reading, Shape, Text};

/// Where members listen unless a file says so: the port of Hazelcast, on this machine only.
pub(in crate::config) const CLUSTER_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5701);

/// Hazelcast's `port-count`.
const PORT_COUNT: u16 = 100;

const CHILDREN: &[&str] = &[
    "port",
    "public-address",
    "reuse-address",
    "outbound-ports",
    "join",
    "interfaces",
    "ssl",
    "symmetric-encryption",
    "asymmetric-encryption",
    "socket-interceptor",
    "member-address-provider",
    "memcache-protocol",
    "rest-api",
    "failure-detector",
    "icmp",
    "tpc-socket",
];

/// Protection that would have to be given if it were asked for.
const PROTECTION: &[&str] = &["ssl", "symmetric-encryption", "asymmetric-encryption", "socket-interceptor"];

const LISTENING_PORT: Kind<u16> = Kind {
    expected: "a port from 1 to 65535 (0 would be one that the other members cannot know)",
    parse: |text| text.parse().ok().filter(|port| *port > 0),
};
const COUNT: Kind<u16> =
    Kind { expected: "a number of ports, from 1 to 65535", parse: |text| text.parse().ok().filter(|count| *count > 0) };
/// How this node is reached, and how it finds the others.
pub(in crate::config) struct Network {
    pub(in crate::config) listen: SocketAddr,
    pub(in crate::config) advertise: SocketAddr,
    pub(in crate::config) ports_tried: u16,
    pub(in crate::config) discovery: Discovery,
}

/// The exact addresses of our own `<listen>`.
#[derive(Clone, Copy)]
pub(in crate::config) struct Listening {
    pub(in crate::config) listen: SocketAddr,
    pub(in crate::config) advertise: SocketAddr,
}

/// What `<network>` says. Without one a node of ours is by itself, and one of Hazelcast's asks the local network.
pub(super) fn read(
    reading: &mut Reading<'_>,
    cluster: &Element,
    listening: Option<Listening>,
    properties: &Properties,
) -> Network {
    let mut all = std::iter::once(cluster).chain(&cluster.children);
    let is_hazelcast = all.any(|element| reading.dialect(element.place) == Dialect::Hazelcast);
    let network = reading.child(cluster, "network");
    if let Some(network) = network {
        reading.allow(network, &Shape { attributes: &[], children: CHILDREN, text: Text::Refused });
        refuse_protection(reading, network);
        name_ignored(reading, network);
    }
    let ports = match listening {
        Some(Listening { listen, .. }) => Ports { first: listen.port(), count: 1 },
        None => read_ports(reading, network),
    };
    let tried = match (listening, ports.count) {
        (None, 1) if network.is_some() => 1,
        _ => properties.ports_tried,
    };
    let tried = Ports { first: ports.first, count: tried };
    let discovery = match join_of(reading, cluster, network) {
        Some(join) => join::read(reading, join, tried, properties),
        None => join::when_nothing_is_said(reading, is_hazelcast, properties),
    };
    let listening = match listening {
        Some(listening) => {
            own_address::warn_beside_listen(reading, properties);
            listening
        }
        None if network.is_none() && !is_hazelcast && !own_address::is_said(properties) => {
            Listening { listen: CLUSTER_ADDRESS, advertise: CLUSTER_ADDRESS }
        }
        None => own_address::choose(reading, network, ports.first, &discovery, properties),
    };
    let Listening { listen, advertise } = listening;
    let is_settled = network.is_none() && !is_hazelcast;
    Network { listen, advertise, ports_tried: if is_settled { 1 } else { ports.count }, discovery }
}

/// `<join>`, in `<network>` or, for short, in our `<cluster>`.
fn join_of<'e>(reading: &mut Reading<'_>, cluster: &'e Element, network: Option<&'e Element>) -> Option<&'e Element> {
    let inside = network.and_then(|network| reading.child(network, "join"));
    let short = reading.child(cluster, "join").filter(|join| reading.dialect(join.place) == Dialect::Cresset);
    if let (Some(inside), Some(short)) = (inside, short) {
        let message = format!("there is another <join> in <network> ({})", reading.files.line(inside.place));
        reading.problem(short.place, Fault::Inconsistent(message));
    }
    inside.or(short)
}

/// The port, and how many are tried from it on if it is in use.
fn read_ports(reading: &mut Reading<'_>, network: Option<&Element>) -> Ports {
    let first = CLUSTER_ADDRESS.port();
    let Some(element) = network.and_then(|network| reading.child(network, "port")) else {
        return Ports { first, count: PORT_COUNT };
    };
    let is_counted_up = reading.attribute(element, "auto-increment", &SWITCH).unwrap_or(true);
    let count = reading.attribute(element, "port-count", &COUNT).unwrap_or(PORT_COUNT);
    let shape = Shape { attributes: &["auto-increment", "port-count"], children: &[], text: Text::Allowed };
    reading.allow(element, &shape);
    let said = if element.text.trim().is_empty() { None } else { reading.bare_text(element, &LISTENING_PORT) };
    Ports { first: said.unwrap_or(first), count: if is_counted_up { count } else { 1 } }
}

fn refuse_protection(reading: &mut Reading<'_>, network: &Element) {
    for child in network.children.iter().filter(|child| PROTECTION.contains(&child.name.as_str())) {
        if reading.attribute(child, "enabled", &SWITCH).unwrap_or(false) {
            let instead = "its links are always encrypted and authenticated, by the join secret";
            reading.problem(child.place, Fault::Protection { element: child.name.clone(), instead });
        } else {
            reading.ignore(child.place, &format!("<{}>", child.name), "it is switched off");
        }
    }
}

fn name_ignored(reading: &mut Reading<'_>, network: &Element) {
    for child in &network.children {
        let shown = format!("<{}>", child.name);
        match child.name.as_str() {
            "reuse-address" => {
                reading.ignore(child.place, &shown, "an address in use for no more than a moment is waited for")
            }
            "outbound-ports" => reading.ignore(child.place, &shown, "links go out from any port"),
            "memcache-protocol" | "rest-api" => {
                reading.ignore(child.place, &shown, "there is no data grid to be asked")
            }
            "failure-detector" | "icmp" => {
                reading.ignore(child.place, &shown, "who is gone is agreed: see <heartbeat>, <lease>, <expel-after>");
            }
            "tpc-socket" => reading.ignore(child.place, &shown, "there is one socket for members"),
            "member-address-provider" => {
                if reading.attribute(child, "enabled", &SWITCH).unwrap_or(false) {
                    let message = "<member-address-provider> names a Java class: say the address with <public-address>";
                    reading.problem(child.place, Fault::Inconsistent(message.to_owned()));
                } else {
                    reading.ignore(child.place, &shown, "it is switched off");
                }
            }
            _ => {}
        }
    }
}
