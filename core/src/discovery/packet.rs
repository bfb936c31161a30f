//! A packet of multicast discovery, as bytes.
//!
//! ```text
//! "CRSD"  version  kind  nonce (16)  boot (8)  length  address (text)  HMAC-SHA-256 of all before it (32)
//! ```
//!
//! The key comes from the join secret and the name of the cluster, so a packet of another cluster on the same group is
//! as foreign as one of Hazelcast's. The address is covered by the code: nobody can put another one in. Nothing is
//! allocated before the code has been checked.

use std::fmt;
use std::net::SocketAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ids::BootId;

/// Bytes of a packet. What is longer is not one.
pub const PACKET_BYTES_MAX: usize = 128;

const MAGIC: &[u8; 4] = b"CRSD";
const VERSION: u8 = 1;
const QUESTION: u8 = 1;
const ANSWER: u8 = 2;
const CODE_BYTES: usize = 32;
/// Magic, version, kind, nonce, boot, length.
const HEAD_BYTES: usize = 4 + 1 + 1 + 16 + 8 + 1;

/// What a question is known by. Chosen by chance, so that an answer to it cannot have existed before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Nonce(pub(super) [u8; 16]);

/// What a packet says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packet {
    pub(super) kind: Kind,
    /// The question, or the one that is answered.
    pub(super) nonce: Nonce,
    /// The process that has sent it.
    pub(super) boot: BootId,
    /// Where that process may be dialled.
    pub(super) address: SocketAddr,
}

/// Whether somebody asks or answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Question,
    Answer,
}

/// Why bytes are not a packet of this cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotOurs {
    /// Somebody else's, or not understood.
    Foreign,
    /// It looks like ours and was not made with our key.
    Unauthenticated,
}

/// The key of the discovery packets of one cluster.
#[derive(Clone)]
pub struct DiscoveryKey(Hmac<Sha256>);

impl DiscoveryKey {
    /// The key of the cluster of this name whose members know this join secret.
    pub fn derive(join_secret: &[u8], cluster_name: &str) -> Self {
        let mut derived = keyed(join_secret);
        derived.update(b"cresset discovery 1\0");
        derived.update(cluster_name.as_bytes());
        DiscoveryKey(keyed(&derived.finalize().into_bytes()))
    }

    fn code(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut code = self.0.clone();
        code.update(bytes);
        code
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

impl fmt::Debug for DiscoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiscoveryKey(not shown)")
    }
}

impl Packet {
    pub(super) fn encode(&self, key: &DiscoveryKey) -> Vec<u8> {
        let address = self.address.to_string();
        let kind = match self.kind {
            Kind::Question => QUESTION,
            Kind::Answer => ANSWER,
        };
        let mut bytes = Vec::with_capacity(PACKET_BYTES_MAX);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[VERSION, kind]);
        bytes.extend_from_slice(&self.nonce.0);
        bytes.extend_from_slice(&self.boot.0.to_be_bytes());
        bytes.push(u8::try_from(address.len()).expect("the longest address has 58 bytes"));
        bytes.extend_from_slice(address.as_bytes());
        let code = key.code(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&code);
        bytes
    }

    pub(super) fn decode(bytes: &[u8], key: &DiscoveryKey) -> Result<Packet, NotOurs> {
        if bytes.len() > PACKET_BYTES_MAX || bytes.len() < HEAD_BYTES + CODE_BYTES || !bytes.starts_with(MAGIC) {
            return Err(NotOurs::Foreign);
        }
        let (said, code) = bytes.split_at(bytes.len() - CODE_BYTES);
        key.code(said).verify_slice(code).map_err(|_| NotOurs::Unauthenticated)?;
        // Whatever is wrong from here on was made by somebody with the key: a release that speaks otherwise.
        Packet::read(said).ok_or(NotOurs::Foreign)
    }

    fn read(said: &[u8]) -> Option<Packet> {
        let (head, address) = said.split_at_checked(HEAD_BYTES)?;
        let kind = match (head[4], head[5]) {
            (VERSION, QUESTION) => Kind::Question,
            (VERSION, ANSWER) => Kind::Answer,
            _ => return None,
        };
        let nonce = Nonce(head[6..22].try_into().ok()?);
        let boot = BootId(u64::from_be_bytes(head[22..30].try_into().ok()?));
        if usize::from(head[30]) != address.len() {
            return None;
        }
        let address: SocketAddr = std::str::from_utf8(address).ok()?.parse().ok()?;
        let is_reachable = address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast();
        is_reachable.then_some(Packet { kind, nonce, boot, address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_comes_back_as_it_was() {
        for address in ["10.0.0.1:5701", "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"] {
            let packet = packet(address);
            let bytes = packet.encode(&key());
            assert!(bytes.len() <= PACKET_BYTES_MAX);
            assert_eq!(Packet::decode(&bytes, &key()), Ok(packet));
        }
    }

    #[test]
    fn another_secret_and_another_name_are_another_cluster() {
        let bytes = packet("10.0.0.1:5701").encode(&key());

        for other in [DiscoveryKey::derive(b"secret", "other"), DiscoveryKey::derive(b"other", "chat")] {
            assert_eq!(Packet::decode(&bytes, &other), Err(NotOurs::Unauthenticated));
        }
    }

    /// G9, G10 and G27, exhaustively for one packet.
    #[test]
    fn a_packet_cut_or_flipped_anywhere_is_not_ours() {
        let bytes = packet("10.0.0.1:5701").encode(&key());
        for length in 0..bytes.len() {
            assert!(Packet::decode(&bytes[..length], &key()).is_err(), "{length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Packet::decode(&flipped, &key()).is_err(), "{bit}");
        }
        let longer = [bytes, vec![0]].concat();
        assert!(Packet::decode(&longer, &key()).is_err());
    }

    #[test]
    fn an_address_at_which_nobody_can_be_is_not_understood() {
        for address in ["0.0.0.0:5701", "10.0.0.1:0", "224.2.2.3:5701"] {
            let bytes = packet(address).encode(&key());
            assert_eq!(Packet::decode(&bytes, &key()), Err(NotOurs::Foreign), "{address}");
        }
    }

    #[test]
    fn hazelcasts_packets_are_foreign() {
        let join_request = [&[0, 0, 0, 0, 5][..], b"dev", &[0xFF; 60]].concat();
        assert_eq!(Packet::decode(&join_request, &key()), Err(NotOurs::Foreign));
        assert_eq!(Packet::decode(&vec![b'C'; 65_507], &key()), Err(NotOurs::Foreign));
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", key()), "DiscoveryKey(not shown)");
    }

    fn key() -> DiscoveryKey {
        DiscoveryKey::derive(b"secret", "chat")
    }

    fn packet(address: &str) -> Packet {
        let address = address.parse().expect("an address");
        Packet { kind: Kind::Answer, nonce: Nonce([7; 16]), boot: BootId(9), address }
    }
}
