//! The table `roster`.

use cresset_core::jid::{BareJid, NodePart};
use cresset_core::limits::ROSTER_ITEMS_MAX;
use cresset_core::session::{RosterItem, Subscription};
use deadpool_postgres::{Client, Transaction};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::credentials::{lock, to_sql};
use super::failure::Failure;
use super::lane::{rows, written};
use crate::accounts::text::subscription_of;
use crate::accounts::{RosterWrite, StoreError};

pub(super) async fn load(client: &Client, account: &NodePart) -> Result<Vec<RosterItem>, Failure> {
    const FIND: &str = "SELECT contact, roster.name, subscription, asked, groups
         FROM cresset.roster JOIN cresset.accounts ON account = id WHERE accounts.name = $1";
    let found = rows(client, FIND, &[&account.as_str()]).await?;
    let mut items = found.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    items.sort_by(|one, other| one.jid.cmp(&other.jid));
    Ok(items)
}

pub(super) async fn set_contact(
    transaction: &Transaction<'_>,
    account: &NodePart,
    contact: &BareJid,
    name: Option<&str>,
    groups: &[String],
) -> Result<RosterWrite, Failure> {
    const WRITE: &str = "INSERT INTO cresset.roster (account, contact, name, subscription, asked, groups)
         VALUES ($1, $2, $3, 'none', FALSE, $4)
         ON CONFLICT (account, contact) DO UPDATE SET name = EXCLUDED.name, groups = EXCLUDED.groups
         RETURNING contact, name, subscription, asked, groups";
    let name = name.map(str::as_bytes);
    let groups = serde_json::to_string(groups).expect("a list of strings can be written as JSON");
    write(transaction, account, contact, WRITE, &[&name, &groups]).await
}

pub(super) async fn set_subscription(
    transaction: &Transaction<'_>,
    account: &NodePart,
    contact: &BareJid,
    subscription: Subscription,
    asked: bool,
) -> Result<RosterWrite, Failure> {
    const WRITE: &str = "INSERT INTO cresset.roster (account, contact, name, subscription, asked, groups)
         VALUES ($1, $2, NULL, $3, $4, '[]')
         ON CONFLICT (account, contact) DO UPDATE SET subscription = EXCLUDED.subscription, asked = EXCLUDED.asked
         RETURNING contact, name, subscription, asked, groups";
    write(transaction, account, contact, WRITE, &[&subscription.name(), &asked]).await
}

pub(super) async fn remove(
    transaction: &Transaction<'_>,
    account: &NodePart,
    contact: &BareJid,
) -> Result<bool, Failure> {
    const REMOVE: &str = "DELETE FROM cresset.roster WHERE account = $1 AND contact = $2";
    let Some(id) = lock(transaction, account).await? else { return Ok(false) };
    Ok(written(transaction, REMOVE, &[&id, &contact.as_str()]).await? > 0)
}

/// Writes one item if there is an account and room for it. The account is locked, or two nodes that count together
/// would both find room.
async fn write(
    transaction: &Transaction<'_>,
    account: &NodePart,
    contact: &BareJid,
    statement: &'static str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<RosterWrite, Failure> {
    const COUNT: &str = "SELECT count(*) FROM cresset.roster WHERE account = $1 AND contact <> $2";
    let Some(id) = lock(transaction, account).await? else { return Ok(RosterWrite::NoSuchAccount) };
    let key: [&(dyn ToSql + Sync); 2] = [&id, &contact.as_str()];
    let counted = rows(transaction, COUNT, &key).await?;
    let others: i64 = counted.first().expect("a count is one row").try_get(0)?;
    if others >= to_sql(ROSTER_ITEMS_MAX) {
        return Ok(RosterWrite::Full);
    }
    let answered = rows(transaction, statement, &[&key[..], values].concat()).await?;
    Ok(RosterWrite::Done(read(answered.first().expect("a statement that writes a row answers it"))?))
}

fn read(row: &Row) -> Result<RosterItem, Failure> {
    let contact: &str = row.try_get(0)?;
    let name: Option<Vec<u8>> = row.try_get(1)?;
    let unreadable = |what: &str| StoreError::Unreadable(format!("{what} of the roster item {contact:?}"));
    Ok(RosterItem {
        jid: contact.parse().map_err(|_| unreadable("the JID"))?,
        name: name.map(String::from_utf8).transpose().map_err(|_| unreadable("the name"))?,
        subscription: subscription_of(row.try_get(2)?).ok_or_else(|| unreadable("the subscription"))?,
        asked: row.try_get(3)?,
        groups: serde_json::from_str(row.try_get(4)?).map_err(|_| unreadable("the groups"))?,
    })
}
