//! The interfaces through which the local network is reached.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};

/// One interface, by one of its addresses of version 4, or by its number for version 6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Interface {
    Version4(Ipv4Addr),
    /// Its number, which the system asks for.
    Version6(u32),
}

/// The interfaces for packets to `group`, in rising order. `through` is the address that the node listens on for other
/// members: only the interface that has it is used, or all that can if it is the unspecified one. The loopback
/// interface is used if it is named so, or if there is no other.
///
/// # Errors
///
/// If the system does not tell, or no interface is there: both may be otherwise in a while.
pub(super) fn towards(group: IpAddr, through: IpAddr) -> io::Result<Vec<Interface>> {
    let up: Vec<InterfaceAddress> =
        getifaddrs()?.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP)).collect();
    let chosen = |is_wanted: &dyn Fn(&InterfaceAddress) -> bool| {
        let mut chosen: Vec<Interface> =
            up.iter().filter(|interface| is_wanted(interface)).filter_map(|one| of_version(group, one)).collect();
        chosen.sort();
        chosen.dedup();
        chosen
    };
    let is_loopback = |interface: &InterfaceAddress| interface.flags.contains(InterfaceFlags::IFF_LOOPBACK);
    let mut chosen = if through.is_unspecified() {
        let all = chosen(&|one| one.flags.contains(InterfaceFlags::IFF_MULTICAST) && !is_loopback(one));
        if all.is_empty() { chosen(&is_loopback) } else { all }
    } else {
        let named = chosen(&|one| address(one) == Some(through));
        // Of the addresses of an interface only the one that is listened on: packets come from it.
        named.into_iter().filter(|one| !matches!(one, Interface::Version4(other) if *other != through)).collect()
    };
    chosen.truncate(INTERFACES_MAX);
    if chosen.is_empty() {
        let reason = format!("no interface for packets to {group} has the address {through}");
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, reason));
    }
    Ok(chosen)
}

/// Interfaces that are used: Linux lets a socket join 20 groups (`net.ipv4.igmp_max_memberships`).
const INTERFACES_MAX: usize = 20;

fn address(interface: &InterfaceAddress) -> Option<IpAddr> {
    let address = interface.address?;
    let version_4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    version_4.or(address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

fn of_version(group: IpAddr, interface: &InterfaceAddress) -> Option<Interface> {
    match (group, address(interface)?) {
        (IpAddr::V4(_), IpAddr::V4(address)) => Some(Interface::Version4(address)),
        (IpAddr::V6(_), IpAddr::V6(_)) => {
            Some(Interface::Version6(if_nametoindex(interface.interface_name.as_str()).ok()?))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 2, 2, 3));

    #[test]
    fn the_interface_with_the_address_is_the_only_one() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);

        let chosen = towards(GROUP, loopback).expect("every machine has it");

        assert_eq!(chosen, [Interface::Version4(Ipv4Addr::LOCALHOST)]);
    }

    #[test]
    fn there_is_always_one_when_none_is_named() {
        let chosen = towards(GROUP, IpAddr::V4(Ipv4Addr::UNSPECIFIED)).expect("at least that of loopback");

        assert!(!chosen.is_empty());
    }

    #[test]
    fn an_address_that_nobody_has_is_said() {
        for nobodys in ["192.0.2.77", "2001:db8::77"] {
            let nobodys = nobodys.parse().expect("an address");
            let refused = towards(GROUP, nobodys).expect_err("a documentation address");
            assert!(refused.to_string().contains(&format!("{nobodys}")), "{refused}");
        }
        assert!(towards(IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)).is_err());
    }
}
