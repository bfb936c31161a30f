//! The table `messages`.
//!
//! A stanza is kept in columns and as the canonical XML of its payload rather than as bytes of the wire between
//! nodes: it must be readable for every later version, and for an operator's query.

use bytes::Bytes;
use cresset_core::config::properties::{OfflineQuota, Waiting};
use cresset_core::ids::{LogIndex, RouteId};
use cresset_core::jid::{FullJid, Jid, NodePart};
use cresset_core::routing::StanzaName;
use cresset_core::session::OfflineMessage;
use cresset_core::stanza::Stanza;
use cresset_core::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteAccounts;
use super::credentials::{account_id, to_sql};
use crate::accounts::text::{kind_of, kind_text};
use crate::accounts::{
    CLAIM_BYTES_MAX, CLAIM_MESSAGES_MAX, Claimant, NAME_KEPT_MS, OfflineStore, StoreError, StoreFuture, Stored,
};

impl OfflineStore for SqliteAccounts {
    fn store_offline(
        &self,
        account: NodePart,
        message: Stanza,
        at: UnixMillis,
        quota: OfflineQuota,
        name: Option<StanzaName>,
    ) -> StoreFuture<'_, Stored> {
        self.threads.write(move |connection| store(connection, &account, &message, at, &quota, name))
    }

    fn claim(&self, account: NodePart, claimant: Claimant) -> StoreFuture<'_, Vec<OfflineMessage>> {
        self.threads.write(move |connection| claim(connection, &account, &claimant))
    }

    fn forget(&self, account: NodePart, keys: Vec<i64>, route: RouteId) -> StoreFuture<'_, ()> {
        self.threads.write(move |connection| forget(connection, &account, &keys, route))
    }

    fn is_stored_for(&self, account: NodePart, recipient: FullJid) -> StoreFuture<'_, bool> {
        self.threads.read(move |connection| is_stored_for(connection, &account, &recipient))
    }

    fn offline_count(&self, account: NodePart) -> StoreFuture<'_, usize> {
        self.threads.read(move |connection| count(connection, &account))
    }
}

fn store(
    connection: &Connection,
    account: &NodePart,
    message: &Stanza,
    at: UnixMillis,
    quota: &OfflineQuota,
    name: Option<StanzaName>,
) -> Result<Stored, StoreError> {
    if let Some(name) = name
        && is_kept(connection, name, at)?
    {
        return Ok(Stored::Kept);
    }
    let Some((id, counted)) = counted(connection, account)? else { return Ok(Stored::NoSuchAccount) };
    let (weight, sender) = (message.weight(), message.sending_account());
    let Some(waiting) = with_room(connection, id, counted, weight, sender, quota)? else { return Ok(Stored::Full) };
    connection
        .prepare_cached("UPDATE accounts SET waiting = ?2, waiting_bytes = ?3 WHERE id = ?1")?
        .execute(params![id, waiting.messages.cast_signed(), waiting.bytes.cast_signed()])?;
    connection
        .prepare_cached(
            "INSERT INTO messages
             (account, at, kind, sender, recipient, stanza_id, language, payload, weight, sender_account)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            id,
            at.0.cast_signed(),
            kind_text(message.kind),
            message.from.as_ref().map(Jid::as_str),
            message.to.as_ref().map(Jid::as_str),
            message.id,
            message.language,
            &message.payload[..],
            to_sql(weight),
            sender
        ])?;
    if let Some(name) = name {
        connection
            .prepare_cached("INSERT INTO stored_names (name, at) VALUES (?1, ?2)")?
            .execute(params![name.to_bytes(), at.0.cast_signed()])?;
    }
    Ok(Stored::Kept)
}

/// The row of an account, and what is counted for it.
fn counted(connection: &Connection, account: &NodePart) -> Result<Option<(i64, Waiting)>, StoreError> {
    let mut find = connection.prepare_cached("SELECT id, waiting, waiting_bytes FROM accounts WHERE name = ?1")?;
    Ok(find.query_row([account.as_str()], |row| Ok((row.get(0)?, waiting(row, 1)?))).optional()?)
}

/// What waits for an account with one more message, if there is room for it.
fn with_room(
    connection: &Connection,
    id: i64,
    counted: Waiting,
    weight: usize,
    sender: &str,
    quota: &OfflineQuota,
) -> Result<Option<Waiting>, StoreError> {
    let mut all = counted.and_one(weight);
    if !all.is_within(quota.account) {
        // A program of an older version counts the messages that it takes out and not their bytes.
        let mut sum =
            connection.prepare_cached("SELECT count(*), coalesce(sum(weight), 0) FROM messages WHERE account = ?1")?;
        all = sum.query_row([id], |row| waiting(row, 0))?.and_one(weight);
    }
    if !all.is_within(quota.account) {
        return Ok(None);
    }
    if all.is_within(quota.sender) {
        return Ok(Some(all));
    }
    let mut sum = connection.prepare_cached(
        "SELECT count(*), coalesce(sum(weight), 0) FROM messages WHERE account = ?1 AND sender_account = ?2",
    )?;
    let of_sender = sum.query_row(params![id, sender], |row| waiting(row, 0))?.and_one(weight);
    Ok(of_sender.is_within(quota.sender).then_some(all))
}

