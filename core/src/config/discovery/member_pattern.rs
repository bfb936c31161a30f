//! Where members may be found, in the words of Hazelcast: `10.0.0.1`, `10.0.0.1-5:5701`, `10.0.0.*`, `chat-a`,
//! `[2001:db8::2]:5701`.
//!
//! Ranges stand in the last octet only, and count both ends; an address of version 6 has none (Hazelcast 5 reference
//! manual, "TCP").

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::Ports;
use crate::config::model::PeerAddress;

/// Bytes of a host name (RFC 1035 section 2.3.4), the final dot not counted.
const HOST_BYTES_MAX: usize = 253;

/// Bytes of one label of it.
const LABEL_BYTES_MAX: usize = 63;

/// One or more hosts, with or without a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberPattern {
    /// The hosts.
    pub host: HostPattern,
    /// The only port to be tried; absent: several.
    pub port: Option<u16>,
}

/// One or more hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostPattern {
    /// A name, to be resolved each time.
    Name(String),
    /// An address.
    Address(IpAddr),
    /// Addresses that differ in the last octet: from `first` to `last`, both included.
    Range {
        /// The octets that they share.
        octets: [u8; 3],
        /// The lowest last octet.
        first: u8,
        /// The highest last octet; not below the lowest.
        last: u8,
    },
}

impl MemberPattern {
    /// Every address that is meant; `ports` are those that are tried where the pattern has none.
    pub fn addresses(&self, ports: Ports) -> Vec<PeerAddress> {
        let ports = match self.port {
            Some(port) => Ports { first: port, count: 1 },
            None => ports,
        };
        let each_port = |host: String| ports.iter().map(move |port| PeerAddress { host: host.clone(), port });
        self.host.hosts().into_iter().flat_map(each_port).collect()
    }

    /// Whether no host is meant but this machine: a name for it (RFC 6761 section 6.3), or one of its own addresses.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            HostPattern::Name(name) => {
                let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
                name == "localhost" || name.ends_with(".localhost")
            }
            HostPattern::Address(address) => address.is_loopback(),
            HostPattern::Range { octets: [first, ..], .. } => *first == 127,
        }
    }

    /// How many addresses that is.
    pub fn count(&self, ports: Ports) -> usize {
        let hosts = match &self.host {
            HostPattern::Name(_) | HostPattern::Address(_) => 1,
            HostPattern::Range { first, last, .. } => usize::from(last - first) + 1,
        };
        hosts * self.port.map_or(usize::from(ports.count), |_| 1)
    }
}

impl HostPattern {
    fn hosts(&self) -> Vec<String> {
        match self {
            HostPattern::Name(name) => vec![name.clone()],
            HostPattern::Address(address) => vec![address.to_string()],
            HostPattern::Range { octets: [a, b, c], first, last } => {
                (*first..=*last).map(|d| Ipv4Addr::new(*a, *b, *c, d).to_string()).collect()
            }
        }
    }
}

impl FromStr for MemberPattern {
    type Err = NotAMember;

    fn from_str(word: &str) -> Result<Self, NotAMember> {
        let (host, port) = split_port(word).ok_or(NotAMember)?;
        Ok(MemberPattern { host: host_pattern(host).ok_or(NotAMember)?, port })
    }
}

/// The word names no host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("names no host")]
pub struct NotAMember;

impl fmt::Display for MemberPattern {
    /// As it is written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (HostPattern::Address(IpAddr::V6(address)), Some(port)) => write!(f, "[{address}]:{port}"),
            (host, Some(port)) => write!(f, "{host}:{port}"),
            (host, None) => write!(f, "{host}"),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Name(name) => f.write_str(name),
            HostPattern::Address(address) => write!(f, "{address}"),
            HostPattern::Range { octets: [a, b, c], first: 0, last: 255 } => write!(f, "{a}.{b}.{c}.*"),
            HostPattern::Range { octets: [a, b, c], first, last } => write!(f, "{a}.{b}.{c}.{first}-{last}"),
        }
    }
}

fn split_port(word: &str) -> Option<(&str, Option<u16>)> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    if let Some(bracketed) = word.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(text) => Some((host, Some(port(text)?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    if word.parse::<Ipv6Addr>().is_ok() {
        return Some((word, None));
    }
    match word.split_once(':') {
        Some((host, text)) => Some((host, Some(port(text)?))),
        None => Some((word, None)),
    }
}

fn host_pattern(host: &str) -> Option<HostPattern> {
    if let Ok(address) = host.parse() {
        return Some(HostPattern::Address(address));
    }
    let is_numeric = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if let Some((octets, last)) = host.rsplit_once('.').filter(|(octets, _)| is_numeric(octets)) {
        let octets: Vec<u8> = octets.split('.').map(|octet| octet.parse().ok()).collect::<Option<_>>()?;
        let (first, last) = octet_range(last)?;
        return Some(HostPattern::Range { octets: octets.try_into().ok()?, first, last });
    }
    is_host_name(host).then(|| HostPattern::Name(host.to_owned()))
}

/// `7`, `1-5` or `*`: the lowest and the highest.
pub(super) fn octet_range(octet: &str) -> Option<(u8, u8)> {
    match octet.split_once('-') {
        None if octet == "*" => Some((0, 255)),
        None => octet.parse().ok().map(|octet| (octet, octet)),
        Some((first, last)) => {
            let range = (first.parse().ok()?, last.parse().ok()?);
            (range.0 <= range.1).then_some(range)
        }
    }
}

/// Letters, digits, `-` and `_` in labels; at least one of them is no digit, or it would be half an address. A final dot
/// makes a name absolute: it is looked up as it is, and in no search domain (RFC 1034 section 3.1).
pub(in crate::config) fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
    };
    let is_numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let host = host.strip_suffix('.').unwrap_or(host);
    !is_numeric && host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label)
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
        assert_eq!(written("10.10.1.*").len(), 768);
    }

    #[test]
    fn what_is_written_out_reads_back_the_same() {
        for word in
            ["10.0.0.2", "10.0.0.2-5:1", "10.0.0.*", "a.example", "a:5701", "a.b.:1", "2001:db8::2", "[2001:db8::2]:1"]
        {
            assert_eq!(pattern(word).to_string(), word);
        }
    }

    #[test]
    fn what_is_counted_is_what_comes_out() {
        let ports = Ports { first: 5701, count: 3 };
        for word in ["10.0.0.2", "10.0.0.2-5:1", "10.0.0.*", "a"] {
            assert_eq!(pattern(word).count(ports), pattern(word).addresses(ports).len(), "{word}");
        }
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
            "2001:db8::*",
            ":5701",
            "a..b",
            "a..",
            ".",
            "10.0.0.1.",
            "-a",
            "a/b",
            "ü",
            "",
            "${member}",
        ] {
            assert_eq!(word.parse::<MemberPattern>(), Err(NotAMember), "{word}");
        }
    }

    fn pattern(word: &str) -> MemberPattern {
        word.parse().expect(word)
    }

    fn written(word: &str) -> Vec<String> {
        pattern(word).addresses(Ports { first: 5701, count: 3 }).iter().map(ToString::to_string).collect()
    }
}
