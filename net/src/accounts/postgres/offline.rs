//! The tables `messages` and `stored_names`.
//!
//! Whoever stores, claims or forgets messages of an account holds the row of the account: so what one node counts and
//! chooses is still true when it writes, whatever the others do meanwhile.

use bytes::Bytes;
use cresset_core::config::properties::{OfflineQuota, Waiting};
use cresset_core::ids::{LogIndex, RouteId};
use cresset_core::jid::{FullJid, Jid, NodePart};
use cresset_core::routing::StanzaName;
use cresset_core::session::OfflineMessage;
use cresset_core::stanza::Stanza;
use cresset_core::time::UnixMillis;
use deadpool_postgres::{Client, Transaction};
use futures_util::FutureExt;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PostgresAccounts;
use super::credentials::{lock, to_sql};
use super::failure::Failure;
use super::lane::{rows, written};
use crate::accounts::text::{kind_of, kind_text};
use crate::accounts::{
    CLAIM_BYTES_MAX, CLAIM_MESSAGES_MAX, Claimant, NAME_KEPT_MS, OfflineStore, StoreError, StoreFuture, Stored,
};

impl OfflineStore for PostgresAccounts {
    fn store_offline(
        &self,
        account: NodePart,
        message: Stanza,
        at: UnixMillis,
        quota: OfflineQuota,
        name: Option<StanzaName>,
    ) -> StoreFuture<'_, Stored> {
        self.lane.write((account, message, at, quota, name), |transaction, (account, message, at, quota, name)| {
            store(transaction, account, message, *at, quota, *name).boxed()
        })
    }

    fn claim(&self, account: NodePart, claimant: Claimant) -> StoreFuture<'_, Vec<OfflineMessage>> {
        self.lane.write((account, claimant), |transaction, (account, claimant)| {
            claim(transaction, account, claimant).boxed()
        })
    }

    fn forget(&self, account: NodePart, keys: Vec<i64>, route: RouteId) -> StoreFuture<'_, ()> {
        self.lane.write((account, keys, route), |transaction, (account, keys, route)| {
            forget(transaction, account, keys, *route).boxed()
        })
    }

    fn is_stored_for(&self, account: NodePart, recipient: FullJid) -> StoreFuture<'_, bool> {
        self.lane.read((account, recipient), |client, (account, recipient)| {
            is_stored_for(client, account, recipient).boxed()
        })
    }

    fn offline_count(&self, account: NodePart) -> StoreFuture<'_, usize> {
        self.lane.read(account, |client, account| count(client, account).boxed())
    }
}

async fn store(
    transaction: &Transaction<'_>,
    account: &NodePart,
    message: &Stanza,
    at: UnixMillis,
    quota: &OfflineQuota,
    name: Option<StanzaName>,
) -> Result<Stored, Failure> {
    const LOCK: &str = "SELECT id, waiting, waiting_bytes FROM cresset.accounts WHERE name = $1 FOR NO KEY UPDATE";
    const COUNT: &str = "UPDATE cresset.accounts SET waiting = $2, waiting_bytes = $3 WHERE id = $1";
    const INSERT: &str = "INSERT INTO cresset.messages
         (account, at, kind, sender, recipient, stanza_id, language, payload, weight, sender_account)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let locked = rows(transaction, LOCK, &[&account.as_str()]).await?;
    let Some(row) = locked.first() else { return Ok(Stored::NoSuchAccount) };
    let (id, counted) = (row.try_get(0)?, waiting(row, 1)?);
    let (weight, sender) = (message.weight(), message.sending_account());
    let Some(all) = with_room(transaction, id, counted, weight, sender, quota).await? else {
        let is_kept = match name {
            Some(name) => is_kept(transaction, name, at).await?,
            None => false,
        };
        return Ok(if is_kept { Stored::Kept } else { Stored::Full });
    };
    if let Some(name) = name
        && !keep_name(transaction, name, at).await?
    {
        return Ok(Stored::Kept);
    }
    let (from, to) = (message.from.as_ref().map(Jid::as_str), message.to.as_ref().map(Jid::as_str));
    let (stanza_id, language) = (message.id.as_deref().map(str::as_bytes), message.language.as_deref());
    let (at_row, kind, language) = (at.0.cast_signed(), kind_text(message.kind), language.map(str::as_bytes));
    let (payload, weight) = (&message.payload[..], to_sql(weight));
    let values: [&(dyn ToSql + Sync); 10] =
        [&id, &at_row, &kind, &from, &to, &stanza_id, &language, &payload, &weight, &sender];
    written(transaction, INSERT, &values).await?;
    written(transaction, COUNT, &[&id, &all.messages.cast_signed(), &all.bytes.cast_signed()]).await?;
    if name.is_some() {
        forget_old_names(transaction, at).await?;
    }
    Ok(Stored::Kept)
}

