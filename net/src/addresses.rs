//! The addresses of this machine.

use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// The addresses of all interfaces that are up, in the order in which the system lists them, each once.
///
/// # Errors
///
/// If the system does not tell.
pub fn of_this_machine() -> io::Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for interface in getifaddrs()?.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP)) {
        let Some(address) = interface.address else { continue };
        let version_4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        let address = version_4.or(address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())));
        if let Some(address) = address.filter(|address| !addresses.contains(address)) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_the_loopback_address() {
        let addresses = of_this_machine().expect("the system tells");

        assert!(addresses.iter().any(IpAddr::is_loopback), "{addresses:?}");
    }
}
