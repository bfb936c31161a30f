//! `<network>`: at which port and address this node is reached, and how it finds the others.
//!
//! ```text
//! <port>, <interfaces>, <public-address>, addresses of this machine ─▶ listen, advertise
//! <join> ─▶ Discovery
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::properties::Properties;
use super::{is_enabled, join};
use crate::config::discovery::{AddressPattern, Discovery, HostPattern, MemberPattern, Ports};
use crate::config::document::Element;
use crate::config::files::Dialect;
use crate::config::origins::Origin;
use crate::config::problem::{Fault, Place};
use crate::config::reading::{Kind, Reading, SWITCH, Shape, Text};

/// Where members listen unless a file says so: the port of Hazelcast, on this machine only.
pub(in crate::config) const CLUSTER_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5701);

/// Hazelcast's `port-count`.
const PORT_COUNT: u16 = 100;

/// Patterns of `<interfaces>`; more have no use on one machine.
const PATTERNS_MAX: usize = 256;

const CHILDREN: &[&str] = &[
    "port",
    "public-address",
    "reuse-address",
    "outbound-ports",
    "join",
    "interfaces",
    "ssl",
    "symmetric-encryption",
    "socket-interceptor",
    "member-address-provider",
    "memcache-protocol",
    "rest-api",
    "failure-detector",
    "icmp",
    "tpc-socket",
];

/// Protection that would have to be given if it were asked for.
const PROTECTION: &[&str] = &["ssl", "symmetric-encryption", "socket-interceptor"];

const PATTERN: &str = "an address, with * or a range like 4-18 for any of its parts: 10.3.16.*, 10.3.10.4-18";

const LISTENING_PORT: Kind<u16> = Kind {
    expected: "a port from 1 to 65535 (0 would be one that the other members cannot know)",
    parse: |text| text.parse().ok().filter(|port| *port > 0),
};
const COUNT: Kind<u16> =
    Kind { expected: "a number of ports, from 1 to 65535", parse: |text| text.parse().ok().filter(|count| *count > 0) };
