//! Who says hello, and what a link is secured with.

use std::fmt;
use std::net::SocketAddr;

use cresset_core::cluster::VersionRange;
use cresset_core::config::alike::Alike;
use cresset_core::ids::{BootId, MemberId};
pub use cresset_core::links::{Direction, Lane};
use sha2::Sha256;

/// Rounds of PBKDF2 between the join secret and the key of the links. Who records a handshake can test guesses of the
/// secret against it; a secret that a person made up must not fall to that in an afternoon. Some 20 ms, once per start.
const KEY_ROUNDS: u32 = 100_000;

/// What a node says of itself on every link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster it belongs to. At most [`TEXT_BYTES_MAX`] bytes.
    pub cluster: String,
    /// The member.
    pub member: MemberId,
    /// The process.
    pub boot: BootId,
    /// The name that people know it by. At most [`TEXT_BYTES_MAX`] bytes.
    pub name: String,
    /// Where others reach it. Port 0 stands for the port that is listened on.
    pub address: SocketAddr,
    /// The protocol versions that it understands.
    pub versions: VersionRange,
    /// The machine that it must share with the others, because its account store serves one only; empty if several
    /// may share the store. At most [`TEXT_BYTES_MAX`] bytes.
    pub machine: String,
    /// The version of its program, for people; empty if it is of a time when that was not said. At most
    /// [`TEXT_BYTES_MAX`] bytes.
    pub program: String,
    /// What all members must say alike; absent if its program is of a time when that was not said.
    pub alike: Option<Alike>,
}

/// Bytes of a cluster id, a name or a machine in a hello. A longer one cannot be said.
pub const TEXT_BYTES_MAX: usize = 255;

/// What keeps strangers off the links.
#[derive(Clone, Debug)]
pub enum LinkSecurity {
    /// Noise, keyed by the join secret of the cluster.
    Noise(JoinSecret),
    /// Frames with a checksum and nothing else. Only for a simulated network, whose bytes must not depend on entropy.
    PlaintextForSimulation,
}

/// The key that all members of a cluster derive from its join secret.
#[derive(Clone)]
pub struct JoinSecret([u8; 32]);

impl JoinSecret {
    /// Derives the key from the secret as it was configured. Takes some 20 ms.
    pub fn derive(secret: &[u8]) -> JoinSecret {
        let mut key = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(secret, b"cresset links 1", KEY_ROUNDS, &mut key);
        JoinSecret(key)
    }

    /// The pre-shared key of the handshake.
    pub(super) fn key(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for JoinSecret {
    /// Says nothing, so that no log does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret")
    }
}
