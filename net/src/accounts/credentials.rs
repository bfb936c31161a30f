//! Accounts and their keys.

use std::collections::BTreeMap;

use cresset_core::jid::NodePart;
use cresset_core::sasl::{Hash, Password, ScramKeys};
use rand::rngs::StdRng;

use super::StoreError;

/// Accounts in one call of [`list`](super::Accounts::list) or [`add_many`](super::Accounts::add_many); more is cut off or refused.
pub const ACCOUNTS_PER_CALL_MAX: usize = 10_000;

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

/// Refuses more accounts than one call may carry.
pub(super) fn within_one_call(accounts: usize) -> Result<(), StoreError> {
    if accounts <= ACCOUNTS_PER_CALL_MAX {
        return Ok(());
    }
    Err(StoreError::TooMuch(format!("{accounts} accounts, at most {ACCOUNTS_PER_CALL_MAX} are allowed")))
}