/// What waits for an account with one more message, if there is room for it.
async fn with_room(
    transaction: &Transaction<'_>,
    id: i64,
    counted: Waiting,
    weight: usize,
    sender: &str,
    quota: &OfflineQuota,
) -> Result<Option<Waiting>, Failure> {
    const ALL: &str = "SELECT count(*), coalesce(sum(weight), 0)::bigint FROM cresset.messages WHERE account = $1";
    const OF_SENDER: &str = "SELECT count(*), coalesce(sum(weight), 0)::bigint FROM cresset.messages
         WHERE account = $1 AND sender_account = $2";
    let mut all = counted.and_one(weight);
    if !all.is_within(quota.account) {
        // A program of an older version counts the messages that it takes out and not their bytes.
        all = sum(&rows(transaction, ALL, &[&id]).await?)?.and_one(weight);
    }
    if !all.is_within(quota.account) {
        return Ok(None);
    }
    if all.is_within(quota.sender) {
        return Ok(Some(all));
    }
    let of_sender = sum(&rows(transaction, OF_SENDER, &[&id, &sender]).await?)?.and_one(weight);
    Ok(of_sender.is_within(quota.sender).then_some(all))
}

fn sum(rows: &[Row]) -> Result<Waiting, Failure> {
    waiting(rows.first().expect("a sum is one row"), 0)
}

/// A number of messages and their weight, in two columns from that one on.
fn waiting(row: &Row, column: usize) -> Result<Waiting, Failure> {
    let count = |column: usize| row.try_get::<_, i64>(column).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(Waiting { messages: count(column)?, bytes: count(column + 1)? })
}

async fn is_kept(transaction: &Transaction<'_>, name: StanzaName, at: UnixMillis) -> Result<bool, Failure> {
    const FIND: &str = "SELECT 1 FROM cresset.stored_names WHERE name = $1 AND at >= $2";
    Ok(!rows(transaction, FIND, &[&&name.to_bytes()[..], &oldest(at)]).await?.is_empty())
}

/// Keeps a name, unless it is kept; answers whether it was not. Of several that keep the same one, all but the first
/// wait for that to be committed.
async fn keep_name(transaction: &Transaction<'_>, name: StanzaName, at: UnixMillis) -> Result<bool, Failure> {
    const KEEP: &str = "INSERT INTO cresset.stored_names (name, at) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET at = EXCLUDED.at WHERE stored_names.at < $3";
    let name = name.to_bytes();
    Ok(written(transaction, KEEP, &[&&name[..], &at.0.cast_signed(), &oldest(at)]).await? > 0)
}

/// Comes last and leaves out what somebody else is about to forget: who waited here would hold what others need.
async fn forget_old_names(transaction: &Transaction<'_>, at: UnixMillis) -> Result<(), Failure> {
    const FORGET: &str = "DELETE FROM cresset.stored_names WHERE name IN
         (SELECT name FROM cresset.stored_names WHERE at < $1 ORDER BY at LIMIT 100 FOR UPDATE SKIP LOCKED)";
    written(transaction, FORGET, &[&oldest(at)]).await?;
    Ok(())
}

/// When the oldest name was kept that may be asked for at this time.
fn oldest(at: UnixMillis) -> i64 {
    at.0.saturating_sub(NAME_KEPT_MS).cast_signed()
}

async fn claim(
    transaction: &Transaction<'_>,
    account: &NodePart,
    claimant: &Claimant,
) -> Result<Vec<OfflineMessage>, Failure> {
    const FIND: &str = "SELECT key, holder_index, holder_position, greatest(weight, octet_length(payload))
         FROM cresset.messages WHERE account = $1 ORDER BY key";
    const TAKE: &str = "UPDATE cresset.messages SET holder_index = $2, holder_position = $3 WHERE key = ANY($1)
         RETURNING key, at, kind, sender, recipient, stanza_id, language, payload";
    let Some(id) = lock(transaction, account).await? else { return Ok(Vec::new()) };
    let waiting = rows(transaction, FIND, &[&id]).await?;
    let (index, position) = (claimant.route.index.0.cast_signed(), i64::from(claimant.route.position));
    let mut free = waiting.iter();
    loop {
        let keys = choose(&mut free, claimant)?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut claimed = Vec::with_capacity(keys.len());
        for row in rows(transaction, TAKE, &[&keys, &index, &position]).await? {
            match read(&row) {
                Ok(message) => claimed.push(message),
                // One unreadable message must not keep all the others from their recipient. It stays for the operator.
                Err(Failure::Ours(error)) => tracing::error!(%error, "an offline message is left out"),
                Err(failure @ Failure::Database(_)) => return Err(failure),
            }
        }
        // An empty answer would mean that nothing more is there.
        if !claimed.is_empty() {
            claimed.sort_by_key(|message| message.key);
            return Ok(claimed);
        }
    }
}

