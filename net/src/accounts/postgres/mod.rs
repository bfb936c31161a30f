//! The account store of a cluster on several machines: a PostgreSQL database, shared by all nodes.
//!
//! ```text
//! Store method ─▶ lane (a bounded pool) ─▶ BEGIN, lock the account's row, work, COMMIT ─▶ answer
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

#[cfg(test)]
mod tests;
