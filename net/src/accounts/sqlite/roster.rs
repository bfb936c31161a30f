//! The table `roster`.

use cresset_core::jid::{BareJid, NodePart};
use cresset_core::limits::ROSTER_PART_BYTES_MAX;
use cresset_core::session::{RosterItem, RosterPart, RosterSize};
use rusqlite::{Connection, Row, Rows, params};

use super::SqliteAccounts;
use super::credentials::account_id;
use crate::accounts::text::{groups_text, roster_bytes, subscription_of};
use crate::accounts::{RosterStore, RosterWrite, StoreError, StoreFuture};

impl RosterStore for SqliteAccounts {
    fn roster(&self, account: NodePart, after: Option<BareJid>) -> StoreFuture<'_, RosterPart> {
        self.threads.read(move |connection| load(connection, &account, after.as_ref()))
    }

    fn set_contact(
        &self,
        account: NodePart,
        contact: BareJid,
        name: Option<String>,
        groups: Vec<String>,
    ) -> StoreFuture<'_, RosterWrite> {
        self.threads.write(move |connection| set_contact(connection, &account, &contact, name.as_deref(), &groups))
    }

    fn remove_contact(&self, account: NodePart, contact: BareJid) -> StoreFuture<'_, bool> {
        self.threads.write(move |connection| remove(connection, &account, &contact))
    }
}

fn load(connection: &Connection, account: &NodePart, after: Option<&BareJid>) -> Result<RosterPart, StoreError> {
    let mut part = RosterPart { items: Vec::new(), is_last: true };
    let Some(id) = account_id(connection, account)? else { return Ok(part) };
    let mut find = connection.prepare_cached(
        "SELECT contact, name, subscription, asked, groups
         FROM roster WHERE account = ?1 AND contact > ?2 ORDER BY contact",
    )?;
    // Every contact follows the empty one.
    let mut rows = find.query(params![id, after.map_or("", |after| after.as_str())])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let groups = row.get_ref(4)?.as_str().map_or(0, str::len);
        let item = read(row)?;
        bytes += item.jid.as_str().len() + item.name.as_ref().map_or(0, String::len) + groups;
        if bytes > ROSTER_PART_BYTES_MAX && !part.items.is_empty() {
            part.is_last = false;
            break;
        }
        part.items.push(item);
    }
    Ok(part)
}

fn set_contact(
    connection: &Connection,
    account: &NodePart,
    contact: &BareJid,
    name: Option<&str>,
    groups: &[String],
) -> Result<RosterWrite, StoreError> {
    let groups = groups_text(groups);
    let bytes = roster_bytes(contact, name, &groups);
    write(connection, account, contact, bytes, |id| {
        let mut write = connection.prepare_cached(
            "INSERT INTO roster (account, contact, name, subscription, asked, groups)
             VALUES (?1, ?2, ?3, 'none', FALSE, ?4)
             ON CONFLICT DO UPDATE SET name = ?3, groups = ?4
             RETURNING contact, name, subscription, asked, groups",
        )?;
        first(write.query(params![id, contact.as_str(), name, groups])?)
    })
}

fn remove(connection: &Connection, account: &NodePart, contact: &BareJid) -> Result<bool, StoreError> {
    let mut remove = connection.prepare_cached(
        "DELETE FROM roster WHERE account = (SELECT id FROM accounts WHERE name = ?1) AND contact = ?2",
    )?;
    Ok(remove.execute([account.as_str(), contact.as_str()])? > 0)
}

/// Writes one item if there is an account and room for it. `bytes` is what the item has then.
fn write(
    connection: &Connection,
    account: &NodePart,
    contact: &BareJid,
    bytes: usize,
    write: impl FnOnce(i64) -> Result<RosterItem, StoreError>,
) -> Result<RosterWrite, StoreError> {
    let Some(id) = account_id(connection, account)? else { return Ok(RosterWrite::NoSuchAccount) };
    let mut sum = connection.prepare_cached(
        "SELECT count(*) FILTER (WHERE contact <> ?2), coalesce(sum(bytes) FILTER (WHERE contact <> ?2), 0),
            sum(bytes) FILTER (WHERE contact = ?2)
         FROM (SELECT contact, length(CAST(contact AS BLOB)) + coalesce(length(CAST(name AS BLOB)), 0)
            + length(CAST(groups AS BLOB)) AS bytes FROM roster WHERE account = ?1)",
    )?;
    let size = sum.query_row(params![id, contact.as_str()], |row| {
        let number = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        let item_bytes = row.get::<_, Option<i64>>(2)?.map(number);
        Ok(RosterSize { others: number(row.get(0)?), others_bytes: number(row.get(1)?), item_bytes })
    })?;
    if !size.has_room_for(bytes) {
        return Ok(RosterWrite::Full);
    }
    Ok(RosterWrite::Done(write(id)?))
}

/// The row that a statement with `RETURNING` answers. The statement has written by then, and is reset afterwards.
fn first(mut rows: Rows<'_>) -> Result<RosterItem, StoreError> {
    read(rows.next()?.expect("a statement that writes a row answers it"))
}

fn read(row: &Row<'_>) -> Result<RosterItem, StoreError> {
    let contact: String = row.get(0)?;
    let subscription: String = row.get(2)?;
    let groups: String = row.get(4)?;
    let unreadable = |what: &str| StoreError::Unreadable(format!("{what} of the roster item {contact:?}"));
    Ok(RosterItem {
        jid: contact.parse().map_err(|_| unreadable("the JID"))?,
        name: row.get(1)?,
        subscription: subscription_of(&subscription).ok_or_else(|| unreadable("the subscription"))?,
        asked: row.get(3)?,
        groups: serde_json::from_str(&groups).map_err(|_| unreadable("the groups"))?,
    })
}
