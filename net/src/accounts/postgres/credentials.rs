//! The tables `accounts` and `scram_keys`.
//!
//! The row of an account is its lock: whatever changes something of an account holds it until it is committed. Who
//! locks many does so in the order of their names.

use std::collections::{BTreeMap, BTreeSet};

use cresset_core::jid::NodePart;
use cresset_core::sasl::ScramKeys;
use deadpool_postgres::{Client, Transaction};
use futures_util::FutureExt;

use super::PostgresAccounts;
use super::failure::Failure;
use super::lane::{rows, written};
use crate::accounts::{
    ACCOUNTS_PER_CALL_MAX, AccountStore, Added, Credentials, Existing, Keys, NewAccount, StoreError, StoreFuture,
    Written, text, within_one_call,
};

impl AccountStore for PostgresAccounts {
    fn credentials(&self, account: NodePart, draw: i64) -> StoreFuture<'_, Keys> {
        self.lane.read((account, draw), |client, (account, draw)| find(client, account, *draw).boxed())
    }

    fn exists(&self, account: NodePart) -> StoreFuture<'_, bool> {
        self.lane.read(account, |client, account| exists(client, account).boxed())
    }

    fn add(&self, account: NodePart, credentials: Credentials) -> StoreFuture<'_, Added> {
        let account = NewAccount { name: account, credentials };
        self.lane.write(account, |transaction, account| {
            async move {
                let added = add(transaction, std::slice::from_ref(account), Existing::Keep).await?;
                Ok(*added.first().expect("one account, one answer"))
            }
            .boxed()
        })
    }

    fn add_many(&self, accounts: Vec<NewAccount>, existing: Existing) -> StoreFuture<'_, Vec<Added>> {
        if let Err(error) = within_one_call(accounts.len()) {
            return Box::pin(std::future::ready(Err(error)));
        }
        self.lane.write((accounts, existing), |transaction, (accounts, existing)| {
            add(transaction, accounts, *existing).boxed()
        })
    }

    fn change_credentials(&self, account: NodePart, credentials: Credentials) -> StoreFuture<'_, Written> {
        self.lane.write((account, credentials), |transaction, (account, credentials)| {
            change(transaction, account, credentials).boxed()
        })
    }

    fn remove(&self, account: NodePart) -> StoreFuture<'_, Written> {
        self.lane.write(account, |transaction, account| remove(transaction, account).boxed())
    }

    fn list(&self, after: Option<NodePart>, max: usize) -> StoreFuture<'_, Vec<NodePart>> {
        let max = max.min(ACCOUNTS_PER_CALL_MAX);
        self.lane.read((after, max), |client, (after, max)| list(client, after.as_ref(), *max).boxed())
    }
}

/// Locks the row of an account until the transaction ends; none if there is no such account.
pub(super) async fn lock(transaction: &Transaction<'_>, account: &NodePart) -> Result<Option<i64>, Failure> {
    const LOCK: &str = "SELECT id FROM cresset.accounts WHERE name = $1 FOR NO KEY UPDATE";
    let found = rows(transaction, LOCK, &[&account.as_str()]).await?;
    Ok(found.first().map(|row| row.try_get(0)).transpose()?)
}

async fn exists(client: &Client, account: &NodePart) -> Result<bool, Failure> {
    const FIND: &str = "SELECT 1 FROM cresset.accounts WHERE name = $1";
    Ok(!rows(client, FIND, &[&account.as_str()]).await?.is_empty())
}

/// The keys of an account, or of the account that follows `draw` in the order of draws, which is a ring. Both are looked
/// for whichever is there, in one trip, and the answer has the same form.
async fn find(client: &Client, account: &NodePart, draw: i64) -> Result<Keys, Failure> {
    const FIND: &str = "WITH found AS MATERIALIZED (SELECT
             (SELECT id FROM cresset.accounts WHERE name = $1) AS own,
             coalesce((SELECT id FROM cresset.accounts WHERE draw >= $2 ORDER BY draw LIMIT 1),
                      (SELECT id FROM cresset.accounts ORDER BY draw LIMIT 1)) AS drawn)
         SELECT own IS NOT NULL, hash, iterations, salt, stored_key, server_key
         FROM found LEFT JOIN cresset.scram_keys ON account = coalesce(own, drawn)";
    let (mut is_own, mut credentials) = (false, Vec::new());
    for row in rows(client, FIND, &[&account.as_str(), &draw]).await? {
        is_own = row.try_get(0)?;
        // An account without keys is one row of nothing else.
        let Some(name) = row.try_get::<_, Option<&str>>(1)? else { continue };
        let iterations = u32::try_from(row.try_get::<_, i64>(2)?)
            .map_err(|_| StoreError::Unreadable(format!("the iterations of the account {:?}", account.as_str())))?;
        credentials.push(ScramKeys {
            hash: text::to_hash(name)?,
            iterations,
            salt: row.try_get(3)?,
            stored_key: row.try_get(4)?,
            server_key: row.try_get(5)?,
        });
    }
    let credentials = credentials.into_iter().collect();
    Ok(if is_own { Keys::Own(credentials) } else { Keys::Drawn(credentials) })
}

