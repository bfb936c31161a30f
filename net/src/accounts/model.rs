//! What goes into the account store and comes out of it.

use std::collections::BTreeMap;
use std::fmt;

use cresset_core::ids::{LogIndex, MemberId, RouteId};
use cresset_core::jid::NodePart;
use cresset_core::sasl::{Hash, Password, ScramKeys};
use cresset_core::session::RosterItem;
use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

/// What is kept of a password: SCRAM keys, at most one set for each hash.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Credentials(BTreeMap<Hash, ScramKeys>);

impl Credentials {
    /// Derives the keys for both hashes, with salts of their own. Takes milliseconds of processor time.
    pub fn derive(password: &Password, random: &mut StdRng) -> Credentials {
        Hash::ALL.into_iter().map(|hash| ScramKeys::generate(hash, password, random)).collect()
    }

    /// The keys for one hash; absent if the account was imported without.
    pub fn of(&self, hash: Hash) -> Option<&ScramKeys> {
        self.0.get(&hash)
    }

    /// All keys that there are.
    pub fn iter(&self) -> impl Iterator<Item = &ScramKeys> {
        self.0.values()
    }
}

impl FromIterator<ScramKeys> for Credentials {
    /// Of several keys for one hash the last one counts.
    fn from_iter<I: IntoIterator<Item = ScramKeys>>(keys: I) -> Credentials {
        Credentials(keys.into_iter().map(|keys| (keys.hash, keys)).collect())
    }
}

/// What a look-up of keys finds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Keys {
    /// Those of the account.
    Own(Credentials),
    /// There is no such account: those of the account that was drawn, none if there is no account at all.
    Drawn(Credentials),
}

/// One account to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAccount {
    /// The localpart of its JID.
    pub name: NodePart,
    /// Its keys.
    pub credentials: Credentials,
}

/// What [`add_many`](super::Accounts::add_many) does with an account that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// Leaves it as it is.
    Keep,
    /// Gives it the new keys.
    Update,
}

/// What became of an account that was to be created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// It was created.
    Created,
    /// It was there and has the new keys.
    Updated,
    /// It was there and is as it was.
    Exists,
}

/// What became of a change to an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// It was made.
    Done,
    /// There is no such account.
    NoSuchAccount,
}

/// What became of a contact that was to be put into a roster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RosterWrite {
    /// It is there, like this.
    Done(RosterItem),
    /// The roster has as many items or bytes as it may have.
    Full,
    /// There is no such account.
    NoSuchAccount,
}

/// What became of a message for somebody who is away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// It is kept.
    Kept,
    /// As much waits as may wait, of all or of its sender.
    Full,
    /// There is no such account.
    NoSuchAccount,
}

/// A route that asks for its account's messages, with what its node knows of the account's routes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claimant {
    /// Who asks.
    pub route: RouteId,
    /// The account's routes; what another one of them has claimed stays claimed.
    pub live: Vec<RouteId>,
    /// The position in the log that the view had applied *before* `live` was read from it. A claim of a route that
    /// was bound later is respected, because the view could not know that route.
    pub as_of: LogIndex,
}

impl Claimant {
    /// Whether a message that `holder` has claimed is this claimant's for the taking. A holder of another log belongs to a
    /// node that is by itself, or to a cluster that this node is not in: whether it lives cannot be known, and a message
    /// that comes twice is better than one that never comes.
    pub fn may_take_from(&self, holder: RouteId) -> bool {
        let is_unknown_yet = holder.index.is_in_the_log_of(self.route.index) && holder.index > self.as_of;
        holder != self.route && !is_unknown_yet && !self.live.contains(&holder)
    }
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
