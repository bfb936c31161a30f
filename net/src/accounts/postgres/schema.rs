//! The tables, and how a database comes to have them.
//!
//! All of them lie in the schema `cresset`, whose table `version` says how many of [`MIGRATIONS`] they have been
//! through. Nodes that start together wait for each other at a lock of the database, and the first one makes all that
//! are missing in one transaction. A schema that has been through more than this program knows is refused, because what
//! is new in it would be ignored or destroyed.
//!
//! Texts that clients choose are kept as bytes: our strings may hold U+0000, PostgreSQL's may not.

use std::time::Duration;

use deadpool_postgres::Transaction;
use futures_util::FutureExt;

use super::OpenError;
use super::failure::Failure;
use super::lane::Lane;
use crate::accounts::StoreError;

/// `CRESSET` and a zero: who migrates holds the lock of this number.
const LOCK: i64 = 0x4352_4553_5345_5400;

/// How long one node waits for another that migrates, and how long it may take itself.
const MIGRATION_TIME_MAX: Duration = Duration::from_secs(600);

/// Each brings the tables from one version to the next. They are never changed, only added to.
pub(super) const MIGRATIONS: [&str; 5] = [
    r#"
    CREATE TABLE cresset.accounts (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name TEXT COLLATE "C" NOT NULL UNIQUE,
        -- How many rows of `messages` it has; kept so that a full store is seen without counting.
        waiting BIGINT NOT NULL DEFAULT 0
    );

    CREATE TABLE cresset.scram_keys (
        account BIGINT NOT NULL REFERENCES cresset.accounts ON DELETE CASCADE,
        hash TEXT NOT NULL,
        iterations BIGINT NOT NULL,
        salt BYTEA NOT NULL,
        stored_key BYTEA NOT NULL,
        server_key BYTEA NOT NULL,
        PRIMARY KEY (account, hash)
    );

    CREATE TABLE cresset.roster (
        account BIGINT NOT NULL REFERENCES cresset.accounts ON DELETE CASCADE,
        contact TEXT COLLATE "C" NOT NULL,
        name BYTEA,
        subscription TEXT NOT NULL,
        asked BOOLEAN NOT NULL,
        -- A JSON array.
        groups TEXT NOT NULL,
        PRIMARY KEY (account, contact)
    );

    CREATE TABLE cresset.messages (
        key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account BIGINT NOT NULL REFERENCES cresset.accounts ON DELETE CASCADE,
        at BIGINT NOT NULL,
        kind TEXT NOT NULL,
        sender TEXT,
        recipient TEXT,
        stanza_id BYTEA,
        language BYTEA,
        payload BYTEA NOT NULL,
        -- The route that has claimed it.
        holder_index BIGINT,
        holder_position BIGINT
    );
    CREATE INDEX messages_of_account ON cresset.messages (account, key);

    -- Names of messages about which more than one member may decide: each is kept once.
    CREATE TABLE cresset.stored_names (
        name BYTEA PRIMARY KEY,
        at BIGINT NOT NULL
    );
    CREATE INDEX stored_names_by_age ON cresset.stored_names (at);

    CREATE TABLE cresset.members (
        id BIGINT PRIMARY KEY,
        name TEXT NOT NULL
    );
    -- The greatest id that was ever given out, also if its row was removed.
    CREATE TABLE cresset.member_count (
        only_row BOOLEAN PRIMARY KEY CHECK (only_row),
        last BIGINT NOT NULL
    );
    INSERT INTO cresset.member_count VALUES (TRUE, 0);

    CREATE TABLE cresset.identity (
        only_row BOOLEAN PRIMARY KEY CHECK (only_row),
        cluster_id BYTEA NOT NULL,
        join_secret BYTEA NOT NULL,
        fake_salt_secret BYTEA NOT NULL,
        founder BIGINT NOT NULL,
        formed BOOLEAN NOT NULL
    );
"#,
    r#"
    -- What is set for all nodes; what is not there has its default.
    CREATE TABLE cresset.properties (
        name TEXT COLLATE "C" PRIMARY KEY,
        value TEXT NOT NULL
    );

    CREATE TABLE cresset.property_changes (
        key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name TEXT COLLATE "C" NOT NULL,
        old TEXT,
        new TEXT,
        by TEXT NOT NULL,
        at BIGINT NOT NULL
    );
"#,
    r#"
    -- The last mark of each member's data directory.
    CREATE TABLE cresset.stamps (
        member BIGINT PRIMARY KEY,
        number BIGINT NOT NULL,
        process BIGINT NOT NULL
    );
"#,
    r#"
    -- What messages count for in quotas, and for whose. A row that an older program writes counts for nobody.
    ALTER TABLE cresset.messages ADD COLUMN weight BIGINT NOT NULL DEFAULT 0;
    ALTER TABLE cresset.messages ADD COLUMN sender_account TEXT COLLATE "C" NOT NULL DEFAULT '';
    UPDATE cresset.messages SET
        weight = 512 + octet_length(payload) + coalesce(octet_length(sender), 0)
            + coalesce(octet_length(recipient), 0) + coalesce(octet_length(stanza_id), 0)
            + coalesce(octet_length(language), 0),
        sender_account = coalesce(split_part(sender, '/', 1), '');
    CREATE INDEX messages_by_sender ON cresset.messages (account, sender_account);

    -- The weight of its rows of `messages`, as `waiting` is their number. Looked up again before anything is refused.
    ALTER TABLE cresset.accounts ADD COLUMN waiting_bytes BIGINT NOT NULL DEFAULT 0;
    UPDATE cresset.accounts SET waiting_bytes =
        (SELECT coalesce(sum(weight), 0) FROM cresset.messages WHERE messages.account = accounts.id);
"#,
    r#"
    -- The accounts in a ring: whoever asks for one that does not exist is shown keys like those of the next.
    ALTER TABLE cresset.accounts
        ADD COLUMN draw BIGINT NOT NULL DEFAULT ((random() - 0.5) * 18446744073709549568)::BIGINT;
    CREATE INDEX accounts_by_draw ON cresset.accounts (draw);
"#,
];

