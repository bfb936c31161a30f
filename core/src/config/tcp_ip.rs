//! `<tcp-ip>`: addresses of members in the words of Hazelcast.
//!
//! Addresses stand in `<member>`, `<members>`, `<interface>`, `<hostname>` and `<member-list><member>`, which all add
//! to one list; in one element they are parted by `,`, `;` or blanks.

use super::discovery::{MemberPattern, Ports};
use super::document::Element;
use super::reading::{Reading, Shape, Text};

/// Addresses of one list. Each is dialled again and again, so a range that is far too wide is a mistake.
const ADDRESSES_MAX: usize = 1024;

const EXPECTED: &str = "a host name or address with or without a port, like 10.0.0.2, 10.0.0.2-5, 10.0.0.2:5701, \
                        [2001:db8::2]:5701 or chat.example.org:5701";

const SHAPE: Shape = Shape {
    attributes: &["enabled", "connection-timeout-seconds"],
    children: &["member", "members", "interface", "hostname", "member-list"],
    text: Text::Refused,
};

/// The members of a `<tcp-ip>` element, in the order of the file.
pub(super) fn read(reading: &mut Reading<'_>, element: &Element, ports: Ports) -> Vec<MemberPattern> {
    reading.allow(element, &SHAPE);
    let mut members = Vec::new();
    for child in &element.children {
        if child.name == "member-list" {
            reading.allow(child, &Shape { attributes: &[], children: &["member"], text: Text::Refused });
            for member in &child.children {
                add(reading, &mut members, member, ports);
            }
        } else if SHAPE.children.contains(&child.name.as_str()) {
            add(reading, &mut members, child, ports);
        }
    }
    members
}

fn add(reading: &mut Reading<'_>, members: &mut Vec<MemberPattern>, element: &Element, ports: Ports) {
    reading.allow(element, &Shape { attributes: &[], children: &[], text: Text::Allowed });
    let words: Vec<&str> = element.text.split([',', ';', ' ', '\t', '\r', '\n']).filter(|w| !w.is_empty()).collect();
    if words.is_empty() {
        reading.bad_value(element.place, format!("<{}>", element.name), "", EXPECTED);
    }
    for word in words {
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
        members.push(member);
    }
}
