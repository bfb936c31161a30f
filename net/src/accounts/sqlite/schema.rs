//! The tables, and how a file comes to have them.
//!
//! A file says by its `application_id` that it is an account store and by its `user_version` how many of
//! [`MIGRATIONS`] it has been through. All that are missing are made in one transaction. A file that has been
//! through more than this program knows is refused, because what is new in it would be ignored or destroyed.
//!
//! One process makes them and the others wait, longer than for a commit ([`MIGRATION_TIME_MAX`]). A file that is up to
//! date is opened without any lock.

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::{BUSY_TIME_MAX, LOOK_AGAIN_AFTER};

/// `CRSS`: marks a file as an account store of ours.
const APPLICATION_ID: i32 = 0x4352_5353;

/// The bits of a mode by which everybody may do something.
const EVERYBODY: u32 = 0o007;

/// Statements that stay prepared on each connection: more than there are.
const STATEMENTS_MAX: usize = 64;

/// How long a process that opens a file which is not up to date waits for those who make it so. Nobody can be served
/// before, so it is far longer than a commit waits: many nodes that start at once take turns, each with some syncs of a
/// disk that may be busy, and a migration may rewrite a table.
const MIGRATION_TIME_MAX: Duration = Duration::from_secs(60);

/// The distance at which the switch to the write-ahead log is tried while another process makes it: SQLite does not wait
/// for the lock there.
const SWITCH_PAUSE: Duration = Duration::from_millis(20);

/// Each brings the tables from one version to the next. They are never changed, only added to.
const MIGRATIONS: [&str; 6] = [
    "
    CREATE TABLE accounts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        -- How many rows of `messages` it has; kept so that a full store is seen without counting.
        waiting INTEGER NOT NULL DEFAULT 0
    ) STRICT;

    CREATE TABLE scram_keys (
        account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
        hash TEXT NOT NULL,
        iterations INTEGER NOT NULL,
        salt BLOB NOT NULL,
        stored_key BLOB NOT NULL,
        server_key BLOB NOT NULL,
        PRIMARY KEY (account, hash)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE roster (
        account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
        contact TEXT NOT NULL,
        name TEXT,
        subscription TEXT NOT NULL,
        asked INTEGER NOT NULL,
        -- A JSON array.
        groups TEXT NOT NULL,
        PRIMARY KEY (account, contact)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE messages (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        sender TEXT,
        recipient TEXT,
        stanza_id TEXT,
        language TEXT,
        payload BLOB NOT NULL,
        -- The route that has claimed it.
        holder_index INTEGER,
        holder_position INTEGER
    ) STRICT;
    CREATE INDEX messages_of_account ON messages (account, key);

    CREATE TABLE members (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL
    ) STRICT;

    CREATE TABLE identity (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        cluster_id BLOB NOT NULL,
        join_secret BLOB NOT NULL,
        fake_salt_secret BLOB NOT NULL,
        founder INTEGER NOT NULL,
        formed INTEGER NOT NULL
    ) STRICT;
",
    "
    -- Names of messages about which more than one member may decide: each is kept once.
    CREATE TABLE stored_names (
        name BLOB PRIMARY KEY,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX stored_names_by_age ON stored_names (at);
",
    "
    -- What is set for all nodes; what is not there has its default.
    CREATE TABLE properties (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE property_changes (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        old TEXT,
        new TEXT,
        by TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
",
    "
    -- The last mark of each member's data directory.
    CREATE TABLE stamps (
        member INTEGER PRIMARY KEY,
        number INTEGER NOT NULL,
        process INTEGER NOT NULL
    ) STRICT;
",
    "
    -- What messages count for in quotas, and for whose. A row that an older program writes counts for nobody.
    ALTER TABLE messages ADD COLUMN weight INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN sender_account TEXT NOT NULL DEFAULT '';
    UPDATE messages SET
        weight = 512 + length(payload) + coalesce(length(CAST(sender AS BLOB)), 0)
            + coalesce(length(CAST(recipient AS BLOB)), 0) + coalesce(length(CAST(stanza_id AS BLOB)), 0)
            + coalesce(length(CAST(language AS BLOB)), 0),
        sender_account = CASE instr(sender, '/')
            WHEN 0 THEN sender ELSE coalesce(substr(sender, 1, instr(sender, '/') - 1), '') END;
    -- All that a quota asks for, so that the messages themselves are not read.
    CREATE INDEX messages_by_sender ON messages (account, sender_account, weight);

    -- The weight of its rows of `messages`, as `waiting` is their number. Looked up again before anything is refused.
    ALTER TABLE accounts ADD COLUMN waiting_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE accounts SET waiting_bytes =
        (SELECT coalesce(sum(weight), 0) FROM messages WHERE messages.account = accounts.id);
",
    "
    -- The accounts in a ring: whoever asks for one that does not exist is shown keys like those of the next.
    ALTER TABLE accounts ADD COLUMN draw INTEGER NOT NULL DEFAULT 0;
    UPDATE accounts SET draw = random();
    CREATE INDEX accounts_by_draw ON accounts (draw);
",
];

/// Why an account store could not be opened; meant for the operator.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is none of ours.
    #[error("{} is not an account store of Cresset", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// A later program has written it.
    #[error(
        "{} was written by a newer version of Cresset (its tables have version {found}, this program knows {known}): \
         update this node first",
        path.display()
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The version of its tables.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// It holds the join secret, by which anybody is a member of the cluster.
    #[error(
        "the account store {} is open to everybody on this machine, and the join secret is in it: chmod o-rwx it",
        path.display()
    )]
    EverybodyMay {
        /// Which file.
        path: PathBuf,
    },
    /// It cannot be opened, read or written.
    #[error("cannot open the account store {}: {reason}", path.display())]
    Failed {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// Opens or creates the file and brings its tables up to date.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, OpenError> {
    create_private(path).map_err(|error| OpenError::Failed { path: path.to_owned(), reason: error.to_string() })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| refusal(path, &error))?;
    prepare_for_writing(&mut connection).map_err(|error| refusal(path, &error))?;
    migrate(&connection, path, &MIGRATIONS)?;
    connection.busy_handler(Some(wait_for_a_commit)).map_err(|error| refusal(path, &error))?;
    Ok(connection)
}

/// Opens the file, which is there and up to date, for a reader.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, OpenError> {
    let open = || -> rusqlite::Result<Connection> {
        // Readers of a write-ahead log write to the index of that log, so a read-only file would not do.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIME_MAX)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    open().map_err(|error| refusal(path, &error))
}

/// Creates the file for its owner alone, if it is not there. SQLite gives the files beside it the same rights.
fn create_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

/// The file and those in which SQLite keeps what is on its way into it. A copy or a backup may have lost its rights.
fn refuse_open_files(path: &Path) -> Result<(), OpenError> {
    for ending in ["", "-wal", "-journal"] {
        let mut file = path.as_os_str().to_owned();
        file.push(ending);
        let path = PathBuf::from(file);
        // One that cannot be looked at is left to SQLite.
        if path.metadata().is_ok_and(|metadata| metadata.mode() & EVERYBODY != 0) {
            return Err(OpenError::EverybodyMay { path });
        }
    }
    Ok(())
}

fn prepare_for_writing(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(wait_for_a_migration))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "FULL")
}