/// A number of messages and their weight, in two columns from that one on.
fn waiting(row: &Row<'_>, column: usize) -> rusqlite::Result<Waiting> {
    let count = |column| row.get::<_, i64>(column).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(Waiting { messages: count(column)?, bytes: count(column + 1)? })
}

/// Whether a message was kept by that name; names that are too old to be asked for are forgotten.
fn is_kept(connection: &Connection, name: StanzaName, at: UnixMillis) -> Result<bool, StoreError> {
    let oldest = at.0.saturating_sub(NAME_KEPT_MS).cast_signed();
    connection.prepare_cached("DELETE FROM stored_names WHERE at < ?1")?.execute([oldest])?;
    let mut find = connection.prepare_cached("SELECT count(*) FROM stored_names WHERE name = ?1")?;
    let found: i64 = find.query_row([name.to_bytes()], |row| row.get(0))?;
    Ok(found > 0)
}

fn claim(connection: &Connection, account: &NodePart, claimant: &Claimant) -> Result<Vec<OfflineMessage>, StoreError> {
    let Some(id) = account_id(connection, account)? else { return Ok(Vec::new()) };
    let mut find = connection.prepare_cached(
        "SELECT key, holder_index, holder_position, at, kind, sender, recipient, stanza_id, language, payload
         FROM messages WHERE account = ?1 ORDER BY key",
    )?;
    let mut take =
        connection.prepare_cached("UPDATE messages SET holder_index = ?2, holder_position = ?3 WHERE key = ?1")?;
    let (mut claimed, mut bytes) = (Vec::<OfflineMessage>::new(), 0);
    let mut rows = find.query([id])?;
    while claimed.len() < CLAIM_MESSAGES_MAX
        && bytes < CLAIM_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        if !holder(row)?.is_none_or(|holder| claimant.may_take_from(holder)) {
            continue;
        }
        match read(row) {
            Ok(message) => {
                bytes += message.message.weight();
                claimed.push(message);
            }
            // One unreadable message must not keep all the others from their recipient. It stays for the operator.
            Err(error) => tracing::error!(%error, "an offline message is left out"),
        }
    }
    for message in &claimed {
        take.execute(params![message.key, claimant.route.index.0.cast_signed(), claimant.route.position])?;
    }
    Ok(claimed)
}

fn forget(connection: &Connection, account: &NodePart, keys: &[i64], route: RouteId) -> Result<(), StoreError> {
    let Some(id) = account_id(connection, account)? else { return Ok(()) };
    let mut delete = connection.prepare_cached(
        "DELETE FROM messages WHERE key = ?1 AND account = ?2 AND holder_index = ?3 AND holder_position = ?4
         RETURNING weight",
    )?;
    let (mut gone, mut bytes) = (0, 0);
    for key in keys {
        let values = params![key, id, route.index.0.cast_signed(), route.position];
        if let Some(weight) = delete.query_row(values, |row| row.get::<_, i64>(0)).optional()? {
            gone += 1;
            bytes += weight;
        }
    }
    connection
        .prepare_cached(
            "UPDATE accounts SET waiting = waiting - ?2, waiting_bytes = max(waiting_bytes - ?3, 0) WHERE id = ?1",
        )?
        .execute(params![id, gone, bytes])?;
    Ok(())
}

fn is_stored_for(connection: &Connection, account: &NodePart, recipient: &FullJid) -> Result<bool, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messages JOIN accounts ON accounts.id = messages.account
         WHERE accounts.name = ?1 AND recipient = ?2)",
    )?;
    Ok(find.query_row([account.as_str(), recipient.as_str()], |row| row.get(0))?)
}

fn count(connection: &Connection, account: &NodePart) -> Result<usize, StoreError> {
    let mut count = connection.prepare_cached("SELECT waiting FROM accounts WHERE name = ?1")?;
    let waiting: Option<i64> = count.query_row([account.as_str()], |row| row.get(0)).optional()?;
    usize::try_from(waiting.unwrap_or(0)).map_err(|_| StoreError::Unreadable("a negative count".to_owned()))
}

fn holder(row: &Row<'_>) -> Result<Option<RouteId>, StoreError> {
    let Some(index) = row.get::<_, Option<i64>>(1)? else { return Ok(None) };
    Ok(Some(RouteId { index: LogIndex(index.cast_unsigned()), position: row.get(2)? }))
}

fn read(row: &Row<'_>) -> Result<OfflineMessage, StoreError> {
    let key: i64 = row.get(0)?;
    let kind: String = row.get(4)?;
    let unreadable = |what: &str| StoreError::Unreadable(format!("{what} of the message {key}"));
    let jid = |text: Option<String>, what| match text {
        Some(text) => text.parse::<Jid>().map(Some).map_err(|_| unreadable(what)),
        None => Ok(None),
    };
    let message = Stanza {
        kind: kind_of(&kind).ok_or_else(|| unreadable("the kind"))?,
        from: jid(row.get(5)?, "the sender")?,
        to: jid(row.get(6)?, "the recipient")?,
        id: row.get(7)?,
        language: row.get(8)?,
        payload: Bytes::from(row.get::<_, Vec<u8>>(9)?),
    };
    if !message.is_canonical() {
        return Err(unreadable("the content"));
    }
    Ok(OfflineMessage { key, message, at: UnixMillis(row.get::<_, i64>(3)?.cast_unsigned()) })
}
