//! The table `roster`.

use cresset_core::jid::{BareJid, NodePart};
use cresset_core::limits::ROSTER_ITEMS_MAX;
use rusqlite::{Connection, Row, params};

use super::credentials::{account_id, to_sql};
use crate::accounts::{RosterItem, RosterWrite, StoreError, Subscription};

/// How subscriptions are written: as in `jabber:iq:roster`.
const SUBSCRIPTIONS: [(Subscription, &str); 4] = [
    (Subscription::None, "none"),
    (Subscription::To, "to"),
    (Subscription::From, "from"),
    (Subscription::Both, "both"),
];

pub(super) fn load(connection: &Connection, account: &NodePart) -> Result<Vec<RosterItem>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT contact, roster.name, subscription, asked, asking, approved, groups
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

pub(super) fn set(connection: &Connection, account: &NodePart, item: &RosterItem) -> Result<RosterWrite, StoreError> {
    let Some(id) = account_id(connection, account)? else { return Ok(RosterWrite::NoSuchAccount) };
    let others: i64 = connection
        .prepare_cached("SELECT count(*) FROM roster WHERE account = ?1 AND contact <> ?2")?
        .query_row(params![id, item.jid.as_str()], |row| row.get(0))?;
    if others >= to_sql(ROSTER_ITEMS_MAX) {
        return Ok(RosterWrite::Full);
    }
    let groups = serde_json::to_string(&item.groups).expect("a list of strings can be written as JSON");
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO roster (account, contact, name, subscription, asked, asking, approved, groups)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            id,
            item.jid.as_str(),
            item.name,
            subscription_text(item.subscription),
            item.asked,
            item.asking,
            item.approved,
            groups
        ])?;
    Ok(RosterWrite::Done)
}

pub(super) fn remove(connection: &Connection, account: &NodePart, contact: &BareJid) -> Result<bool, StoreError> {
    let mut remove = connection.prepare_cached(
        "DELETE FROM roster WHERE account = (SELECT id FROM accounts WHERE name = ?1) AND contact = ?2",
    )?;
    Ok(remove.execute([account.as_str(), contact.as_str()])? > 0)
}

fn read(row: &Row<'_>) -> Result<RosterItem, StoreError> {
    let contact: String = row.get(0)?;
    let subscription: String = row.get(2)?;
    let groups: String = row.get(6)?;
    let unreadable = |what: &str| StoreError::Unreadable(format!("{what} of the roster item {contact:?}"));
    Ok(RosterItem {
        jid: contact.parse().map_err(|_| unreadable("the JID"))?,
        name: row.get(1)?,
        subscription: subscription_of(&subscription).ok_or_else(|| unreadable("the subscription"))?,
        asked: row.get(3)?,
        asking: row.get(4)?,
        approved: row.get(5)?,
        groups: serde_json::from_str(&groups).map_err(|_| unreadable("the groups"))?,
    })
}

fn subscription_text(subscription: Subscription) -> &'static str {
    let found = SUBSCRIPTIONS.iter().find(|(one, _)| *one == subscription);
    found.expect("every subscription is in the table").1
}

fn subscription_of(text: &str) -> Option<Subscription> {
    SUBSCRIPTIONS.iter().find(|(_, name)| *name == text).map(|(subscription, _)| *subscription)
}
