//! The account store that a configuration names.

use std::sync::Arc;
use std::time::Duration;

use cresset_core::config;
use tokio::time::sleep;

use super::Store;
use super::postgres::{self, PostgresAccounts};
use super::sqlite::{self, SqliteAccounts};

/// Drawn at random when the machine boots (random(4)).
const KERNEL: &str = "/proc/sys/kernel/random/boot_id";

/// The pause between two attempts to open a database that is away.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How many of them pass between two lines in the log, the first is told at once.
const ATTEMPTS_PER_COMPLAINT: u64 = 30;

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

    /// The same, but a database that is away is waited for, which is said at once and every half minute.
    ///
    /// # Errors
    ///
    /// If the store is there and cannot be used.
    pub async fn open_when_there(place: &config::Accounts) -> Result<Opened, OpenError> {
        let mut attempts = 0;
        loop {
            match Opened::open(place).await {
                Err(OpenError::Postgres(postgres::OpenError::Away { reason })) => {
                    if attempts % ATTEMPTS_PER_COMPLAINT == 0 {
                        tracing::warn!(reason, "the account database is away; the node starts when it is there");
                    }
                    attempts += 1;
                    sleep(TRY_AGAIN_AFTER).await;
                }
                result => {
                    if attempts > 0 && result.is_ok() {
                        tracing::info!(attempts, "the account database is there");
                    }
                    return result;
                }
            }
        }
    }

    /// The machine on which all that share the store have to run: an SQLite file is shared by way of this machine's
    /// memory. Empty if they may run anywhere. It is the running kernel that counts, so containers of one machine share
    /// it, and no two machines do.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn machine(&self) -> std::io::Result<String> {
        match self {
            Opened::Sqlite(_) => Ok(std::fs::read_to_string(KERNEL)?.trim().to_owned()),
            Opened::Postgres(_) => Ok(String::new()),
        }
    }

    /// The store as its users see it.
    pub fn store(&self) -> &dyn Store {
        match self {
            Opened::Sqlite(accounts) => accounts,
            Opened::Postgres(accounts) => accounts,
        }
    }

    /// The same for several users.
    pub fn into_shared(self) -> Arc<dyn Store> {
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

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn who_shares_a_file_runs_on_one_machine() {
        let directory = TempDir::new().expect("a directory");
        let place = config::Accounts::Sqlite { path: directory.path().join("accounts.sqlite") };
        let (one, other) = (Opened::open(&place).await.expect("opened"), Opened::open(&place).await.expect("opened"));

        let machine = one.machine().expect("the system tells");

        assert_eq!(other.machine().expect("the system tells"), machine);
        assert_eq!(machine.len(), 36, "{machine}");
    }
}
