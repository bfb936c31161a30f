//! `<tcp-ip>`: addresses of members.
//!
//! Addresses stand in `<member>`, `<members>`, `<interface>`, `<hostname>` and `<member-list><member>`, which all add
//! to one list; in one element they are parted by `,`, `;` or blanks.

use super::properties::Properties;
use crate::config::discovery::{HostPattern, MemberPattern, Ports, TcpIp};
use crate::config::document::Element;
use crate::config::origins::Origin;
use crate::config::reading::{Kind, Reading, SECONDS, Shape, Text};

/// Addresses of one list. Each is dialled again and again, so a range that is far too wide is a mistake.
const ADDRESSES_MAX: usize = 1024;

const EXPECTED: &str = "a host name or address with or without a port, like 10.0.0.2, 10.0.0.2-5, 10.0.0.2:5701, \
                        [2001:db8::2]:5701 or chat.example.org:5701";

const REQUIRED: Kind<MemberPattern> = Kind {
    expected: "one host name or address, with or without a port",
    parse: |text| {
        let pattern: MemberPattern = text.parse().ok()?;
        (!matches!(pattern.host, HostPattern::Range { .. })).then_some(pattern)
    },
};

const SHAPE: Shape = Shape {
    attributes: &["enabled", "connection-timeout-seconds"],
    children: &["member", "members", "interface", "hostname", "member-list", "required-member"],
    text: Text::Refused,
};

/// What `<tcp-ip>` says.
pub(super) fn read(reading: &mut Reading<'_>, element: &Element, ports: Ports, properties: &Properties) -> TcpIp {
    reading.allow(element, &SHAPE);
    let mut members = Vec::new();
    for child in &element.children {
        match child.name.as_str() {
            "member-list" => {
                reading.allow(child, &Shape { attributes: &[], children: &["member"], text: Text::Refused });
                for member in &child.children {
                    add(reading, &mut members, member, ports);
                }
            }
            "member" | "members" | "interface" | "hostname" => add(reading, &mut members, child, ports),
            _ => {}
        }
    }
    let connection_time_max = reading.attribute(element, "connection-timeout-seconds", &SECONDS);
    TcpIp {
        members,
        ports,
        required_member: reading.value(element, "required-member", &REQUIRED),
        join_time_max: properties.join_time_max,
        connection_time_max: connection_time_max.unwrap_or(properties.connection_time_max),
    }
}

fn add(reading: &mut Reading<'_>, members: &mut Vec<MemberPattern>, element: &Element, ports: Ports) {
    for word in reading.words(element, EXPECTED) {
        let Ok(member) = word.parse::<MemberPattern>() else {
            reading.bad_value(element.text_place, format!("<{}>", element.name), word, EXPECTED);
            continue;
        };
        let count: usize = members.iter().chain([&member]).map(|member| member.count(ports)).sum();
        if count > ADDRESSES_MAX {
            let expected = format!("at most {ADDRESSES_MAX} addresses and ports in all");
            reading.bad_value(element.text_place, format!("<{}>", element.name), word, &expected);
            return;
        }
        let origin = Origin::at(element.text_place, element.note.as_deref());
        reading.origins.insert(format!("cluster/network/join/tcp-ip/{member}"), origin);
        members.push(member);
    }
}