const PUBLIC: Kind<MemberPattern> = Kind {
    expected: "a host name or an address, with or without a port, like 203.0.113.7:5701",
    parse: |text| {
        let pattern: MemberPattern = text.parse().ok()?;
        (!matches!(pattern.host, HostPattern::Range { .. })).then_some(pattern)
    },
};

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
        None => join::when_nothing_is_said(reading, is_hazelcast),
    };
    let listening = match listening {
        Some(listening) => listening,
        None if network.is_none() && !is_hazelcast => Listening { listen: CLUSTER_ADDRESS, advertise: CLUSTER_ADDRESS },
        None => choose_addresses(reading, network, ports.first, &discovery, properties),
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

/// Where this node listens and what the others are told, by the addresses of the machine.
fn choose_addresses(
    reading: &mut Reading<'_>,
    network: Option<&Element>,
    port: u16,
    discovery: &Discovery,
    properties: &Properties,
) -> Listening {
    let interfaces = network.and_then(|network| read_interfaces(reading, network));
    let local = choose(reading, interfaces.as_ref(), discovery, properties.prefers_version_4);
    let local = local.unwrap_or(CLUSTER_ADDRESS.ip());
    let public = network.and_then(|network| reading.child(network, "public-address"));
    let public = public.and_then(|element| Some((reading.text(element, &PUBLIC)?, element.place)));
    let advertise = match &public {
        Some((public, place)) => public_address(reading, public, *place, port, local),
        None => SocketAddr::new(local, port),
    };
    if let Some((_, place)) = public.filter(|_| advertise.ip().is_unspecified()) {
        reading.problem(place, Fault::Inconsistent(format!("no member can be reached at {advertise}")));
    }
    let everywhere = if local.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    Listening { listen: SocketAddr::new(if properties.binds_everywhere { everywhere } else { local }, port), advertise }
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

/// The patterns, if they are to be used.
fn read_interfaces(reading: &mut Reading<'_>, network: &Element) -> Option<(Vec<AddressPattern>, Place)> {
    let element = reading.child(network, "interfaces")?;
    reading.allow(element, &Shape { attributes: &["enabled"], children: &["interface"], text: Text::Refused });
    let is_enabled = is_enabled(reading, element);
    let patterns = read_patterns(reading, element);
    is_enabled.then_some((patterns, element.place))
}

/// The patterns in all `<interface>` of an element.
pub(super) fn read_patterns(reading: &mut Reading<'_>, parent: &Element) -> Vec<AddressPattern> {
    let mut patterns: Vec<AddressPattern> = Vec::new();
    for element in parent.children.iter().filter(|child| child.name == "interface") {
        for word in reading.words(element, PATTERN) {
            match word.parse::<AddressPattern>() {
                Ok(pattern) if patterns.len() < PATTERNS_MAX => {
                    let origin = Origin::at(element.text_place, element.note.as_deref());
                    reading.origins.insert(format!("{}/{pattern}", parent.path), origin);
                    patterns.push(pattern);
                }
                Ok(_) => {
                    let expected = format!("at most {PATTERNS_MAX} addresses");
                    reading.bad_value(element.text_place, "<interface>".to_owned(), word, &expected);
                    return patterns;
                }
                Err(_) => reading.bad_value(element.text_place, "<interface>".to_owned(), word, PATTERN),
            }
        }
    }
    patterns
}

/// The address of this machine that other members are told, as Hazelcast picks it: one that `<interfaces>` means, else
/// one that the list of members holds, else the first that is not of this machine alone.
fn choose(
    reading: &mut Reading<'_>,
    interfaces: Option<&(Vec<AddressPattern>, Place)>,
    discovery: &Discovery,
    prefers_version_4: bool,
) -> Option<IpAddr> {
    let mut local = reading.surroundings.addresses();
    // The sort is stable: apart from the version, the order of the interfaces stays.
    local.sort_by_key(|address| prefers_version_4 && address.is_ipv6());
    let (found, reason) = if let Some((patterns, place)) = interfaces {
        let found = local.iter().find(|address| patterns.iter().any(|pattern| pattern.matches(**address)));
        if found.is_none() {
            reading.problem(*place, Fault::Inconsistent(no_interface(&local)));
        }
        (found.copied(), format!("the address of this machine that {} means", reading.files.line(*place)))
    } else if let Some(found) = local.iter().find(|address| is_listed(discovery, **address)) {
        (Some(*found), "the address of this machine that is among the members".to_owned())
    } else {
        let is_for_others = |address: &&IpAddr| match address {
            IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local() && !address.is_unspecified(),
            IpAddr::V6(address) => {
                !address.is_loopback() && !address.is_unicast_link_local() && !address.is_unspecified()
            }
        };
        let found = local.iter().find(is_for_others).or(local.first());
        (found.copied(), "the first address of this machine".to_owned())
    };
    reading.origins.insert("cluster/listen@advertise".to_owned(), Origin::Follows(reason));
    found
}

fn no_interface(local: &[IpAddr]) -> String {
    let shown: Vec<String> = local.iter().map(ToString::to_string).collect();
    format!(
        "no address of this machine is among its <interfaces>; it has {}. Correct them, or say enabled=\"false\"",
        if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
    )
}

fn is_listed(discovery: &Discovery, address: IpAddr) -> bool {
    let Discovery::TcpIp(list) = discovery else { return false };
    list.members.iter().any(|member| match (&member.host, address) {
        (HostPattern::Address(listed), _) => *listed == address,
        (HostPattern::Range { octets, first, last }, IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            [a, b, c] == *octets && (*first..=*last).contains(&d)
        }
        (HostPattern::Range { .. } | HostPattern::Name(_), _) => false,
    })
}

fn public_address(
    reading: &mut Reading<'_>,
    public: &MemberPattern,
    place: Place,
    port: u16,
    fallback: IpAddr,
) -> SocketAddr {
    let address = match &public.host {
        HostPattern::Address(address) => Some(*address),
        HostPattern::Name(name) => reading.surroundings.address_of(name),
        HostPattern::Range { .. } => None,
    };
    if address.is_none() {
        let message = format!("<public-address>: the host '{}' has no address here", public.host);
        reading.problem(place, Fault::Inconsistent(message));
    }
    let origin = Origin::Follows(reading.files.line(place));
    reading.origins.insert("cluster/listen@advertise".to_owned(), origin);
    SocketAddr::new(address.unwrap_or(fallback), public.port.unwrap_or(port))
}
