//! The tables `properties` and `property_changes`.
//!
//! Whoever changes a property keeps all others from it until it is committed: changes are rare, and so the old value of
//! each is the new one of the change before, in the order of their keys.

use std::collections::BTreeMap;

use cresset_core::time::UnixMillis;
use deadpool_postgres::{Client, Transaction};
use futures_util::FutureExt;
use tokio_postgres::Row;

use super::PostgresAccounts;
use super::failure::Failure;
use super::lane::{rows, written};
use crate::accounts::{
    PROPERTIES_MAX, PROPERTY_CHANGES_MAX, PropertyChange, PropertyStore, PropertyWrite, StoreFuture,
};

impl PropertyStore for PostgresAccounts {
    fn properties(&self) -> StoreFuture<'_, BTreeMap<String, String>> {
        self.lane.read((), |client, ()| all(client).boxed())
    }

    fn set_property(&self, write: PropertyWrite) -> StoreFuture<'_, Option<String>> {
        self.lane.write(write, |transaction, write| set(transaction, write).boxed())
    }

    fn property_changes(&self, name: Option<String>, max: usize) -> StoreFuture<'_, Vec<PropertyChange>> {
        self.lane.read((name, max), |client, (name, max)| changes(client, name.as_deref(), *max).boxed())
    }
}

async fn all(client: &Client) -> Result<BTreeMap<String, String>, Failure> {
    const FIND: &str = "SELECT name, value FROM cresset.properties ORDER BY name LIMIT $1";
    let found = rows(client, FIND, &[&as_limit(PROPERTIES_MAX)]).await?;
    found.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

async fn set(transaction: &Transaction<'_>, write: &PropertyWrite) -> Result<Option<String>, Failure> {
    const LOCK: &str = "LOCK TABLE cresset.properties IN EXCLUSIVE MODE";
    const FIND: &str = "SELECT value FROM cresset.properties WHERE name = $1";
    const PUT: &str = "INSERT INTO cresset.properties (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value";
    const REMOVE: &str = "DELETE FROM cresset.properties WHERE name = $1";
    const REMEMBER: &str = "INSERT INTO cresset.property_changes (name, old, new, by, at)
         VALUES ($1, $2, $3, $4, $5)";
    const FORGET: &str = "DELETE FROM cresset.property_changes
         WHERE key <= (SELECT max(key) FROM cresset.property_changes) - $1";
    transaction.batch_execute(LOCK).await?;
    let found = rows(transaction, FIND, &[&write.name]).await?;
    let old: Option<String> = found.first().map(|row| row.try_get(0)).transpose()?;
    let Some(change) = write.clone().onto(old.clone()) else { return Ok(old) };
    match &change.new {
        Some(value) => written(transaction, PUT, &[&change.name, value]).await?,
        None => written(transaction, REMOVE, &[&change.name]).await?,
    };
    let PropertyChange { name, old, new, by, at } = change;
    written(transaction, REMEMBER, &[&name, &old, &new, &by, &at.0.cast_signed()]).await?;
    written(transaction, FORGET, &[&as_limit(PROPERTY_CHANGES_MAX)]).await?;
    Ok(old)
}

async fn changes(client: &Client, name: Option<&str>, max: usize) -> Result<Vec<PropertyChange>, Failure> {
    const FIND: &str = "SELECT name, old, new, by, at FROM cresset.property_changes
         WHERE $1::TEXT IS NULL OR name = $1 ORDER BY key DESC LIMIT $2";
    let found = rows(client, FIND, &[&name, &as_limit(max)]).await?;
    found.iter().map(change).collect()
}

fn change(row: &Row) -> Result<PropertyChange, Failure> {
    Ok(PropertyChange {
        name: row.try_get(0)?,
        old: row.try_get(1)?,
        new: row.try_get(2)?,
        by: row.try_get(3)?,
        at: UnixMillis(row.try_get::<_, i64>(4)?.cast_unsigned()),
    })
}

/// A bound as SQL has it.
fn as_limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}
