//! At which address of this machine the other members reach this node.
//!
//! ```text
//! hazelcast.local.localAddress, else <interfaces>, else <member>, else the first ─▶ the address of this machine
//! hazelcast.local.publicAddress, else <public-address>, else that              ─▶ what the others are told
//! ```
//!
//! An address that only this machine reaches is taken if it is asked for, if all members of the list are on this machine,
//! or if there is no other. Hazelcast also takes it if it is one of several members, and then none of the others finds
//! the node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::is_enabled;
use super::network::{CLUSTER_ADDRESS, Listening};
use super::properties::{LOCAL_ADDRESS, PUBLIC, PUBLIC_ADDRESS, Properties, Said};
use crate::config::discovery::{AddressPattern, Discovery, HostPattern, MemberPattern, TcpIp};
use crate::config::document::Element;
use crate::config::files::Dialect;
use crate::config::origins::Origin;
use crate::config::problem::{Fault, Place, excerpt};
use crate::config::reading::{Reading, Shape, Text, words_of};

/// Patterns of `<interfaces>`; more have no use on one machine.
const PATTERNS_MAX: usize = 256;

const PATTERN: &str = "an address, with * or a range like 4-18 for any of its parts: 10.3.16.*, 10.3.10.4-18";

/// What the address is called among the origins.
const KEY: &str = "cluster/listen@advertise";

/// Where this node listens and what the others are told, by the addresses of the machine.
pub(super) fn choose(
    reading: &mut Reading<'_>,
    network: Option<&Element>,
    port: u16,
    discovery: &Discovery,
    properties: &Properties,
) -> Listening {
    let interfaces = network.and_then(|network| reading.child(network, "interfaces"));
    let local = match &properties.local_address {
        Some(said) => {
            if let Some(element) = interfaces {
                reading.ignore(
                    element.place,
                    "<interfaces>",
                    "the property hazelcast.local.localAddress goes before it",
                );
            }
            address_by_property(reading, said)
        }
        None => {
            let patterns = interfaces.and_then(|element| read_interfaces(reading, element));
            choose_local(reading, patterns.as_ref(), discovery, properties.prefers_version_4)
        }
    };
    let local = local.unwrap_or(CLUSTER_ADDRESS.ip());
    let advertise = told(reading, network, SocketAddr::new(local, port), properties);
    let everywhere = if local.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    Listening { listen: SocketAddr::new(if properties.binds_everywhere { everywhere } else { local }, port), advertise }
}

/// Whether properties say where this node is.
pub(super) fn is_said(properties: &Properties) -> bool {
    properties.local_address.is_some() || properties.public_address.is_some()
}

/// Our own `<listen>` is exact, and goes before what properties say.
pub(super) fn warn_beside_listen(reading: &mut Reading<'_>, properties: &Properties) {
    for (name, said) in [(LOCAL_ADDRESS, &properties.local_address), (PUBLIC_ADDRESS, &properties.public_address)] {
        if let Some(said) = said {
            let message = format!("the property '{name}' is without effect: <listen> says the address");
            reading.warn(Some(said.place), message);
        }
    }
}

fn address_by_property(reading: &mut Reading<'_>, said: &Said<MemberPattern>) -> Option<IpAddr> {
    let found = address_of(reading, &said.value.host);
    let Some(address) = found.filter(|address| !address.is_unspecified()) else {
        let message = match found {
            Some(address) => format!("{LOCAL_ADDRESS}: no member can be reached at {address}"),
            None => format!("{LOCAL_ADDRESS}: the host '{}' has no address here", said.value.host),
        };
        reading.problem(said.place, Fault::Inconsistent(message));
        return None;
    };
    let local = reading.surroundings.addresses();
    if !local.is_empty() && !local.contains(&address) {
        let message = format!("{LOCAL_ADDRESS}: {address} is no address of this machine; it has {}", listed(&local));
        reading.warn(Some(said.place), message);
    }
    reading.origins.insert(KEY.to_owned(), Origin::Follows(format!("the property '{LOCAL_ADDRESS}', {}", said.source)));
    Some(address)
}

/// What the other members are told; `local` unless a property or `<public-address>` says otherwise.
fn told(
    reading: &mut Reading<'_>,
    network: Option<&Element>,
    local: SocketAddr,
    properties: &Properties,
) -> SocketAddr {
    let element = network.and_then(|network| reading.child(network, "public-address"));
    let by_element = element.and_then(|element| Some((reading.text(element, &PUBLIC)?, element.place)));
    let (public, place, subject, origin) = match (&properties.public_address, by_element) {
        (Some(said), _) => {
            let origin = format!("the property '{PUBLIC_ADDRESS}', {}", said.source);
            (said.value.clone(), said.place, PUBLIC_ADDRESS, origin)
        }
        (None, Some((public, place))) => (public, place, "<public-address>", reading.files.line(place)),
        (None, None) => return local,
    };
    let address = address_of(reading, &public.host);
    if address.is_none() {
        let message = format!("{subject}: the host '{}' has no address here", public.host);
        reading.problem(place, Fault::Inconsistent(message));
    }
    let told = SocketAddr::new(address.unwrap_or(local.ip()), public.port.unwrap_or(local.port()));
    if told.ip().is_unspecified() {
        reading.problem(place, Fault::Inconsistent(format!("no member can be reached at {told}")));
    }
    reading.origins.insert(KEY.to_owned(), Origin::Follows(origin));
    told
}

