//! The account store that a configuration names.

use std::sync::Arc;

use cresset_core::config;

use super::Accounts;
use super::postgres::{self, PostgresAccounts};
use super::sqlite::{self, SqliteAccounts};

/// Why an account store could not be opened; meant for the operator.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The file.
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    /// The database.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
}

/// An account store that is open.
pub enum Opened {
    /// A file on this machine.
    Sqlite(SqliteAccounts),
    /// A database.
    Postgres(PostgresAccounts),
}

impl Opened {
    /// Opens the store, creates its tables if they are not there, and brings older ones up to date. A file blocks; a
    /// database must be opened and used inside a [`runtime::scope`](crate::runtime::scope).
    ///
    /// # Errors
    ///
    /// If it cannot be opened, is not an account store, or was written by a newer version.
    pub async fn open(place: &config::Accounts) -> Result<Opened, OpenError> {
        match place {
            config::Accounts::Sqlite { path } => Ok(Opened::Sqlite(SqliteAccounts::open(path)?)),
            config::Accounts::Postgres(place) => {
                Ok(Opened::Postgres(PostgresAccounts::open(&postgres_settings(place)).await?))
            }
        }
    }

    /// The store as its users see it.
    pub fn accounts(&self) -> &dyn Accounts {
        match self {
            Opened::Sqlite(accounts) => accounts,
            Opened::Postgres(accounts) => accounts,
        }
    }

    /// The same for several users.
    pub fn into_shared(self) -> Arc<dyn Accounts> {
        match self {
            Opened::Sqlite(accounts) => Arc::new(accounts),
            Opened::Postgres(accounts) => Arc::new(accounts),
        }
    }

    /// Closes it. A file that nobody else has open is a whole copy then. Meant for the end of the program.
    pub fn close(self) {
        match self {
            Opened::Sqlite(accounts) => accounts.close(),
            Opened::Postgres(accounts) => accounts.close(),
        }
    }
}

fn postgres_settings(place: &config::PostgresSettings) -> postgres::Settings {
    postgres::Settings {
        url: place.url.expose().to_owned(),
        roots: place.certificates.clone(),
        connections_max: usize::try_from(place.connections_max).expect("a small number"),
        connect_time_max: place.connect_time_max,
        wait_time_max: place.wait_time_max,
        answer_time_max: place.answer_time_max,
    }
}
