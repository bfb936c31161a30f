//! The part of the store that knows who may log in: accounts and their keys.

use std::collections::BTreeMap;

use cresset_core::jid::NodePart;
use cresset_core::sasl::{Hash, KeyShape, Password, ScramKeys};
use cresset_core::session::CredentialsAnswer;
use rand::rngs::StdRng;

use super::{StoreError, StoreFuture, unavailable};

/// Accounts in one call of [`list`](AccountStore::list) or [`add_many`](AccountStore::add_many); more is cut off or refused.
pub const ACCOUNTS_PER_CALL_MAX: usize = 10_000;

/// The accounts there are, with the keys by which their users log in.
pub trait AccountStore: Send + Sync + 'static {
    /// The keys of an account. If there is no such account, those of another one, by which nobody can log in and like
    /// which those of nobody are to look: the account that `draw` names. Each account is drawn by its share of all numbers,
    /// about as great as that of any other; the same number draws the same account until accounts are added or removed,
    /// and then mostly. One statement does both at the same cost, so that a stranger cannot tell by the time that it takes
    /// whether there is such an account.
    fn credentials(&self, account: NodePart, draw: i64) -> StoreFuture<'_, Keys>;

    /// Whether there is such an account.
    fn exists(&self, account: NodePart) -> StoreFuture<'_, bool>;

    /// Creates an account, unless there is one of that name.
    fn add(&self, account: NodePart, credentials: Credentials) -> StoreFuture<'_, Added>;

    /// Creates many accounts in one transaction, at most [`ACCOUNTS_PER_CALL_MAX`]; the answers are in the order of
    /// the accounts. `existing` says what becomes of those whose name is taken; the second of two equal names in
    /// one call counts as taken.
    fn add_many(&self, accounts: Vec<NewAccount>, existing: Existing) -> StoreFuture<'_, Vec<Added>>;

    /// Gives an account other keys.
    fn change_credentials(&self, account: NodePart, credentials: Credentials) -> StoreFuture<'_, Written>;

    /// Removes an account with its roster and its messages.
    fn remove(&self, account: NodePart) -> StoreFuture<'_, Written>;

    /// The names that follow `after` in the order of their bytes, at most `max` and never more than
    /// [`ACCOUNTS_PER_CALL_MAX`].
    fn list(&self, after: Option<NodePart>, max: usize) -> StoreFuture<'_, Vec<NodePart>>;
}

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

/// What a session is told of a look-up of keys.
pub fn credentials_answer(found: Result<Keys, StoreError>) -> CredentialsAnswer {
    match found {
        Ok(Keys::Own(keys)) => CredentialsAnswer::Known(keys.iter().cloned().collect()),
        Ok(Keys::Drawn(keys)) => CredentialsAnswer::Unknown(keys.iter().map(KeyShape::of).collect()),
        Err(error) => {
            unavailable(&error);
            CredentialsAnswer::Unavailable
        }
    }
}

/// One account to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAccount {
    /// The localpart of its JID.
    pub name: NodePart,
    /// Its keys.
    pub credentials: Credentials,
}

/// What [`add_many`](AccountStore::add_many) does with an account that is there already.
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
