//! `<join>`: which one of the ways to find members is switched on.
//!
//! More than one is an error, as in Hazelcast. With none, a file of Hazelcast's means multicast ("auto-detection"). We
//! take that as unwanted if `<auto-detection>` is switched off, or if `<multicast>` is and `<auto-detection>` is not
//! mentioned; Hazelcast's own default file switches the one off and the other on, and means multicast.

use super::properties::Properties;
use super::{SWITCH, aws, dns, is_enabled, multicast, tcp_ip};
use crate::config::discovery::{Discovery, Multicast, Ports};
use crate::config::document::Element;
use crate::config::files::Dialect;
use crate::config::origins::Origin;
use crate::config::problem::Fault;
use crate::config::reading::{Reading, Shape, Text};

const SHAPE: Shape = Shape {
    attributes: &[],
    children: &[
        "multicast",
        "tcp-ip",
        "dns",
        "aws",
        "kubernetes",
        "auto-detection",
        "gcp",
        "azure",
        "eureka",
        "discovery-strategies",
    ],
    text: Text::Refused,
};

const BY_DNS: &str = "give the members a common host name and look it up with <dns>";

/// The way that `<join>` switches on. `ports` are those at which members without one are tried.
pub(in crate::config) fn read(
    reading: &mut Reading<'_>,
    join: &Element,
    ports: Ports,
    properties: &Properties,
) -> Discovery {
    reading.allow(join, &SHAPE);
    let mut chosen: Option<(&Element, Discovery)> = None;
    for name in SHAPE.children {
        let Some(element) = reading.child(join, name) else { continue };
        let Some(discovery) = read_one(reading, element, ports, properties) else { continue };
        if let Some((first, _)) = &chosen {
            let (first, second) = if first.place < element.place { (*first, element) } else { (element, *first) };
            let message = format!(
                "two ways to find members are switched on, <{}> in line {} and <{}>: switch one of them off with \
                 enabled=\"false\"",
                first.name, first.place.line, second.name
            );
            reading.problem(second.place, Fault::Inconsistent(message));
        } else {
            reading.origins.insert("cluster/network/join".to_owned(), Origin::at(element.place, None));
            chosen = Some((element, discovery));
        }
    }
    if let Some((_, discovery)) = chosen {
        return discovery;
    }
    let detects = switch(reading, join, "auto-detection");
    let is_wanted = detects.unwrap_or(switch(reading, join, "multicast") != Some(false));
    if reading.dialect(join.place) == Dialect::Hazelcast && is_wanted {
        let by_default = when_nothing_is_said(reading, true, properties);
        // What it says about multicast holds for this, too.
        let said = join.children.iter().find(|child| child.name == "multicast");
        return said.map_or(by_default, |element| Discovery::Multicast(multicast::read(reading, element, properties)));
    }
    let message = "<join> switches nothing on: this node looks for nobody, and waits to be found";
    reading.warn(Some(join.place), message);
    Discovery::Alone
}

/// What a child of `<join>` says about being switched on, if it says it.
fn switch(reading: &mut Reading<'_>, join: &Element, name: &str) -> Option<bool> {
    let child = join.children.iter().find(|child| child.name == name)?;
    reading.attribute(child, "enabled", &SWITCH)
}

/// Hazelcast's auto-detection ends at multicast.
pub(super) fn when_nothing_is_said(
    reading: &mut Reading<'_>,
    is_hazelcast: bool,
    properties: &Properties,
) -> Discovery {
    if !is_hazelcast {
        return Discovery::Alone;
    }
    let reason = "nothing in <join> is switched on, and then Hazelcast's way is multicast".to_owned();
    reading.origins.insert("cluster/network/join".to_owned(), Origin::Follows(reason));
    Discovery::Multicast(multicast::by_property(reading, Multicast::default(), properties))
}

fn read_one(reading: &mut Reading<'_>, element: &Element, ports: Ports, properties: &Properties) -> Option<Discovery> {
    match element.name.as_str() {
        "auto-detection" => {
            reading.allow(element, &Shape { attributes: &["enabled"], children: &[], text: Text::Refused });
            reading.attribute(element, "enabled", &SWITCH);
            None
        }
        "discovery-strategies" => {
            for strategy in element.children.iter().filter(|child| child.name == "discovery-strategy") {
                refuse(reading, strategy, "a <discovery-strategy> (a Java class)");
            }
            None
        }
        _ if !is_enabled(reading, element) => {
            say_what_is_not_used(reading, element);
            None
        }
        "multicast" => Some(Discovery::Multicast(multicast::read(reading, element, properties))),
        "tcp-ip" => Some(read_list(reading, element, ports, properties)),
        "dns" => Some(Discovery::Dns(dns::read(reading, element, ports.first))),
        "aws" => Some(Discovery::Aws(aws::read(reading, element))),
        "kubernetes" => dns::read_kubernetes(reading, element, ports.first).map(Discovery::Dns),
        name => {
            refuse(reading, element, &format!("<{name}>"));
            None
        }
    }
}

fn read_list(reading: &mut Reading<'_>, element: &Element, ports: Ports, properties: &Properties) -> Discovery {
    let list = tcp_ip::read(reading, element, ports, properties);
    if list.members.is_empty() && list.required_member.is_none() {
        reading.warn(Some(element.place), "<tcp-ip> lists nobody: this node waits to be found");
        reading.origins.insert("cluster/network/join".to_owned(), Origin::at(element.place, None));
        return Discovery::Alone;
    }
    Discovery::TcpIp(list)
}

/// What stands in a way that is switched off is not read. Two mistakes are seen from outside.
fn say_what_is_not_used(reading: &mut Reading<'_>, element: &Element) {
    let is_silent = element.attributes.iter().all(|attribute| attribute.name != "enabled");
    let lists = |child: &Element| !child.text.trim().is_empty() || !child.children.is_empty();
    match element.name.as_str() {
        "tcp-ip" if is_silent && element.children.iter().any(lists) => {
            let message = "<tcp-ip> lists members and is not used: Hazelcast wants enabled=\"true\" for that";
            reading.warn(Some(element.place), message);
        }
        "aws" => aws::warn_about_open_secret(reading, element),
        _ => {}
    }
}

fn refuse(reading: &mut Reading<'_>, element: &Element, what: &str) {
    if is_enabled(reading, element) {
        reading.problem(element.place, Fault::UseDns { what: what.to_owned(), how: BY_DNS });
    }
}
