//! The row by which a cluster knows itself.

use std::fmt;

use cresset_core::ids::MemberId;
use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

/// Tells one cluster from another. No secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({self})")
    }
}

/// What a node must know to be let in by the members. Never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinSecret(pub [u8; 32]);

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(…)")
    }
}

/// Makes the salt that is shown for an account that does not exist, so that it is the same on every node and at
/// every time, as that of a real account is. Never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct FakeSaltSecret(pub [u8; 32]);

impl fmt::Debug for FakeSaltSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeSaltSecret(…)")
    }
}

/// The row by which all members know that they belong together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// What its members prove to each other that they know.
    pub join_secret: JoinSecret,
    /// What its nodes make fake salts with.
    pub fake_salt_secret: FakeSaltSecret,
    /// The member that wrote the row: it alone may form the cluster.
    pub founder: MemberId,
    /// Whether it has done so.
    pub formed: bool,
}

/// An identity that becomes the cluster's if there is none yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Founding {
    /// The cluster's id.
    pub cluster_id: ClusterId,
    /// The secret of its members.
    pub join_secret: JoinSecret,
    /// The secret behind its fake salts.
    pub fake_salt_secret: FakeSaltSecret,
    /// The member that offers to form it.
    pub founder: MemberId,
}

impl Founding {
    /// Draws an identity. The generator must be seeded by the operating system in production, for the secrets are as
    /// good as it is.
    pub fn draw(random: &mut StdRng, founder: MemberId) -> Founding {
        let (mut cluster_id, mut join_secret, mut fake_salt_secret) = ([0; 16], [0; 32], [0; 32]);
        random.fill_bytes(&mut cluster_id);
        random.fill_bytes(&mut join_secret);
        random.fill_bytes(&mut fake_salt_secret);
        Founding {
            cluster_id: ClusterId(cluster_id),
            join_secret: JoinSecret(join_secret),
            fake_salt_secret: FakeSaltSecret(fake_salt_secret),
            founder,
        }
    }

    /// The identity that this becomes.
    pub fn into_identity(self) -> Identity {
        Identity {
            cluster_id: self.cluster_id,
            join_secret: self.join_secret,
            fake_salt_secret: self.fake_salt_secret,
            founder: self.founder,
            formed: false,
        }
    }
}

/// Which copy of a data directory is the one that its member uses: each process marks its directory again and again,
/// and the store knows the last mark (see `control::stamp`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stamp {
    /// Grows by one with each mark.
    pub number: u64,
    /// The process that made it, as it drew for itself.
    pub process: u64,
}