/// What a schema was found to be.
enum Found {
    /// It can be worked with.
    Fit,
    /// It belongs to something else.
    Foreign,
    /// A later program has made it.
    Newer(i64),
    /// The database cannot keep what we put into it.
    Unfit(String),
}

/// Makes the migrations that the database has not been through.
pub(super) async fn migrate(lane: &Lane, migrations: &'static [&'static str]) -> Result<(), OpenError> {
    let known = i64::try_from(migrations.len()).expect("there are few migrations");
    let found = lane
        .write_within(MIGRATION_TIME_MAX, (migrations, known), |transaction, (migrations, known)| {
            bring_up_to_date(transaction, migrations, *known).boxed()
        })
        .await;
    match found {
        Ok(Found::Fit) => Ok(()),
        Ok(Found::Foreign) => Err(OpenError::Foreign),
        Ok(Found::Newer(found)) => Err(OpenError::Newer { found, known }),
        Ok(Found::Unfit(reason)) => Err(OpenError::Unfit { reason }),
        // We have been let in a moment ago.
        Err(StoreError::Unavailable(reason)) => Err(OpenError::Away { reason }),
        Err(StoreError::Unreadable(reason)) => Err(OpenError::Failed { reason }),
        Err(error @ (StoreError::Busy | StoreError::TooMuch(_))) => Err(OpenError::Away { reason: error.to_string() }),
    }
}

async fn bring_up_to_date(transaction: &Transaction<'_>, migrations: &[&str], known: i64) -> Result<Found, Failure> {
    let time = MIGRATION_TIME_MAX.as_millis();
    transaction
        .batch_execute(&format!(
            "SET LOCAL statement_timeout = {time}; SET LOCAL idle_in_transaction_session_timeout = {time}"
        ))
        .await?;
    if let Some(reason) = unfitness(transaction).await? {
        return Ok(Found::Unfit(reason));
    }
    // Released with the transaction. What is looked at before it may be half of what another node is making.
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let is_new = transaction.query_opt("SELECT 1 FROM pg_namespace WHERE nspname = 'cresset'", &[]).await?.is_none();
    if is_new {
        transaction
            .batch_execute(
                "CREATE SCHEMA cresset;
                 CREATE TABLE cresset.version (only_row BOOLEAN PRIMARY KEY CHECK (only_row), version BIGINT NOT NULL);
                 INSERT INTO cresset.version VALUES (TRUE, 0)",
            )
            .await?;
    } else if transaction.query_opt("SELECT 1 WHERE to_regclass('cresset.version') IS NULL", &[]).await?.is_some() {
        return Ok(Found::Foreign);
    }
    let Some(row) = transaction.query_opt("SELECT version FROM cresset.version", &[]).await? else {
        return Ok(Found::Foreign);
    };
    let found: i64 = row.try_get(0)?;
    if found > known {
        return Ok(Found::Newer(found));
    }
    let Ok(done) = usize::try_from(found) else { return Ok(Found::Foreign) };
    for migration in &migrations[done..] {
        transaction.batch_execute(migration).await?;
    }
    // Who is up to date writes nothing, so a role without the right to may run a node.
    if found < known {
        transaction.execute("UPDATE cresset.version SET version = $1", &[&known]).await?;
    }
    Ok(Found::Fit)
}

/// Why the database as it is set up could not keep its promise, or ours.
async fn unfitness(transaction: &Transaction<'_>) -> Result<Option<String>, Failure> {
    let row = transaction
        .query_one("SELECT current_setting('server_encoding'), current_setting('synchronous_commit')", &[])
        .await?;
    let (encoding, commit): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    if encoding != "UTF8" {
        return Ok(Some(format!("its encoding is {encoding}: create it with ENCODING 'UTF8'")));
    }
    if commit == "off" {
        let reason = "synchronous_commit is off, so it forgets what it has confirmed: switch it on for this database";
        return Ok(Some(reason.to_owned()));
    }
    Ok(None)
}