/// All in one go, for every statement is a trip to the database.
async fn add(
    transaction: &Transaction<'_>,
    accounts: &[NewAccount],
    existing: Existing,
) -> Result<Vec<Added>, Failure> {
    let mut names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let (created, updated) = match existing {
        Existing::Keep => (insert_what_is_missing(transaction, &names).await?, BTreeMap::new()),
        Existing::Update => insert_or_lock(transaction, &names).await?,
    };
    drop_keys(transaction, &updated.values().copied().collect::<Vec<_>>()).await?;
    let keys = accounts.iter().map(|account| (account.name.as_str(), &account.credentials));
    let winning: BTreeMap<&str, &Credentials> = match existing {
        Existing::Keep => keys.rev().collect(),
        Existing::Update => keys.collect(),
    };
    let rows = created.iter().chain(&updated);
    let rows: Vec<(i64, &Credentials)> = rows.map(|(name, id)| (*id, winning[name.as_str()])).collect();
    insert_keys(transaction, &rows).await?;

    let mut seen = BTreeSet::new();
    let answers = accounts.iter().map(|account| account.name.as_str()).map(|name| {
        match (seen.insert(name) && created.contains_key(name), existing) {
            (true, Existing::Keep | Existing::Update) => Added::Created,
            (false, Existing::Keep) => Added::Exists,
            (false, Existing::Update) => Added::Updated,
        }
    });
    Ok(answers.collect())
}

async fn change(
    transaction: &Transaction<'_>,
    account: &NodePart,
    credentials: &Credentials,
) -> Result<Written, Failure> {
    let Some(id) = lock(transaction, account).await? else { return Ok(Written::NoSuchAccount) };
    drop_keys(transaction, &[id]).await?;
    insert_keys(transaction, &[(id, credentials)]).await?;
    Ok(Written::Done)
}

async fn remove(transaction: &Transaction<'_>, account: &NodePart) -> Result<Written, Failure> {
    const REMOVE: &str = "DELETE FROM cresset.accounts WHERE name = $1";
    match written(transaction, REMOVE, &[&account.as_str()]).await? {
        0 => Ok(Written::NoSuchAccount),
        _ => Ok(Written::Done),
    }
}

async fn list(client: &Client, after: Option<&NodePart>, max: usize) -> Result<Vec<NodePart>, Failure> {
    const LIST: &str = "SELECT name FROM cresset.accounts WHERE name > $1 ORDER BY name LIMIT $2";
    // No name is empty, so all of them come after the empty one.
    let after = after.map_or("", |name| name.as_str());
    let found = rows(client, LIST, &[&after, &to_sql(max)]).await?;
    found.iter().map(|row| to_name(row.try_get(0)?)).collect()
}

type Ids = BTreeMap<String, i64>;

/// Answers those that were created. Waits for others who create the same names.
async fn insert_what_is_missing(transaction: &Transaction<'_>, names: &[&str]) -> Result<Ids, Failure> {
    const INSERT: &str = "INSERT INTO cresset.accounts (name) SELECT unnest($1::text[])
         ON CONFLICT (name) DO NOTHING RETURNING name, id";
    rows(transaction, INSERT, &[&names]).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Answers those that were created, and those that were there, which are locked.
async fn insert_or_lock(transaction: &Transaction<'_>, names: &[&str]) -> Result<(Ids, Ids), Failure> {
    // A row that this statement has inserted was never touched by another transaction: its xmax is 0.
    const INSERT: &str = "INSERT INTO cresset.accounts (name) SELECT unnest($1::text[])
         ON CONFLICT (name) DO UPDATE SET waiting = accounts.waiting RETURNING name, id, xmax = 0";
    let (mut created, mut found) = (Ids::new(), Ids::new());
    for row in rows(transaction, INSERT, &[&names]).await? {
        let ids = if row.try_get(2)? { &mut created } else { &mut found };
        ids.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok((created, found))
}

async fn drop_keys(transaction: &Transaction<'_>, accounts: &[i64]) -> Result<(), Failure> {
    if !accounts.is_empty() {
        const DELETE: &str = "DELETE FROM cresset.scram_keys WHERE account = ANY($1)";
        written(transaction, DELETE, &[&accounts]).await?;
    }
    Ok(())
}

async fn insert_keys(transaction: &Transaction<'_>, accounts: &[(i64, &Credentials)]) -> Result<(), Failure> {
    const INSERT: &str = "INSERT INTO cresset.scram_keys (account, hash, iterations, salt, stored_key, server_key)
         SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[])";
    let all: Vec<(i64, &ScramKeys)> =
        accounts.iter().flat_map(|(id, credentials)| credentials.iter().map(|keys| (*id, keys))).collect();
    let ids: Vec<i64> = all.iter().map(|(id, _)| *id).collect();
    let hashes: Vec<&str> = all.iter().map(|(_, keys)| keys.hash.name()).collect();
    let iterations: Vec<i64> = all.iter().map(|(_, keys)| i64::from(keys.iterations)).collect();
    let column = |of: fn(&ScramKeys) -> &[u8]| -> Vec<&[u8]> { all.iter().map(|(_, keys)| of(keys)).collect() };
    let (salts, stored, server) =
        (column(|keys| &keys.salt), column(|keys| &keys.stored_key), column(|keys| &keys.server_key));
    if !all.is_empty() {
        written(transaction, INSERT, &[&ids, &hashes, &iterations, &salts, &stored, &server]).await?;
    }
    Ok(())
}

fn to_name(text: &str) -> Result<NodePart, Failure> {
    Ok(text.parse().map_err(|error| StoreError::Unreadable(format!("the account name {text:?}: {error}")))?)
}

/// A count as the database takes it; one that is too great means the same as the greatest.
pub(super) fn to_sql(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
