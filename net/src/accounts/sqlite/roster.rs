//! The table `roster`.

use cresset_core::jid::{BareJid, NodePart};
use cresset_core::limits::ROSTER_ITEMS_MAX;
use cresset_core::session::{RosterItem, Subscription};
use rusqlite::{Connection, Row, Rows, params};

use super::credentials::{account_id, to_sql};
use crate::accounts::text::subscription_of;
use crate::accounts::{RosterWrite, StoreError};

pub(super) fn load(connection: &Connection, account: &NodePart) -> Result<Vec<RosterItem>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT contact, roster.name, subscription, asked, groups
         FROM roster JOIN accounts ON account = id WHERE accounts.name = ?1",
    )?;
    let mut rows = find.query([account.as_str()])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(read(row)?);
    }
    items.sort_by(|one, other| one.jid.cmp(&other.jid));
    Ok(items)
}

pub(super) fn set_contact(
    connection: &Connection,
    account: &NodePart,
    contact: &BareJid,
    name: Option<&str>,
    groups: &[String],
) -> Result<RosterWrite, StoreError> {
    let groups = serde_json::to_string(groups).expect("a list of strings can be written as JSON");
    write(connection, account, contact, |id| {
        let mut write = connection.prepare_cached(
            "INSERT INTO roster (account, contact, name, subscription, asked, groups)
             VALUES (?1, ?2, ?3, 'none', FALSE, ?4)
             ON CONFLICT DO UPDATE SET name = ?3, groups = ?4
             RETURNING contact, name, subscription, asked, groups",
        )?;
        first(write.query(params![id, contact.as_str(), name, groups])?)
    })
}

pub(super) fn set_subscription(
    connection: &Connection,
    account: &NodePart,
    contact: &BareJid,
    subscription: Subscription,
    asked: bool,
) -> Result<RosterWrite, StoreError> {
    write(connection, account, contact, |id| {
        let mut write = connection.prepare_cached(
            "INSERT INTO roster (account, contact, name, subscription, asked, groups)
             VALUES (?1, ?2, NULL, ?3, ?4, '[]')
             ON CONFLICT DO UPDATE SET subscription = ?3, asked = ?4
             RETURNING contact, name, subscription, asked, groups",
        )?;
        first(write.query(params![id, contact.as_str(), subscription.name(), asked])?)
    })
}

pub(super) fn remove(connection: &Connection, account: &NodePart, contact: &BareJid) -> Result<bool, StoreError> {
    let mut remove = connection.prepare_cached(
        "DELETE FROM roster WHERE account = (SELECT id FROM accounts WHERE name = ?1) AND contact = ?2",
    )?;
    Ok(remove.execute([account.as_str(), contact.as_str()])? > 0)
}

/// Writes one item if there is an account and room for it.
fn write(
    connection: &Connection,
    account: &NodePart,
    contact: &BareJid,
    write: impl FnOnce(i64) -> Result<RosterItem, StoreError>,
) -> Result<RosterWrite, StoreError> {
    let Some(id) = account_id(connection, account)? else { return Ok(RosterWrite::NoSuchAccount) };
    let others: i64 = connection
        .prepare_cached("SELECT count(*) FROM roster WHERE account = ?1 AND contact <> ?2")?
        .query_row(params![id, contact.as_str()], |row| row.get(0))?;
    if others >= to_sql(ROSTER_ITEMS_MAX) {
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