fn address_of(reading: &Reading<'_>, host: &HostPattern) -> Option<IpAddr> {
    match host {
        HostPattern::Address(address) => Some(*address),
        // Wherever it is looked up, it must be this machine.
        HostPattern::Name(_) if (MemberPattern { host: host.clone(), port: None }).is_loopback() => {
            Some(Ipv4Addr::LOCALHOST.into())
        }
        HostPattern::Name(name) => reading.surroundings.address_of(name),
        HostPattern::Range { .. } => None,
    }
}

/// The patterns, if they are to be used.
fn read_interfaces(reading: &mut Reading<'_>, element: &Element) -> Option<(Vec<AddressPattern>, Place)> {
    if !is_enabled(reading, element) {
        return None;
    }
    reading.allow(element, &Shape { attributes: &["enabled"], children: &["interface"], text: Text::Refused });
    let mut words = element.children.iter().flat_map(|child| words_of(&child.text));
    // Hazelcast leaves out what is no address, and starts by the others.
    let others = match reading.dialect(element.place) {
        Dialect::Hazelcast if words.any(|word| word.parse::<AddressPattern>().is_ok()) => NoAddress::LeftOut,
        Dialect::Hazelcast | Dialect::Cresset => NoAddress::Refused,
    };
    Some((read_patterns(reading, element, others), element.place))
}

/// What is done about an `<interface>` that is no address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAddress {
    Refused,
    LeftOut,
}

/// The patterns in all `<interface>` of an element.
pub(super) fn read_patterns(reading: &mut Reading<'_>, parent: &Element, others: NoAddress) -> Vec<AddressPattern> {
    let mut patterns: Vec<AddressPattern> = Vec::new();
    for element in parent.children.iter().filter(|child| child.name == "interface") {
        if others == NoAddress::LeftOut && element.text.trim().is_empty() {
            leave_out(reading, element, "");
            continue;
        }
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
                Err(_) if others == NoAddress::LeftOut => leave_out(reading, element, word),
                Err(_) => reading.bad_value(element.text_place, "<interface>".to_owned(), word, PATTERN),
            }
        }
    }
    patterns
}

fn leave_out(reading: &mut Reading<'_>, element: &Element, word: &str) {
    let name = format!("<interface>{}</interface>", excerpt(word));
    reading.ignore(element.place, &name, "it is no address, and others are there");
}

/// The address of this machine that other members are told, much as Hazelcast picks it: one that `<interfaces>` means,
/// first of all one that the list of members holds.
fn choose_local(
    reading: &mut Reading<'_>,
    interfaces: Option<&(Vec<AddressPattern>, Place)>,
    discovery: &Discovery,
    prefers_version_4: bool,
) -> Option<IpAddr> {
    let mut local = reading.surroundings.addresses();
    // The sort is stable: apart from the version, the order of the interfaces stays.
    local.sort_by_key(|address| prefers_version_4 == address.is_ipv6());
    let (meant, is_asked_for) = match interfaces {
        Some((patterns, place)) => {
            let is_meant = |address: &&IpAddr| patterns.iter().any(|pattern| pattern.matches(**address));
            let meant: Vec<IpAddr> = local.iter().filter(is_meant).copied().collect();
            if meant.is_empty() {
                reading.problem(*place, Fault::Inconsistent(no_interface(&local)));
            }
            (meant, patterns.iter().any(AddressPattern::is_loopback))
        }
        None => (local, false),
    };
    let list = match discovery {
        Discovery::TcpIp(list) => Some(list),
        Discovery::Alone | Discovery::Multicast(_) | Discovery::Dns(_) | Discovery::Aws(_) => None,
    };
    let is_loopback = is_asked_for || list.is_some_and(are_all_here);
    let listed = meant
        .iter()
        .find(|address| address.is_loopback() == is_loopback && list.is_some_and(|list| is_listed(list, **address)));
    let found = listed
        .or_else(|| meant.iter().find(|address| address.is_loopback() && is_loopback))
        .or_else(|| meant.iter().find(|address| is_for_others(**address)))
        .or(meant.first());
    let reason = match (interfaces, listed) {
        (Some((_, place)), _) => format!("the address of this machine that {} means", reading.files.line(*place)),
        (None, Some(_)) => "the address of this machine that is among the members".to_owned(),
        (None, None) if is_loopback => "the address of this machine where all members are".to_owned(),
        (None, None) => "the first address of this machine".to_owned(),
    };
    reading.origins.insert(KEY.to_owned(), Origin::Follows(reason));
    found.copied()
}

fn no_interface(local: &[IpAddr]) -> String {
    format!(
        "no address of this machine is among its <interfaces>; it has {}. Correct them, or say enabled=\"false\"",
        listed(local)
    )
}

fn listed(addresses: &[IpAddr]) -> String {
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

/// Whether every member is on this machine.
fn are_all_here(list: &TcpIp) -> bool {
    let mut members = list.members.iter().chain(&list.required_member).peekable();
    members.peek().is_some() && members.all(MemberPattern::is_loopback)
}

fn is_for_others(address: IpAddr) -> bool {
    !address.is_loopback()
        && !address.is_unspecified()
        && match address {
            IpAddr::V4(address) => !address.is_link_local(),
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        }
}

fn is_listed(list: &TcpIp, address: IpAddr) -> bool {
    list.members.iter().any(|member| match (&member.host, address) {
        (HostPattern::Address(listed), _) => *listed == address,
        (HostPattern::Range { octets, first, last }, IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            [a, b, c] == *octets && (*first..=*last).contains(&d)
        }
        (HostPattern::Range { .. } | HostPattern::Name(_), _) => false,
    })
}
