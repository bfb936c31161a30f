//! The tables `accounts` and `scram_keys`.

use cresset_core::jid::NodePart;
use cresset_core::sasl::ScramKeys;
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteAccounts;
use crate::accounts::{
    ACCOUNTS_PER_CALL_MAX, AccountStore, Added, Credentials, Existing, Keys, NewAccount, StoreError, StoreFuture,
    Written, text, within_one_call,
};

impl AccountStore for SqliteAccounts {
    fn credentials(&self, account: NodePart, draw: i64) -> StoreFuture<'_, Keys> {
        self.threads.read(move |connection| find(connection, &account, draw))
    }

    fn exists(&self, account: NodePart) -> StoreFuture<'_, bool> {
        self.threads.read(move |connection| Ok(account_id(connection, &account)?.is_some()))
    }

    fn add(&self, account: NodePart, credentials: Credentials) -> StoreFuture<'_, Added> {
        let account = NewAccount { name: account, credentials };
        self.threads.write(move |connection| add(connection, &account, Existing::Keep))
    }

    fn add_many(&self, accounts: Vec<NewAccount>, existing: Existing) -> StoreFuture<'_, Vec<Added>> {
        self.threads.write(move |connection| {
            within_one_call(accounts.len())?;
            accounts.iter().map(|account| add(connection, account, existing)).collect()
        })
    }

    fn change_credentials(&self, account: NodePart, credentials: Credentials) -> StoreFuture<'_, Written> {
        self.threads.write(move |connection| change(connection, &account, &credentials))
    }

    fn remove(&self, account: NodePart) -> StoreFuture<'_, Written> {
        self.threads.write(move |connection| remove(connection, &account))
    }

    fn list(&self, after: Option<NodePart>, max: usize) -> StoreFuture<'_, Vec<NodePart>> {
        let max = max.min(ACCOUNTS_PER_CALL_MAX);
        self.threads.read(move |connection| list(connection, after.as_ref(), max))
    }
}

/// The row of an account.
pub(super) fn account_id(connection: &Connection, account: &NodePart) -> Result<Option<i64>, StoreError> {
    let mut find = connection.prepare_cached("SELECT id FROM accounts WHERE name = ?1")?;
    Ok(find.query_row([account.as_str()], |row| row.get(0)).optional()?)
}

/// The keys of an account, or of the account that follows `draw` in the order of draws, which is a ring. Both are looked
/// for whichever is there, and the answer has the same form.
fn find(connection: &Connection, account: &NodePart, draw: i64) -> Result<Keys, StoreError> {
    let mut find = connection.prepare_cached(
        "WITH found AS MATERIALIZED (SELECT
             (SELECT id FROM accounts WHERE name = ?1) AS own,
             coalesce((SELECT id FROM accounts WHERE draw >= ?2 ORDER BY draw LIMIT 1),
                      (SELECT id FROM accounts ORDER BY draw LIMIT 1)) AS drawn)
         SELECT own IS NOT NULL, hash, iterations, salt, stored_key, server_key
         FROM found LEFT JOIN scram_keys ON account = coalesce(own, drawn)",
    )?;
    let mut rows = find.query(params![account.as_str(), draw])?;
    let (mut is_own, mut credentials) = (false, Vec::new());
    while let Some(row) = rows.next()? {
        is_own = row.get(0)?;
        // An account without keys is one row of nothing else.
        let Some(name) = row.get::<_, Option<String>>(1)? else { continue };
        credentials.push(ScramKeys {
            hash: text::to_hash(&name)?,
            iterations: row.get(2)?,
            salt: row.get(3)?,
            stored_key: row.get(4)?,
            server_key: row.get(5)?,
        });
    }
    let credentials = credentials.into_iter().collect();
    Ok(if is_own { Keys::Own(credentials) } else { Keys::Drawn(credentials) })
}

fn add(connection: &Connection, account: &NewAccount, existing: Existing) -> Result<Added, StoreError> {
    if let Some(id) = account_id(connection, &account.name)? {
        return match existing {
            Existing::Keep => Ok(Added::Exists),
            Existing::Update => {
                set_keys(connection, id, &account.credentials)?;
                Ok(Added::Updated)
            }
        };
    }
    connection
        .prepare_cached("INSERT INTO accounts (name, draw) VALUES (?1, random())")?
        .execute([account.name.as_str()])?;
    set_keys(connection, connection.last_insert_rowid(), &account.credentials)?;
    Ok(Added::Created)
}

fn change(connection: &Connection, account: &NodePart, credentials: &Credentials) -> Result<Written, StoreError> {
    let Some(id) = account_id(connection, account)? else { return Ok(Written::NoSuchAccount) };
    set_keys(connection, id, credentials)?;
    Ok(Written::Done)
}

fn remove(connection: &Connection, account: &NodePart) -> Result<Written, StoreError> {
    let mut remove = connection.prepare_cached("DELETE FROM accounts WHERE name = ?1")?;
    match remove.execute([account.as_str()])? {
        0 => Ok(Written::NoSuchAccount),
        _ => Ok(Written::Done),
    }
}

fn list(connection: &Connection, after: Option<&NodePart>, max: usize) -> Result<Vec<NodePart>, StoreError> {
    let mut list = connection.prepare_cached("SELECT name FROM accounts WHERE name > ?1 ORDER BY name LIMIT ?2")?;
    // No name is empty, so all of them come after the empty one.
    let after = after.map_or("", |name| name.as_str());
    let names = list.query_map(params![after, to_sql(max)], |row| row.get::<_, String>(0))?;
    names.map(|name| to_name(&name?)).collect()
}

fn set_keys(connection: &Connection, id: i64, credentials: &Credentials) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM scram_keys WHERE account = ?1")?.execute([id])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO scram_keys (account, hash, iterations, salt, stored_key, server_key)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for keys in credentials.iter() {
        insert.execute(params![id, keys.hash.name(), keys.iterations, keys.salt, keys.stored_key, keys.server_key])?;
    }
    Ok(())
}

fn to_name(text: &str) -> Result<NodePart, StoreError> {
    text.parse().map_err(|error| StoreError::Unreadable(format!("the account name {text:?}: {error}")))
}

/// A count as SQLite takes it; one that is too great means the same as the greatest.
pub(super) fn to_sql(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
