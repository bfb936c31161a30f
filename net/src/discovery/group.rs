//! The sockets of a multicast group: one that hears, and one for each interface that speaks.
//!
//! The group is joined on each interface, and a packet is sent through each: where the system would send it by itself
//! depends on the routing table, which an operator did not write for this. It knows nothing of what is in a packet.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use cresset_core::config::discovery::Multicast as Settings;
use cresset_core::discovery::PACKET_BYTES_MAX;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::interfaces::Interface;

/// A group that is listened and spoken to.
pub(super) struct Group {
    ears: UdpSocket,
    mouths: Vec<(UdpSocket, SocketAddr)>,
    /// A packet that does not fit is longer than one of ours, and is seen to be by the byte beyond.
    buffer: [u8; PACKET_BYTES_MAX + 1],
}

impl Group {
    /// Joins the group on these interfaces.
    ///
    /// # Errors
    ///
    /// If the system does not let it, on any of them.
    pub(super) fn join(settings: &Settings, interfaces: &[Interface]) -> io::Result<Group> {
        let mouths = interfaces.iter().map(|interface| mouth(settings, *interface)).collect::<io::Result<_>>()?;
        Ok(Group { ears: ears(settings, interfaces)?, mouths, buffer: [0; PACKET_BYTES_MAX + 1] })
    }

    /// The next packet, its end missing if it is too long to be ours, and who has sent it. Dropping the future loses
    /// nothing.
    pub(super) async fn hear(&mut self) -> io::Result<(IpAddr, &[u8])> {
        let (length, sender) = self.ears.recv_from(&mut self.buffer).await?;
        Ok((sender.ip(), &self.buffer[..length]))
    }

    /// Sends a packet through every interface.
    ///
    /// # Errors
    ///
    /// What the system says of the last interface through which it could not be sent; it was sent through the others.
    pub(super) async fn say(&self, packet: &[u8]) -> io::Result<()> {
        let mut result = Ok(());
        for (socket, group) in &self.mouths {
            if let Err(error) = socket.send_to(packet, group).await {
                result = Err(error);
            }
        }
        result
    }
}

fn ears(settings: &Settings, interfaces: &[Interface]) -> io::Result<UdpSocket> {
    let socket = udp(settings.group)?;
    // Several nodes of one machine, and a Hazelcast beside them, listen on the same port: each hears every packet.
    socket.set_reuse_address(true)?;
    match settings.group {
        IpAddr::V4(group) => {
            // Bound to the group, it does not get what is sent to the machine itself; and only from interfaces on which
            // it has joined, which is not what Linux does unless it is told (ip(7), IP_MULTICAST_ALL).
            #[cfg(target_os = "linux")]
            socket.set_multicast_all_v4(false)?;
            socket.bind(&SocketAddr::from((group, settings.port)).into())?;
            for interface in interfaces {
                if let Interface::Version4(address) = interface {
                    socket.join_multicast_v4(&group, address)?;
                }
            }
        }
        IpAddr::V6(group) => {
            socket.set_only_v6(true)?;
            #[cfg(target_os = "linux")]
            socket.set_multicast_all_v6(false)?;
            // A group of the link alone can be bound to on one interface only.
            socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, settings.port)).into())?;
            for interface in interfaces {
                if let Interface::Version6(number) = interface {
                    socket.join_multicast_v6(&group, *number)?;
                }
            }
        }
    }
    UdpSocket::from_std(socket.into())
}

fn mouth(settings: &Settings, interface: Interface) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = udp(settings.group)?;
    let routers = u32::from(settings.time_to_live);
    let group = match (settings.group, interface) {
        (IpAddr::V4(group), Interface::Version4(address)) => {
            socket.bind(&SocketAddr::from((address, 0)).into())?;
            socket.set_multicast_if_v4(&address)?;
            socket.set_multicast_ttl_v4(routers)?;
            socket.set_multicast_loop_v4(settings.loopback)?;
            SocketAddr::from((group, settings.port))
        }
        (IpAddr::V6(group), Interface::Version6(number)) => {
            socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into())?;
            socket.set_multicast_if_v6(number)?;
            socket.set_multicast_hops_v6(routers)?;
            socket.set_multicast_loop_v6(settings.loopback)?;
            SocketAddr::V6(SocketAddrV6::new(group, settings.port, 0, number))
        }
        (IpAddr::V4(_), Interface::Version6(_)) | (IpAddr::V6(_), Interface::Version4(_)) => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an interface of the other version"));
        }
    };
    Ok((UdpSocket::from_std(socket.into())?, group))
}

fn udp(group: IpAddr) -> io::Result<Socket> {
    let domain = if group.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const LOOPBACK: &[Interface] = &[Interface::Version4(Ipv4Addr::LOCALHOST)];
    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn two_nodes_of_one_machine_hear_the_same_packet() {
        let settings = settings();
        let mut one = Group::join(&settings, LOOPBACK).expect("a group");
        let mut other = Group::join(&settings, LOOPBACK).expect("the same group");

        one.say(b"who is there?").await.expect("sent");

        for group in [&mut one, &mut other] {
            let heard = timeout(SOON, group.hear()).await.expect("in time").expect("heard");
            assert_eq!(heard, (IpAddr::V4(Ipv4Addr::LOCALHOST), &b"who is there?"[..]));
        }
    }

    /// G9. What is cut off must not look like a packet that was whole.
    #[tokio::test]
    async fn a_packet_that_is_too_long_stays_too_long() {
        let mut group = Group::join(&settings(), LOOPBACK).expect("a group");

        group.say(&[b'C'; 9000]).await.expect("sent");

        let (_, heard) = timeout(SOON, group.hear()).await.expect("in time").expect("heard");
        assert_eq!(heard.len(), PACKET_BYTES_MAX + 1);
    }

    /// Somebody who sends to the port of the machine is not the group.
    #[tokio::test]
    async fn what_is_sent_to_the_machine_itself_is_not_heard() {
        let settings = settings();
        let mut group = Group::join(&settings, LOOPBACK).expect("a group");
        let stranger = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");

        stranger.send_to(b"to you alone", (Ipv4Addr::LOCALHOST, settings.port)).await.expect("sent");
        group.say(b"to all").await.expect("sent");

        let (_, heard) = timeout(SOON, group.hear()).await.expect("in time").expect("heard");
        assert_eq!(heard, b"to all");
    }

    /// A port that nobody uses at the moment.
    fn settings() -> Settings {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        Settings { port: free.local_addr().expect("bound").port(), ..Settings::default() }
    }
}
