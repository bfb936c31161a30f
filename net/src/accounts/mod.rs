//! Accounts: SCRAM keys, rosters, messages for those who are away, the row by which a cluster knows itself, and the
//! properties that all its nodes follow.
//!
//! All members of a cluster share one account store; that is how they know that they belong together. The store is
//! a seam: [`Accounts`] has two real sides ([`sqlite`] for one machine, [`postgres`] for several) and a simulated one
//! ([`memory`]), and all pass the same tests (`contract`).
//!
//! ```text
//! session ──Order──▶ clients/connection ──▶ dyn Accounts ──▶ sqlite │ postgres │ memory
//! formation (identity, member ids) ─────────────┘
//! ```
//!
//! Invariants: what a method has answered `Ok` to is durable; an account's name is a prepared localpart; passwords
//! are never here, only what SCRAM derives from them. An offline message is handed to one live route at a time.
//!
//! Nothing is decided here: whether a message is stored at all, or whom a roster change is told, is core's business.

#[cfg(test)]
mod contract;
mod credentials;
mod identity;
pub mod memory;
mod offline;
mod opened;
pub mod postgres;
mod properties;
mod roster;
pub mod sqlite;
mod text;

use std::collections::BTreeMap;

use cresset_core::config::properties::OfflineQuota;
use cresset_core::ids::{MemberId, RouteId};
use cresset_core::jid::{BareJid, FullJid, NodePart};
use cresset_core::routing::StanzaName;
use cresset_core::session::{OfflineMessage, RosterPart};
use cresset_core::stanza::Stanza;
use cresset_core::time::UnixMillis;
use futures_util::future::BoxFuture;

pub use credentials::{ACCOUNTS_PER_CALL_MAX, Added, Credentials, Existing, Keys, NewAccount, Written};
pub use identity::{ClusterId, FakeSaltSecret, Founding, Identity, JoinSecret, Stamp};
pub use offline::{CLAIM_BYTES_MAX, CLAIM_MESSAGES_MAX, Claimant, NAME_KEPT_MS, Stored, store_answer};
pub use opened::{OpenError, Opened};
pub use properties::{PROPERTIES_MAX, PROPERTY_CHANGES_MAX, PropertyChange, PropertyWrite};
pub use roster::RosterWrite;

use credentials::within_one_call;

/// What every method answers.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Why the store did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// Too much waits for the store already. Nothing was done.
    #[error("the account store is busy: nothing was done, try again later")]
    Busy,
    /// The store failed. Whether a write was done is unknown.
    #[error("the account store is not available: {0}")]
    Unavailable(String),
    /// What is stored cannot be read: damaged, or written by something else.
    #[error("the account store holds something unreadable: {0}")]
    Unreadable(String),
    /// The caller asked for more than one call may do. Nothing was done.
    #[error("too much in one call to the account store: {0}")]
    TooMuch(String),
}

/// One domain's accounts, shared by all members of its cluster.
///
/// An account is named by the localpart of its JID; the domain is the cluster's. A future does nothing until it is
/// polled; one that is dropped may or may not have had its effect.
pub trait Accounts: Send + Sync + 'static {
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

    /// The items of an account's roster that follow a contact, or the first ones, ordered by JID: at most
    /// [`ROSTER_PART_BYTES_MAX`](cresset_core::limits::ROSTER_PART_BYTES_MAX) as they are stored, and one at least if
    /// there is any. Empty if there is no such account.
    fn roster(&self, account: NodePart, after: Option<BareJid>) -> StoreFuture<'_, RosterPart>;

    /// Puts a contact into a roster, or changes what the user calls it and its groups, whatever the state of the
    /// subscriptions is meanwhile; answers the item that results. How much fits says
    /// [`RosterSize::has_room_for`](cresset_core::session::RosterSize::has_room_for).
    fn set_contact(
        &self,
        account: NodePart,
        contact: BareJid,
        name: Option<String>,
        groups: Vec<String>,
    ) -> StoreFuture<'_, RosterWrite>;

    /// Takes an item out of a roster; answers whether it was there.
    fn remove_contact(&self, account: NodePart, contact: BareJid) -> StoreFuture<'_, bool>;

    /// Keeps a message for an account, if what waits for it is within the quota then, and what its sender has sent of
    /// that. One that was kept by the same name within the last [`NAME_KEPT_MS`] milliseconds is not kept again, whether
    /// it is still there or was handed out.
    fn store_offline(
        &self,
        account: NodePart,
        message: Stanza,
        at: UnixMillis,
        quota: OfflineQuota,
        name: Option<StanzaName>,
    ) -> StoreFuture<'_, Stored>;

    /// Hands out to one route the oldest messages that no other live route has claimed, at most
    /// [`CLAIM_MESSAGES_MAX`] and [`CLAIM_BYTES_MAX`]. The claimant does not get again what it claimed before.
    fn claim(&self, account: NodePart, claimant: Claimant) -> StoreFuture<'_, Vec<OfflineMessage>>;

    /// Forgets messages that arrived. Only what is still claimed by this route goes.
    fn forget(&self, account: NodePart, keys: Vec<i64>, route: RouteId) -> StoreFuture<'_, ()>;

    /// Whether a message to exactly this full JID waits for an account, claimed or not.
    fn is_stored_for(&self, account: NodePart, recipient: FullJid) -> StoreFuture<'_, bool>;

    /// How many messages wait for an account, claimed ones included.
    fn offline_count(&self, account: NodePart) -> StoreFuture<'_, usize>;

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

    /// The properties that are set, by name; at most [`PROPERTIES_MAX`].
    fn properties(&self) -> StoreFuture<'_, BTreeMap<String, String>>;

    /// Sets or removes a property and remembers the change; answers what was set before. What is set to what it is
    /// already is no change.
    fn set_property(&self, write: PropertyWrite) -> StoreFuture<'_, Option<String>>;

    /// The changes of one property or of all, the latest first, at most `max`. At least the latest
    /// [`PROPERTY_CHANGES_MAX`] of all are remembered.
    fn property_changes(&self, name: Option<String>, max: usize) -> StoreFuture<'_, Vec<PropertyChange>>;
}
