//! The tables `identity`, `members` and `stamps`.

use cresset_core::ids::MemberId;
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteAccounts;
use crate::accounts::{
    ClusterId, ClusterStore, FakeSaltSecret, Founding, Identity, JoinSecret, Stamp, StoreError, StoreFuture,
};

impl ClusterStore for SqliteAccounts {
    fn identity(&self, candidate: Founding) -> StoreFuture<'_, Identity> {
        self.threads.write(move |connection| found_or_find(connection, &candidate))
    }

    fn form(&self, founder: MemberId) -> StoreFuture<'_, bool> {
        self.threads.write(move |connection| form(connection, founder))
    }

    fn replace_founder(&self, from: MemberId, to: MemberId) -> StoreFuture<'_, Identity> {
        self.threads.write(move |connection| replace_founder(connection, from, to))
    }

    fn known_identity(&self) -> StoreFuture<'_, Option<Identity>> {
        self.threads.read(known)
    }

    fn found_anew(&self, from: ClusterId, anew: Founding) -> StoreFuture<'_, Identity> {
        self.threads.write(move |connection| found_anew(connection, from, &anew))
    }

    fn allocate_member(&self, name: String) -> StoreFuture<'_, MemberId> {
        self.threads.write(move |connection| allocate_member(connection, &name))
    }

    fn stamp(&self, member: MemberId) -> StoreFuture<'_, Option<Stamp>> {
        self.threads.read(move |connection| stamp(connection, member))
    }

    fn replace_stamp(&self, member: MemberId, from: Option<Stamp>, to: Stamp) -> StoreFuture<'_, Stamp> {
        self.threads.write(move |connection| replace_stamp(connection, member, from, to))
    }
}

/// Writes the candidate if there is no identity yet; answers the one that there is.
fn found_or_find(connection: &Connection, candidate: &Founding) -> Result<Identity, StoreError> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO identity (only_row, cluster_id, join_secret, fake_salt_secret, founder, formed)
             VALUES (1, ?1, ?2, ?3, ?4, FALSE)",
        )?
        .execute(params![
            candidate.cluster_id.0,
            candidate.join_secret.0,
            candidate.fake_salt_secret.0,
            candidate.founder.0.cast_signed()
        ])?;
    find(connection)
}

fn form(connection: &Connection, founder: MemberId) -> Result<bool, StoreError> {
    connection
        .prepare_cached("UPDATE identity SET formed = TRUE WHERE founder = ?1")?
        .execute([founder.0.cast_signed()])?;
    Ok(find(connection)?.founder == founder)
}

fn replace_founder(connection: &Connection, from: MemberId, to: MemberId) -> Result<Identity, StoreError> {
    connection
        .prepare_cached("UPDATE identity SET founder = ?2 WHERE founder = ?1 AND NOT formed")?
        .execute([from.0.cast_signed(), to.0.cast_signed()])?;
    find(connection)
}

/// In one transaction, as every write is.
fn found_anew(connection: &Connection, from: ClusterId, anew: &Founding) -> Result<Identity, StoreError> {
    let found = connection
        .prepare_cached(
            "UPDATE identity SET cluster_id = ?2, join_secret = ?3, founder = ?4, formed = FALSE WHERE cluster_id = ?1",
        )?
        .execute(params![from.0, anew.cluster_id.0, anew.join_secret.0, anew.founder.0.cast_signed()])?;
    if found > 0 {
        connection.prepare_cached("UPDATE messages SET holder_index = NULL, holder_position = NULL")?.execute([])?;
    }
    find(connection)
}

fn find(connection: &Connection) -> Result<Identity, StoreError> {
    known(connection)?.ok_or_else(|| StoreError::Unreadable("there is no identity".to_owned()))
}

fn known(connection: &Connection) -> Result<Option<Identity>, StoreError> {
    let mut find =
        connection.prepare_cached("SELECT cluster_id, join_secret, fake_salt_secret, founder, formed FROM identity")?;
    let found = find.query_row([], |row| {
        Ok(Identity {
            cluster_id: ClusterId(row.get(0)?),
            join_secret: JoinSecret(row.get(1)?),
            fake_salt_secret: FakeSaltSecret(row.get(2)?),
            founder: MemberId(row.get::<_, i64>(3)?.cast_unsigned()),
            formed: row.get(4)?,
        })
    });
    Ok(found.optional()?)
}

/// `AUTOINCREMENT` never gives an id out again, not even that of a row which was removed.
fn allocate_member(connection: &Connection, name: &str) -> Result<MemberId, StoreError> {
    connection.prepare_cached("INSERT INTO members (name) VALUES (?1)")?.execute([name])?;
    Ok(MemberId(connection.last_insert_rowid().cast_unsigned()))
}

fn stamp(connection: &Connection, member: MemberId) -> Result<Option<Stamp>, StoreError> {
    let mut find = connection.prepare_cached("SELECT number, process FROM stamps WHERE member = ?1")?;
    let found = find.query_row([member.0.cast_signed()], |row| {
        Ok(Stamp { number: row.get::<_, i64>(0)?.cast_unsigned(), process: row.get::<_, i64>(1)?.cast_unsigned() })
    });
    Ok(found.optional()?)
}

fn replace_stamp(
    connection: &Connection,
    member: MemberId,
    from: Option<Stamp>,
    to: Stamp,
) -> Result<Stamp, StoreError> {
    let last = stamp(connection, member)?;
    if let Some(other) = last.filter(|_| last != from) {
        return Ok(other);
    }
    connection
        .prepare_cached("INSERT OR REPLACE INTO stamps (member, number, process) VALUES (?1, ?2, ?3)")?
        .execute([member.0, to.number, to.process].map(u64::cast_signed))?;
    Ok(to)
}