/// The keys of the next messages that the claimant may take, in one answer's bounds.
fn choose<'a>(waiting: &mut impl Iterator<Item = &'a Row>, claimant: &Claimant) -> Result<Vec<i64>, Failure> {
    let (mut keys, mut bytes) = (Vec::new(), 0);
    while keys.len() < CLAIM_MESSAGES_MAX
        && bytes < CLAIM_BYTES_MAX
        && let Some(row) = waiting.next()
    {
        if holder(row)?.is_none_or(|holder| claimant.may_take_from(holder)) {
            keys.push(row.try_get(0)?);
            bytes += usize::try_from(row.try_get::<_, i64>(3)?).unwrap_or(0);
        }
    }
    Ok(keys)
}

async fn forget(
    transaction: &Transaction<'_>,
    account: &NodePart,
    keys: &[i64],
    route: RouteId,
) -> Result<(), Failure> {
    const DELETE: &str = "DELETE FROM cresset.messages
         WHERE key = ANY($1) AND account = $2 AND holder_index = $3 AND holder_position = $4 RETURNING weight";
    const COUNT: &str = "UPDATE cresset.accounts
         SET waiting = waiting - $2, waiting_bytes = greatest(waiting_bytes - $3, 0) WHERE id = $1";
    let Some(id) = lock(transaction, account).await? else { return Ok(()) };
    let (index, position) = (route.index.0.cast_signed(), i64::from(route.position));
    let gone = rows(transaction, DELETE, &[&keys, &id, &index, &position]).await?;
    let weights = gone.iter().map(|row| row.try_get::<_, i64>(0)).collect::<Result<Vec<_>, _>>()?;
    written(transaction, COUNT, &[&id, &to_sql(gone.len()), &weights.iter().sum::<i64>()]).await?;
    Ok(())
}

async fn is_stored_for(client: &Client, account: &NodePart, recipient: &FullJid) -> Result<bool, Failure> {
    const FIND: &str = "SELECT EXISTS (SELECT 1 FROM cresset.messages
         JOIN cresset.accounts ON accounts.id = messages.account WHERE accounts.name = $1 AND recipient = $2)";
    let found = rows(client, FIND, &[&account.as_str(), &recipient.as_str()]).await?;
    Ok(found.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

async fn count(client: &Client, account: &NodePart) -> Result<usize, Failure> {
    const COUNT: &str = "SELECT waiting FROM cresset.accounts WHERE name = $1";
    let counted = rows(client, COUNT, &[&account.as_str()]).await?;
    let waiting: i64 = counted.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
    Ok(usize::try_from(waiting).map_err(|_| StoreError::Unreadable("a negative count".to_owned()))?)
}

fn holder(row: &Row) -> Result<Option<RouteId>, Failure> {
    let (Some(index), Some(position)) = (row.try_get::<_, Option<i64>>(1)?, row.try_get::<_, Option<i64>>(2)?) else {
        return Ok(None);
    };
    let position = u32::try_from(position)
        .map_err(|_| StoreError::Unreadable(format!("the claim of the message {}", row.get::<_, i64>(0))))?;
    Ok(Some(RouteId { index: LogIndex(index.cast_unsigned()), position }))
}

fn read(row: &Row) -> Result<OfflineMessage, Failure> {
    let key: i64 = row.try_get(0)?;
    let unreadable = |what: &str| StoreError::Unreadable(format!("{what} of the message {key}"));
    let jid = |text: Option<&str>, what| match text {
        Some(text) => text.parse::<Jid>().map(Some).map_err(|_| unreadable(what)),
        None => Ok(None),
    };
    let text = |bytes: Option<Vec<u8>>, what| bytes.map(String::from_utf8).transpose().map_err(|_| unreadable(what));
    let message = Stanza {
        kind: kind_of(row.try_get(2)?).ok_or_else(|| unreadable("the kind"))?,
        from: jid(row.try_get(3)?, "the sender")?,
        to: jid(row.try_get(4)?, "the recipient")?,
        id: text(row.try_get(5)?, "the id")?,
        language: text(row.try_get(6)?, "the language")?,
        payload: Bytes::from(row.try_get::<_, Vec<u8>>(7)?),
    };
    if !message.is_canonical() {
        return Err(unreadable("the content").into());
    }
    Ok(OfflineMessage { key, message, at: UnixMillis(row.try_get::<_, i64>(1)?.cast_unsigned()) })
}