/// What SQLite calls while another process has the lock, with the number of its earlier calls; answers whether to go
/// on waiting.
fn wait_for_a_commit(calls: i32) -> bool {
    wait(calls, BUSY_TIME_MAX)
}

/// The same for the start, when whoever has the lock may be making the tables.
fn wait_for_a_migration(calls: i32) -> bool {
    wait(calls, MIGRATION_TIME_MAX)
}

/// SQLite's own handler sleeps for up to 100 ms, and a busy process would not let a sleeper in.
fn wait(calls: i32, time_max: Duration) -> bool {
    thread::sleep(LOOK_AGAIN_AFTER);
    u32::try_from(calls).is_ok_and(|calls| LOOK_AGAIN_AFTER.saturating_mul(calls) < time_max)
}

fn refusal(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign { path },
        Some(_) | None => OpenError::Failed { path, reason: error.to_string() },
    }
}

/// Makes the migrations that the file has not been through.
fn migrate(connection: &Connection, path: &Path, migrations: &[&str]) -> Result<(), OpenError> {
    let refuse = |error: rusqlite::Error| refusal(path, &error);
    let look = Transaction::new_unchecked(connection, TransactionBehavior::Deferred).map_err(refuse)?;
    let is_up_to_date = missing(connection, path, migrations)?.is_some_and(<[_]>::is_empty);
    refuse_open_files(path)?;
    drop(look);
    if is_up_to_date {
        return switch_to_write_ahead_log(connection).map_err(refuse);
    }
    // What the file has been through is looked up again under the lock: two processes may find a new one together.
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(refuse)?;
    let missing = missing(connection, path, migrations)?.unwrap_or(migrations);
    for migration in missing {
        connection.execute_batch(migration).map_err(refuse)?;
    }
    if !missing.is_empty() {
        let known = i64::try_from(migrations.len()).expect("there are few migrations");
        connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(refuse)?;
        connection.pragma_update(None, "user_version", known).map_err(refuse)?;
    }
    transaction.commit().map_err(refuse)?;
    switch_to_write_ahead_log(connection).map_err(refuse)
}

/// The migrations that the file has not been through; absent if it is new. To be asked in a transaction, so that no
/// other process makes them between two of the questions.
fn missing<'a>(
    connection: &Connection,
    path: &Path,
    migrations: &'a [&'a str],
) -> Result<Option<&'a [&'a str]>, OpenError> {
    let refuse = |error: rusqlite::Error| refusal(path, &error);
    let application: i32 = number(connection, "application_id").map_err(refuse)?;
    let found: i64 = number(connection, "user_version").map_err(refuse)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(refuse)?;
    if application == 0 && found == 0 && tables == 0 {
        return Ok(None);
    }
    if application != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let known = i64::try_from(migrations.len()).expect("there are few migrations");
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    let done = usize::try_from(found).map_err(|_| OpenError::Foreign { path: path.to_owned() })?;
    Ok(Some(&migrations[done..]))
}

fn number<T: rusqlite::types::FromSql>(connection: &Connection, pragma: &str) -> rusqlite::Result<T> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}

fn switch_to_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    let mut waited = Duration::ZERO;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && waited < MIGRATION_TIME_MAX => {
                waited += SWITCH_PAUSE;
                thread::sleep(SWITCH_PAUSE);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
