//! Addresses of interfaces with wildcards: `10.3.16.*`, `10.3.10.4-18`, `2001:db8:*:*:*:*:*:1`, `[2001:db8::5]`.
//!
//! Each octet of version 4, and each of the eight groups of version 6, is a number, `*`, or a range `a-b` that counts
//! both ends (Hazelcast 5 reference manual, "Interfaces").

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::member_pattern::octet_range;

/// Which addresses are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressPattern {
    parts: Parts,
    /// As it stands in the file.
    written: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Parts {
    Version4([(u8, u8); 4]),
    Version6([(u16, u16); 8]),
}

impl AddressPattern {
    /// Whether this address is meant.
    pub fn matches(&self, address: IpAddr) -> bool {
        match (&self.parts, address) {
            (Parts::Version4(ranges), IpAddr::V4(address)) => is_within(ranges, &address.octets()),
            (Parts::Version6(ranges), IpAddr::V6(address)) => is_within(ranges, &address.segments()),
            (Parts::Version4(_), IpAddr::V6(_)) | (Parts::Version6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Whether no address is meant but those of this machine alone.
    pub fn is_loopback(&self) -> bool {
        match self.parts {
            Parts::Version4([first, ..]) => first == (127, 127),
            Parts::Version6(ranges) => ranges == Ipv6Addr::LOCALHOST.segments().map(|group| (group, group)),
        }
    }
}

fn is_within<T: PartialOrd>(ranges: &[(T, T)], parts: &[T]) -> bool {
    ranges.iter().zip(parts).all(|((first, last), part)| first <= part && part <= last)
}

impl FromStr for AddressPattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let parts = match bare {
            Some(bare) => version_6(bare),
            None if text.contains(':') => version_6(text),
            None => version_4(text),
        };
        Ok(AddressPattern { parts: parts.ok_or(NotAPattern)?, written: text.to_owned() })
    }
}

/// The word is no address, with or without wildcards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("is no address of an interface")]
pub struct NotAPattern;

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn version_4(text: &str) -> Option<Parts> {
    let ranges: Vec<(u8, u8)> = text.split('.').map(octet_range).collect::<Option<_>>()?;
    Some(Parts::Version4(ranges.try_into().ok()?))
}

fn version_6(text: &str) -> Option<Parts> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(Parts::Version6(address.segments().map(|group| (group, group))));
    }
    let ranges: Vec<(u16, u16)> = text.split(':').map(group_range).collect::<Option<_>>()?;
    Some(Parts::Version6(ranges.try_into().ok()?))
}

fn group_range(group: &str) -> Option<(u16, u16)> {
    let number = |text: &str| u16::from_str_radix(text, 16).ok();
    match group.split_once('-') {
        None if group == "*" => Some((0, u16::MAX)),
        None => number(group).map(|group| (group, group)),
        Some((first, last)) => {
            let range = (number(first)?, number(last)?);
            (range.0 <= range.1).then_some(range)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_a_range_and_a_number_match_what_they_say() {
        assert!(matches("10.3.16.*", "10.3.16.200") && !matches("10.3.16.*", "10.3.17.200"));
        assert!(matches("10.3.10.4-18", "10.3.10.4") && matches("10.3.10.4-18", "10.3.10.18"));
        assert!(!matches("10.3.10.4-18", "10.3.10.19") && !matches("10.3.10.4-18", "::1"));
        assert!(matches("10.*.1-2.7", "10.200.2.7"));
    }

    #[test]
    fn groups_of_version_6_have_wildcards_too() {
        assert!(matches("2001:db8::1", "2001:db8:0:0:0:0:0:1"));
        assert!(matches("2001:db8:*:*:*:*:*:1-f", "2001:db8::5:f") && !matches("2001:db8::1", "127.0.0.1"));
        assert!(!matches("2001:db8:*:*:*:*:*:1-f", "2001:db8::5:10"));
        assert!(matches("[2001:db8::1]", "2001:db8::1") && matches("[2001:db8:*:*:*:*:*:1]", "2001:db8::1"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "*",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.5-1",
            "10.0.0.1:5701",
            "a.b.c.d",
            "fe80::*",
            "1:2:*",
            "[10.0.0.1]",
            "[::1",
        ] {
            assert_eq!(text.parse::<AddressPattern>(), Err(NotAPattern), "{text}");
        }
    }

    fn matches(pattern: &str, address: &str) -> bool {
        pattern.parse::<AddressPattern>().expect(pattern).matches(address.parse().expect(address))
    }
}
