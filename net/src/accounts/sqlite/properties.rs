//! The tables `properties` and `property_changes`.

use std::collections::BTreeMap;

use cresset_core::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteAccounts;
use crate::accounts::{
    PROPERTIES_MAX, PROPERTY_CHANGES_MAX, PropertyChange, PropertyStore, PropertyWrite, StoreError, StoreFuture,
};

impl PropertyStore for SqliteAccounts {
    fn properties(&self) -> StoreFuture<'_, BTreeMap<String, String>> {
        self.threads.read(all)
    }

    fn set_property(&self, write: PropertyWrite) -> StoreFuture<'_, Option<String>> {
        self.threads.write(move |connection| set(connection, &write))
    }

    fn property_changes(&self, name: Option<String>, max: usize) -> StoreFuture<'_, Vec<PropertyChange>> {
        self.threads.read(move |connection| changes(connection, name.as_deref(), max))
    }
}

fn all(connection: &Connection) -> Result<BTreeMap<String, String>, StoreError> {
    let mut find = connection.prepare_cached("SELECT name, value FROM properties ORDER BY name LIMIT ?1")?;
    let found = find.query_map([as_limit(PROPERTIES_MAX)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn set(connection: &Connection, write: &PropertyWrite) -> Result<Option<String>, StoreError> {
    let old: Option<String> = connection
        .prepare_cached("SELECT value FROM properties WHERE name = ?1")?
        .query_row([&write.name], |row| row.get(0))
        .optional()?;
    let Some(change) = write.clone().onto(old.clone()) else { return Ok(old) };
    match &change.new {
        Some(value) => connection
            .prepare_cached(
                "INSERT INTO properties (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
            )?
            .execute([&change.name, value])?,
        None => connection.prepare_cached("DELETE FROM properties WHERE name = ?1")?.execute([&change.name])?,
    };
    connection
        .prepare_cached("INSERT INTO property_changes (name, old, new, by, at) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![change.name, change.old, change.new, change.by, change.at.0.cast_signed()])?;
    connection
        .prepare_cached("DELETE FROM property_changes WHERE key <= ?1")?
        .execute([connection.last_insert_rowid() - as_limit(PROPERTY_CHANGES_MAX)])?;
    Ok(old)
}

fn changes(connection: &Connection, name: Option<&str>, max: usize) -> Result<Vec<PropertyChange>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT name, old, new, by, at FROM property_changes
         WHERE ?1 IS NULL OR name = ?1 ORDER BY key DESC LIMIT ?2",
    )?;
    let found = find.query_map(params![name, as_limit(max)], |row| {
        Ok(PropertyChange {
            name: row.get(0)?,
            old: row.get(1)?,
            new: row.get(2)?,
            by: row.get(3)?,
            at: UnixMillis(row.get::<_, i64>(4)?.cast_unsigned()),
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// A bound as SQL has it.
fn as_limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}
