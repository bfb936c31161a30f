//! Accounts: SCRAM keys, rosters, messages for those who are away, the row by which a cluster knows itself, and the
//! properties that all its nodes follow.
//!
//! All members of a cluster share one account store; that is how they know that they belong together. The store is
//! a seam: [`Store`] has two real sides ([`sqlite`] for one machine, [`postgres`] for several) and a simulated one
//! ([`memory`]), and all pass the same tests (`contract`). It has a part for each kind of what is stored, so that whoever
//! uses it says what for:
//!
//! ```text
//! operators' commands, log-ins ────▶ AccountStore  ─┐
//! sessions (errands) ──────────────▶ RosterStore    │
//! sessions (errands), router ──────▶ OfflineStore   ├─▶ sqlite │ postgres │ memory
//! founding, stamps, recovery ──────▶ ClusterStore   │
//! operators' properties ───────────▶ PropertyStore ─┘
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

use cresset_core::session::StoreUnavailable;
use futures_util::future::BoxFuture;

pub use credentials::{
    ACCOUNTS_PER_CALL_MAX, AccountStore, Added, Credentials, Existing, Keys, NewAccount, Written, credentials_answer,
};
pub use identity::{ClusterId, ClusterStore, FakeSaltSecret, Founding, Identity, JoinSecret, Stamp};
pub use offline::{CLAIM_BYTES_MAX, CLAIM_MESSAGES_MAX, Claimant, NAME_KEPT_MS, OfflineStore, Stored, store_answer};
pub use opened::{OpenError, Opened};
pub use properties::{PROPERTIES_MAX, PROPERTY_CHANGES_MAX, PropertyChange, PropertyStore, PropertyWrite};
pub use roster::{RosterStore, RosterWrite};

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

/// What a session is told of that. The log has the reason.
pub fn unavailable(error: &StoreError) -> StoreUnavailable {
    tracing::warn!(%error, "the account store did not answer");
    StoreUnavailable
}

/// All parts of one domain's account store, which all members of its cluster share.
///
/// An account is named by the localpart of its JID; the domain is the cluster's. A future does nothing until it is
/// polled; one that is dropped may or may not have had its effect.
pub trait Store: AccountStore + RosterStore + OfflineStore + ClusterStore + PropertyStore {}

impl<T: AccountStore + RosterStore + OfflineStore + ClusterStore + PropertyStore> Store for T {}
