//! The account store of one machine: a SQLite file, shared by all nodes that run there.
//!
//! ```text
//! Accounts::method ──Job──▶ queue ──▶ writer thread: BEGIN IMMEDIATE, many jobs, COMMIT (fsync), answers
//!                     └───▶ queue ──▶ reader threads: one job, its answer
//! ```
//!
//! * A write is answered after the commit that holds it is on the disk (`synchronous=FULL`), because the sender of an
//!   offline message is told that the server answers for it. What gathers during one fsync shares the next one. A job
//!   that fails is undone by itself, and the others are committed together without it.
//! * Readers never wait for the writer, nor the writer for them (write-ahead log).
//! * Several processes open the same file. SQLite keeps their commits apart; one waits for another at most
//!   [`BUSY_TIME_MAX`]. The file must lie on a local disk: the write-ahead log needs shared memory.
//! * The file is readable for its owner alone: it holds the join secret.
//!
//! `rusqlite` rather than `sqlx`: SQLite has no asynchronous interface, so both end in threads of their own; with our
//! own threads the group commit is ours to arrange, statements are plain text that stays prepared, nothing has to be
//! generated or checked against a database while compiling, and some hundred packages need not be built.

mod credentials;
mod identity;
mod offline;
mod properties;
mod roster;
mod schema;
mod threads;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cresset_core::config::properties::OfflineQuota;
use cresset_core::ids::{MemberId, RouteId};
use cresset_core::jid::{BareJid, FullJid, NodePart};
use cresset_core::routing::StanzaName;
use cresset_core::session::{OfflineMessage, RosterPart};
use cresset_core::stanza::Stanza;
use cresset_core::time::UnixMillis;
use rusqlite::ErrorCode;

use super::{
    ACCOUNTS_PER_CALL_MAX, Accounts, Added, Claimant, ClusterId, Credentials, Existing, Founding, Identity, Keys,
    NewAccount, PropertyChange, PropertyWrite, RosterWrite, Stamp, StoreError, StoreFuture, Stored, Written,
};
use threads::Threads;

pub use schema::OpenError;

/// How long a commit of this process waits for those of others. Beyond it: [`StoreError::Busy`].
pub const BUSY_TIME_MAX: Duration = Duration::from_secs(5);

/// How often a process that waits to commit looks whether it may.
const LOOK_AGAIN_AFTER: Duration = Duration::from_micros(500);

/// How long a process that has more to commit leaves the file to others between two commits: twice the time after
/// which those who wait look again, so that nobody is kept out for long. What gathers meanwhile shares the next commit.
const LEAVE_TO_OTHERS: Duration = Duration::from_millis(1);

/// The account store in a SQLite file. Clones share the threads, which end with the last clone.
#[derive(Clone)]
pub struct SqliteAccounts {
    threads: Arc<Threads>,
}

impl SqliteAccounts {
    /// Opens the file, creates it if it is not there, and brings an older one up to date. Blocks; meant for the start
    /// of the program.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, is not an account store, or was written by a newer version.
    pub fn open(path: &Path) -> Result<SqliteAccounts, OpenError> {
        let writer = schema::open_for_writing(path)?;
        let readers = [schema::open_for_reading(path)?, schema::open_for_reading(path)?];
        let threads = Threads::start(writer, readers)
            .map_err(|error| OpenError::Failed { path: path.to_owned(), reason: error.to_string() })?;
        Ok(SqliteAccounts { threads: Arc::new(threads) })
    }

    /// Closes the file, unless there are other clones. The last process that closes it folds the write-ahead log in,
    /// so that the file alone is a whole copy. Blocks; meant for the end of the program, which may also do without:
    /// what was answered is on the disk.
    pub fn close(self) {
        if let Some(threads) = Arc::into_inner(self.threads) {
            threads.close();
        }
    }
}

