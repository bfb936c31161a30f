//! By what a stranger is recognized: addresses are cheap where they come in blocks.

use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 address that tell hosts apart: what lies behind them is one subscriber's to choose (RFC 6177, RFC 8981).
const HOST_BITS_V6: u32 = 64;

/// Bits of an IPv4 address that tell networks apart: the smallest block that is routed by itself.
const NETWORK_BITS_V4: u32 = 24;

/// Bits of an IPv6 address that tell networks apart: what a site gets (RFC 6177).
const NETWORK_BITS_V6: u32 = 48;

/// One host, as far as an address tells: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Host(IpAddr);

/// The block to which a host belongs: the /24 of an IPv4 address, or the /48 of an IPv6 address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Network(IpAddr);

impl Host {
    /// The host of an address. An IPv4 address that is written as one of IPv6 is the same host.
    pub fn of(address: IpAddr) -> Host {
        Host(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(first_bits(address, HOST_BITS_V6)),
        })
    }

    /// The network in which it is.
    pub fn network(self) -> Network {
        Network(match self.0 {
            IpAddr::V4(address) => IpAddr::V4((address.to_bits() & (u32::MAX << (32 - NETWORK_BITS_V4))).into()),
            IpAddr::V6(address) => IpAddr::V6(first_bits(address, NETWORK_BITS_V6)),
        })
    }
}

impl Network {
    /// Whether it has few addresses, each of which is hard to come by.
    pub const fn is_of_ipv4(self) -> bool {
        self.0.is_ipv4()
    }
}

fn first_bits(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    (address.to_bits() & (u128::MAX << (128 - bits))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_subscriber_is_one_host_whatever_address_it_chooses() {
        assert_eq!(host("2001:db8:1:2::1"), host("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(host("2001:db8:1:2::1"), host("2001:db8:1:3::1"));
        assert_eq!(host("2001:db8:1:2::1").network(), host("2001:db8:1:3::1").network());
        assert_ne!(host("2001:db8:1::1").network(), host("2001:db8:2::1").network());
    }

    #[test]
    fn an_ipv4_address_is_one_host_and_its_block_one_network() {
        assert_ne!(host("192.0.2.1"), host("192.0.2.2"));
        assert_eq!(host("192.0.2.1").network(), host("192.0.2.255").network());
        assert_ne!(host("192.0.2.1").network(), host("192.0.3.1").network());
        assert_eq!(host("::ffff:192.0.2.1"), host("192.0.2.1"));
    }

    fn host(address: &str) -> Host {
        Host::of(address.parse().expect("an address"))
    }
}
