//! The account store of a cluster on several machines: a PostgreSQL database, shared by all nodes.
//!
//! ```text
//! Accounts::method ─▶ lane (a bounded pool) ─▶ BEGIN, lock the account's row, work, COMMIT ─▶ answer
//! ```
//!
//! * A write is answered after its commit. Whether that is on the disk is the database's promise; one that is set up
//!   not to keep it (`synchronous_commit = off`) is refused.
//! * Whatever changes something of an account locks the account's row first, so nodes take turns at one account and
//!   never wait for each other at different ones. Where a deadlock is possible all the same, it is tried again.
//! * While the database is away every call fails within its time with [`Unavailable`](super::StoreError::Unavailable) or, if too many wait
//!   already, [`Busy`](super::StoreError::Busy); the first call after it is back succeeds. Nothing is kept for later here.
//! * The URL holds a password and is never logged.
//!
//! Futures must be polled inside a [`runtime::scope`](crate::runtime::scope), for each connection is a task. A pooler
//! between node and database must leave a connection to its client: statements stay prepared, and the server is told
//! its time-outs when the connection begins.
//!
//! `tokio-postgres` rather than `sqlx`: statements are plain text here as in [`sqlite`](super::sqlite), and nothing has
//! to be checked against a database while compiling.

mod credentials;
mod failure;
mod identity;
mod lane;
mod offline;
mod properties;
mod roster;
mod schema;
mod settings;

use std::collections::BTreeMap;

use cresset_core::config::properties::OfflineQuota;
use cresset_core::ids::{MemberId, RouteId};
use cresset_core::jid::{BareJid, FullJid, NodePart};
use cresset_core::routing::StanzaName;
use cresset_core::session::{OfflineMessage, RosterPart};
use cresset_core::stanza::Stanza;
use cresset_core::time::UnixMillis;
use futures_util::FutureExt;

use super::{
    ACCOUNTS_PER_CALL_MAX, Accounts, Added, Claimant, ClusterId, Credentials, Existing, Founding, Identity, Keys,
    NewAccount, PropertyChange, PropertyWrite, RosterWrite, Stamp, StoreFuture, Stored, Written,
};
use lane::Lane;

pub use settings::Settings;

/// Why an account database could not be opened; meant for the operator.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings contradict themselves or name what is not there.
    #[error("the account database cannot be used as it is configured: {reason}")]
    Settings {
        /// What is wrong.
        reason: String,
    },
    /// The database has a schema of our name that is none of ours.
    #[error("the schema 'cresset' of the account database is not an account store of Cresset")]
    Foreign,
    /// A later program has written it.
    #[error(
        "the account database was written by a newer version of Cresset (its tables have version {found}, this \
         program knows {known}): update this node first"
    )]
    Newer {
        /// The version of its tables.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// It is set up so that it could not keep what it is given.
    #[error("the account database cannot be used: {reason}")]
    Unfit {
        /// What has to change.
        reason: String,
    },
    /// It cannot be reached at the moment, and may be there a little later.
    #[error("the account database is away: {reason}")]
    Away {
        /// What the system or the database says.
        reason: String,
    },
    /// It does not let us in, or cannot be read or written.
    #[error("cannot open the account database: {reason}")]
    Failed {
        /// What the database or the system says.
        reason: String,
    },
}

/// The account store in a PostgreSQL database. Clones share the connections.
#[derive(Clone)]
pub struct PostgresAccounts {
    lane: Lane,
}

impl PostgresAccounts {
    /// Connects to the database and brings its tables up to date.
    ///
    /// # Errors
    ///
    /// If it cannot be reached, is not an account store, or was written by a newer version.
    pub async fn open(settings: &Settings) -> Result<PostgresAccounts, OpenError> {
        let config = settings::for_driver(settings)?;
        let tls = settings::tls(&config, settings.roots.as_deref())?;
        let lane = Lane::new(config, tls, settings);
        lane.knock().await?;
        schema::migrate(&lane, &schema::MIGRATIONS).await?;
        Ok(PostgresAccounts { lane })
    }

    /// Closes the connections, also those of other clones. What is under way comes to its end.
    pub fn close(&self) {
        self.lane.close();
    }
}

