//! The part of the store that a cluster and its members know themselves by.

use std::fmt;

use cresset_core::ids::MemberId;
use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::StoreFuture;

/// What a cluster and its members know themselves by.
pub trait ClusterStore: Send + Sync + 'static {
    /// The cluster's identity. The first caller ever writes it from `candidate`; everybody gets the same answer.
    fn identity(&self, candidate: Founding) -> StoreFuture<'_, Identity>;

    /// Notes that the cluster is formed by this founder, if it is to be: from now on everybody else joins, and nobody
    /// founds. Answers whether it is this founder who forms it, or did.
    fn form(&self, founder: MemberId) -> StoreFuture<'_, bool>;

    /// Has `to` found the cluster and not `from`, if `from` was to and has not. Answers the identity as it is then.
    fn replace_founder(&self, from: MemberId, to: MemberId) -> StoreFuture<'_, Identity>;

    /// The cluster's identity, if it has one. Changes nothing.
    fn known_identity(&self) -> StoreFuture<'_, Option<Identity>>;

    /// Puts another cluster in the place of `from`, if that is the one, which is to be founded by `anew.founder`. The
    /// accounts with all that is theirs, the fake salts and the properties stay; what routes of `from` have claimed is
    /// free. Answers the identity as it is then.
    fn found_anew(&self, from: ClusterId, anew: Founding) -> StoreFuture<'_, Identity>;

    /// A member id that was never given out before, greater than all of them. `name` is kept for people.
    fn allocate_member(&self, name: String) -> StoreFuture<'_, MemberId>;

    /// The last stamp of a member's data directory, if it has one.
    fn stamp(&self, member: MemberId) -> StoreFuture<'_, Option<Stamp>>;

    /// Puts `to` in the place of the stamp `from`, if that is the last one of this member; answers which is the last one
    /// then.
    fn replace_stamp(&self, member: MemberId, from: Option<Stamp>, to: Stamp) -> StoreFuture<'_, Stamp>;
}

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