impl Accounts for SqliteAccounts {
    fn credentials(&self, account: NodePart, draw: i64) -> StoreFuture<'_, Keys> {
        self.threads.read(move |connection| credentials::find(connection, &account, draw))
    }

    fn exists(&self, account: NodePart) -> StoreFuture<'_, bool> {
        self.threads.read(move |connection| Ok(credentials::account_id(connection, &account)?.is_some()))
    }

    fn add(&self, account: NodePart, credentials: Credentials) -> StoreFuture<'_, Added> {
        let account = NewAccount { name: account, credentials };
        self.threads.write(move |connection| credentials::add(connection, &account, Existing::Keep))
    }

    fn add_many(&self, accounts: Vec<NewAccount>, existing: Existing) -> StoreFuture<'_, Vec<Added>> {
        self.threads.write(move |connection| {
            super::within_one_call(accounts.len())?;
            accounts.iter().map(|account| credentials::add(connection, account, existing)).collect()
        })
    }

    fn change_credentials(&self, account: NodePart, credentials: Credentials) -> StoreFuture<'_, Written> {
        self.threads.write(move |connection| credentials::change(connection, &account, &credentials))
    }

    fn remove(&self, account: NodePart) -> StoreFuture<'_, Written> {
        self.threads.write(move |connection| credentials::remove(connection, &account))
    }

    fn list(&self, after: Option<NodePart>, max: usize) -> StoreFuture<'_, Vec<NodePart>> {
        let max = max.min(ACCOUNTS_PER_CALL_MAX);
        self.threads.read(move |connection| credentials::list(connection, after.as_ref(), max))
    }

    fn roster(&self, account: NodePart, after: Option<BareJid>) -> StoreFuture<'_, RosterPart> {
        self.threads.read(move |connection| roster::load(connection, &account, after.as_ref()))
    }

    fn set_contact(
        &self,
        account: NodePart,
        contact: BareJid,
        name: Option<String>,
        groups: Vec<String>,
    ) -> StoreFuture<'_, RosterWrite> {
        self.threads
            .write(move |connection| roster::set_contact(connection, &account, &contact, name.as_deref(), &groups))
    }

    fn remove_contact(&self, account: NodePart, contact: BareJid) -> StoreFuture<'_, bool> {
        self.threads.write(move |connection| roster::remove(connection, &account, &contact))
    }

    fn store_offline(
        &self,
        account: NodePart,
        message: Stanza,
        at: UnixMillis,
        quota: OfflineQuota,
        name: Option<StanzaName>,
    ) -> StoreFuture<'_, Stored> {
        self.threads.write(move |connection| offline::store(connection, &account, &message, at, &quota, name))
    }

    fn claim(&self, account: NodePart, claimant: Claimant) -> StoreFuture<'_, Vec<OfflineMessage>> {
        self.threads.write(move |connection| offline::claim(connection, &account, &claimant))
    }

    fn forget(&self, account: NodePart, keys: Vec<i64>, route: RouteId) -> StoreFuture<'_, ()> {
        self.threads.write(move |connection| offline::forget(connection, &account, &keys, route))
    }

    fn is_stored_for(&self, account: NodePart, recipient: FullJid) -> StoreFuture<'_, bool> {
        self.threads.read(move |connection| offline::is_stored_for(connection, &account, &recipient))
    }

    fn offline_count(&self, account: NodePart) -> StoreFuture<'_, usize> {
        self.threads.read(move |connection| offline::count(connection, &account))
    }

    fn identity(&self, candidate: Founding) -> StoreFuture<'_, Identity> {
        self.threads.write(move |connection| identity::found_or_find(connection, &candidate))
    }

    fn form(&self, founder: MemberId) -> StoreFuture<'_, bool> {
        self.threads.write(move |connection| identity::form(connection, founder))
    }

    fn replace_founder(&self, from: MemberId, to: MemberId) -> StoreFuture<'_, Identity> {
        self.threads.write(move |connection| identity::replace_founder(connection, from, to))
    }

    fn known_identity(&self) -> StoreFuture<'_, Option<Identity>> {
        self.threads.read(identity::known)
    }

    fn found_anew(&self, from: ClusterId, anew: Founding) -> StoreFuture<'_, Identity> {
        self.threads.write(move |connection| identity::found_anew(connection, from, &anew))
    }

    fn allocate_member(&self, name: String) -> StoreFuture<'_, MemberId> {
        self.threads.write(move |connection| identity::allocate_member(connection, &name))
    }

    fn stamp(&self, member: MemberId) -> StoreFuture<'_, Option<Stamp>> {
        self.threads.read(move |connection| identity::stamp(connection, member))
    }

    fn replace_stamp(&self, member: MemberId, from: Option<Stamp>, to: Stamp) -> StoreFuture<'_, Stamp> {
        self.threads.write(move |connection| identity::replace_stamp(connection, member, from, to))
    }

    fn properties(&self) -> StoreFuture<'_, BTreeMap<String, String>> {
        self.threads.read(properties::all)
    }

    fn set_property(&self, write: PropertyWrite) -> StoreFuture<'_, Option<String>> {
        self.threads.write(move |connection| properties::set(connection, &write))
    }

    fn property_changes(&self, name: Option<String>, max: usize) -> StoreFuture<'_, Vec<PropertyChange>> {
        self.threads.read(move |connection| properties::changes(connection, name.as_deref(), max))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Unreadable(error.to_string()),
            Some(_) => StoreError::Unavailable(error.to_string()),
            // Without a code of SQLite's the error is about the type or the absence of a value.
            None => StoreError::Unreadable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