impl Accounts for PostgresAccounts {
    fn credentials(&self, account: NodePart, draw: i64) -> StoreFuture<'_, Keys> {
        self.lane.read((account, draw), |client, (account, draw)| credentials::find(client, account, *draw).boxed())
    }

    fn exists(&self, account: NodePart) -> StoreFuture<'_, bool> {
        self.lane.read(account, |client, account| credentials::exists(client, account).boxed())
    }

    fn add(&self, account: NodePart, credentials: Credentials) -> StoreFuture<'_, Added> {
        let account = NewAccount { name: account, credentials };
        self.lane.write(account, |transaction, account| {
            async move {
                let added = credentials::add(transaction, std::slice::from_ref(account), Existing::Keep).await?;
                Ok(*added.first().expect("one account, one answer"))
            }
            .boxed()
        })
    }

    fn add_many(&self, accounts: Vec<NewAccount>, existing: Existing) -> StoreFuture<'_, Vec<Added>> {
        if let Err(error) = super::within_one_call(accounts.len()) {
            return Box::pin(std::future::ready(Err(error)));
        }
        self.lane.write((accounts, existing), |transaction, (accounts, existing)| {
            credentials::add(transaction, accounts, *existing).boxed()
        })
    }

    fn change_credentials(&self, account: NodePart, credentials: Credentials) -> StoreFuture<'_, Written> {
        self.lane.write((account, credentials), |transaction, (account, credentials)| {
            credentials::change(transaction, account, credentials).boxed()
        })
    }

    fn remove(&self, account: NodePart) -> StoreFuture<'_, Written> {
        self.lane.write(account, |transaction, account| credentials::remove(transaction, account).boxed())
    }

    fn list(&self, after: Option<NodePart>, max: usize) -> StoreFuture<'_, Vec<NodePart>> {
        let max = max.min(ACCOUNTS_PER_CALL_MAX);
        self.lane.read((after, max), |client, (after, max)| credentials::list(client, after.as_ref(), *max).boxed())
    }

    fn roster(&self, account: NodePart, after: Option<BareJid>) -> StoreFuture<'_, RosterPart> {
        self.lane
            .read((account, after), |client, (account, after)| roster::load(client, account, after.as_ref()).boxed())
    }

    fn set_contact(
        &self,
        account: NodePart,
        contact: BareJid,
        name: Option<String>,
        groups: Vec<String>,
    ) -> StoreFuture<'_, RosterWrite> {
        self.lane.write((account, contact, name, groups), |transaction, (account, contact, name, groups)| {
            roster::set_contact(transaction, account, contact, name.as_deref(), groups).boxed()
        })
    }

    fn remove_contact(&self, account: NodePart, contact: BareJid) -> StoreFuture<'_, bool> {
        self.lane.write((account, contact), |transaction, (account, contact)| {
            roster::remove(transaction, account, contact).boxed()
        })
    }

    fn store_offline(
        &self,
        account: NodePart,
        message: Stanza,
        at: UnixMillis,
        quota: OfflineQuota,
        name: Option<StanzaName>,
    ) -> StoreFuture<'_, Stored> {
        self.lane.write((account, message, at, quota, name), |transaction, (account, message, at, quota, name)| {
            offline::store(transaction, account, message, *at, quota, *name).boxed()
        })
    }

    fn claim(&self, account: NodePart, claimant: Claimant) -> StoreFuture<'_, Vec<OfflineMessage>> {
        self.lane.write((account, claimant), |transaction, (account, claimant)| {
            offline::claim(transaction, account, claimant).boxed()
        })
    }

    fn forget(&self, account: NodePart, keys: Vec<i64>, route: RouteId) -> StoreFuture<'_, ()> {
        self.lane.write((account, keys, route), |transaction, (account, keys, route)| {
            offline::forget(transaction, account, keys, *route).boxed()
        })
    }

    fn is_stored_for(&self, account: NodePart, recipient: FullJid) -> StoreFuture<'_, bool> {
        self.lane.read((account, recipient), |client, (account, recipient)| {
            offline::is_stored_for(client, account, recipient).boxed()
        })
    }

    fn offline_count(&self, account: NodePart) -> StoreFuture<'_, usize> {
        self.lane.read(account, |client, account| offline::count(client, account).boxed())
    }

    fn identity(&self, candidate: Founding) -> StoreFuture<'_, Identity> {
        self.lane.write(candidate, |transaction, candidate| identity::found_or_find(transaction, candidate).boxed())
    }

    fn form(&self, founder: MemberId) -> StoreFuture<'_, bool> {
        self.lane.write(founder, |transaction, founder| identity::form(transaction, *founder).boxed())
    }

    fn replace_founder(&self, from: MemberId, to: MemberId) -> StoreFuture<'_, Identity> {
        self.lane
            .write((from, to), |transaction, (from, to)| identity::replace_founder(transaction, *from, *to).boxed())
    }

    fn known_identity(&self) -> StoreFuture<'_, Option<Identity>> {
        self.lane.read((), |client, ()| identity::known(client).boxed())
    }

    fn found_anew(&self, from: ClusterId, anew: Founding) -> StoreFuture<'_, Identity> {
        self.lane
            .write((from, anew), |transaction, (from, anew)| identity::found_anew(transaction, *from, anew).boxed())
    }

    fn allocate_member(&self, name: String) -> StoreFuture<'_, MemberId> {
        self.lane.write(name, |transaction, name| identity::allocate_member(transaction, name).boxed())
    }

    fn stamp(&self, member: MemberId) -> StoreFuture<'_, Option<Stamp>> {
        self.lane.read(member, |client, member| identity::stamp(client, *member).boxed())
    }

    fn replace_stamp(&self, member: MemberId, from: Option<Stamp>, to: Stamp) -> StoreFuture<'_, Stamp> {
        self.lane.write((member, from, to), |transaction, (member, from, to)| {
            identity::replace_stamp(transaction, *member, *from, *to).boxed()
        })
    }

    fn properties(&self) -> StoreFuture<'_, BTreeMap<String, String>> {
        self.lane.read((), |client, ()| properties::all(client).boxed())
    }

    fn set_property(&self, write: PropertyWrite) -> StoreFuture<'_, Option<String>> {
        self.lane.write(write, |transaction, write| properties::set(transaction, write).boxed())
    }

    fn property_changes(&self, name: Option<String>, max: usize) -> StoreFuture<'_, Vec<PropertyChange>> {
        self.lane.read((name, max), |client, (name, max)| properties::changes(client, name.as_deref(), *max).boxed())
    }
}

#[cfg(test)]
mod tests;
