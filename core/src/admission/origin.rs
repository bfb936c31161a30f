//! From where somebody comes, as far as the node is told.

use std::net::IpAddr;

use super::Host;

/// Where a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// At this address.
    Own(IpAddr),
    /// Behind a proxy at this address, which is everybody's who comes through it.
    Shared(IpAddr),
}

/// Who waits for its turn and pays for what is done for it: all of one host together, and behind a proxy, where hosts
/// cannot be told apart, each connection for itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Party {
    /// All connections of a host.
    Host(Host),
    /// The connection of this number.
    Connection(u64),
}

impl Origin {
    /// Of the client or of its proxy.
    pub const fn address(self) -> IpAddr {
        match self {
            Origin::Own(address) | Origin::Shared(address) => address,
        }
    }

    /// Of the client or of its proxy.
    pub fn host(self) -> Host {
        Host::of(self.address())
    }

    /// The party to which the connection of this number belongs.
    pub fn party(self, connection: u64) -> Party {
        match self {
            Origin::Own(address) => Party::Host(Host::of(address)),
            Origin::Shared(_) => Party::Connection(connection),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn connections_of_one_host_are_one_party_and_those_of_a_proxy_are_not() {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

        assert_eq!(Origin::Own(address).party(1), Origin::Own(address).party(2));
        assert_ne!(Origin::Shared(address).party(1), Origin::Shared(address).party(2));
    }
}
