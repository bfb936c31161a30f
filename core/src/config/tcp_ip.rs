//! `<tcp-ip>`: addresses of members in the words of Hazelcast.
//!
//! Addresses stand in `<member>`, `<members>`, `<interface>`, `<hostname>` and `<member-list><member>`, which all add
//! to one list; in one element they are parted by `,`, `;` or blanks. `10.0.0.1-5` and `10.0.0.*` name many addresses,
//! in the last octet only. An address without a port is tried at the port of this node and the two that follow it, as
//! Hazelcast does for nodes that count their ports up (Hazelcast 5 reference manual, "TCP").

use std::net::{Ipv4Addr, Ipv6Addr};

use super::document::Element;
use super::model::PeerAddress;
use super::reading::{Reading, Shape, Text};

/// Addresses of one list. Each is dialled again and again, so a range that is far too wide is a mistake.
const ADDRESSES_MAX: usize = 1024;

/// Ports that are tried where none is given.
const PORTS_TRIED: u16 = 3;

const EXPECTED: &str = "a host name or address with or without a port, like 10.0.0.2, 10.0.0.2-5, 10.0.0.2:5701, \
                        [2001:db8::2]:5701 or chat.example.org:5701";

const SHAPE: Shape = Shape {
    attributes: &["enabled", "connection-timeout-seconds"],
    children: &["member", "members", "interface", "hostname", "member-list"],
    text: Text::Refused,
};

/// The addresses of a `<tcp-ip>` element, without repetition, in the order of the file.
pub(super) fn read(reading: &mut Reading<'_>, element: &Element, port: u16) -> Vec<PeerAddress> {
    reading.allow(element, &SHAPE);
    let mut addresses = Vec::new();
    for child in &element.children {
        if child.name == "member-list" {
            reading.allow(child, &Shape { attributes: &[], children: &["member"], text: Text::Refused });
            for member in &child.children {
                add(reading, &mut addresses, member, port);
            }
        } else if SHAPE.children.contains(&child.name.as_str()) {
            add(reading, &mut addresses, child, port);
        }
    }
    addresses
}

fn add(reading: &mut Reading<'_>, addresses: &mut Vec<PeerAddress>, element: &Element, port: u16) {
    reading.allow(element, &Shape { attributes: &[], children: &[], text: Text::Allowed });
    let words: Vec<&str> = element.text.split([',', ';', ' ', '\t', '\r', '\n']).filter(|w| !w.is_empty()).collect();
    if words.is_empty() {
        reading.bad_value(element.place, format!("<{}>", element.name), "", EXPECTED);
    }
    for word in words {
        let Some(found) = expand(word, port) else {
            reading.bad_value(element.text_place, format!("<{}>", element.name), word, EXPECTED);
            continue;
        };
        for address in found {
            if addresses.contains(&address) {
                continue;
            }
            if addresses.len() == ADDRESSES_MAX {
                let expected = format!("at most {ADDRESSES_MAX} addresses and ports in all");
                reading.bad_value(element.text_place, format!("<{}>", element.name), word, &expected);
                return;
            }
            addresses.push(address);
        }
    }
}

/// All addresses that one word names.
fn expand(word: &str, port: u16) -> Option<Vec<PeerAddress>> {
    let (host, ports) = split_port(word, port)?;
    let hosts = match host.rsplit_once('.') {
        Some((octets, last)) if octets.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            let (first, last) = octet_range(last)?;
            (first..=last).map(|octet| format!("{octets}.{octet}")).collect()
        }
        Some(_) | None => vec![host.to_owned()],
    };
    if !hosts.iter().all(|host| is_host(host)) {
        return None;
    }
    let each_port = |host: &String| -> Vec<PeerAddress> {
        ports.clone().map(|port| PeerAddress { host: host.clone(), port }).collect()
    };
    Some(hosts.iter().flat_map(each_port).collect())
}

fn split_port(word: &str, port: u16) -> Option<(&str, std::ops::RangeInclusive<u16>)> {
    let tried = port..=port.saturating_add(PORTS_TRIED - 1);
    let exactly = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).map(|port| port..=port);
    if let Some(bracketed) = word.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, exactly(port)?)),
            None => rest.is_empty().then_some((host, tried)),
        };
    }
    if word.parse::<Ipv6Addr>().is_ok() {
        return Some((word, tried));
    }
    match word.split_once(':') {
        Some((host, port)) => Some((host, exactly(port)?)),
        None => Some((word, tried)),
    }
}

fn octet_range(octet: &str) -> Option<(u8, u8)> {
    match octet.split_once('-') {
        None if octet == "*" => Some((0, 255)),
        None => octet.parse().ok().map(|octet| (octet, octet)),
        Some((first, last)) => {
            let range = (first.parse().ok()?, last.parse().ok()?);
            (range.0 <= range.1).then_some(range)
        }
    }
}

fn is_host(host: &str) -> bool {
    let is_numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if is_numeric {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    host.parse::<Ipv6Addr>().is_ok()
        || (host.len() <= 253
            && host.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                    && !label.starts_with('-')
            }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_port_is_one_address() {
        assert_eq!(written("10.0.0.2:5701"), ["10.0.0.2:5701"]);
        assert_eq!(written("chat.example.org:7000"), ["chat.example.org:7000"]);
        assert_eq!(written("[2001:db8::2]:5701"), ["[2001:db8::2]:5701"]);
    }

    #[test]
    fn an_address_without_a_port_is_tried_at_three() {
        assert_eq!(written("localhost"), ["localhost:5701", "localhost:5702", "localhost:5703"]);
        assert_eq!(written("::1"), ["[::1]:5701", "[::1]:5702", "[::1]:5703"]);
    }

    #[test]
    fn a_range_counts_both_ends_and_a_star_counts_all() {
        assert_eq!(written("10.10.1.1-3:5701"), ["10.10.1.1:5701", "10.10.1.2:5701", "10.10.1.3:5701"]);
        assert_eq!(written("10.10.1.*:5701").len(), 256);
    }

    #[test]
    fn what_names_no_address_is_refused() {
        for word in [
            "10.0.0",
            "10.0.0.256",
            "10.0.0.5-1",
            "10.0.*.1",
            "10.0.0.1:0",
            "10.0.0.1:x",
            "10.0.0.1:99999",
            "[::1",
            "[::1]5701",
            "[zz]:1",
            ":5701",
            "a..b",
            "-a",
            "a/b",
            "ü",
        ] {
            assert_eq!(expand(word, 5701), None, "{word}");
        }
    }

    fn written(word: &str) -> Vec<String> {
        expand(word, 5701).expect(word).iter().map(ToString::to_string).collect()
    }
}
