//! The account store of one machine: a SQLite file, shared by all nodes that run there.
//!
//! ```text
//! Store method ──Job──▶ queue ──▶ writer thread: BEGIN IMMEDIATE, many jobs, COMMIT (fsync), answers
//!                 └───▶ queue ──▶ reader threads: one job, its answer
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

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::ErrorCode;

use super::StoreError;
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
