//! The table `roster`.

use cresset_core::jid::{BareJid, NodePart};
use cresset_core::limits::ROSTER_PART_BYTES_MAX;
use cresset_core::session::{RosterItem, RosterPart, RosterSize};
use deadpool_postgres::{Client, Transaction};
use futures_util::FutureExt;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PostgresAccounts;
use super::credentials::{lock, to_sql};
use super::failure::Failure;
use super::lane::{rows, written};
use crate::accounts::text::{groups_text, roster_bytes, subscription_of};
use crate::accounts::{RosterStore, RosterWrite, StoreError, StoreFuture};

impl RosterStore for PostgresAccounts {
    fn roster(&self, account: NodePart, after: Option<BareJid>) -> StoreFuture<'_, RosterPart> {
        self.lane.read((account, after), |client, (account, after)| load(client, account, after.as_ref()).boxed())
    }

    fn set_contact(
        &self,
        account: NodePart,
        contact: BareJid,
        name: Option<String>,
        groups: Vec<String>,
    ) -> StoreFuture<'_, RosterWrite> {
        self.lane.write((account, contact, name, groups), |transaction, (account, contact, name, groups)| {
            set_contact(transaction, account, contact, name.as_deref(), groups).boxed()
        })
    }

    fn remove_contact(&self, account: NodePart, contact: BareJid) -> StoreFuture<'_, bool> {
        self.lane
            .write((account, contact), |transaction, (account, contact)| remove(transaction, account, contact).boxed())
    }
}

async fn load(client: &Client, account: &NodePart, after: Option<&BareJid>) -> Result<RosterPart, Failure> {
    // Those of which all before them fit, so that there is one beyond the bound if there are any.
    const FIND: &str = "SELECT contact, name, subscription, asked, groups, upto FROM
         (SELECT contact, roster.name, subscription, asked, groups, bytes,
             sum(bytes) OVER (ORDER BY contact)::bigint AS upto
          FROM (SELECT *, octet_length(contact) + coalesce(octet_length(name), 0) + octet_length(groups) AS bytes
                FROM cresset.roster) AS roster
          JOIN cresset.accounts ON account = id WHERE accounts.name = $1 AND contact > $2) AS part
         WHERE upto - bytes <= $3 ORDER BY contact";
    // Every contact follows the empty one.
    let (after, most) = (after.map_or("", |after| after.as_str()), to_sql(ROSTER_PART_BYTES_MAX));
    let mut part = RosterPart { items: Vec::new(), is_last: true };
    for row in rows(client, FIND, &[&account.as_str(), &after, &most]).await? {
        if row.try_get::<_, i64>(5)? > most && !part.items.is_empty() {
            part.is_last = false;
            break;
        }
        part.items.push(read(&row)?);
    }
    Ok(part)
}

async fn set_contact(
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
    let groups = groups_text(groups);
    let bytes = roster_bytes(contact, name, &groups);
    let name = name.map(str::as_bytes);
    write(transaction, account, contact, bytes, WRITE, &[&name, &groups]).await
}

async fn remove(transaction: &Transaction<'_>, account: &NodePart, contact: &BareJid) -> Result<bool, Failure> {
    const REMOVE: &str = "DELETE FROM cresset.roster WHERE account = $1 AND contact = $2";
    let Some(id) = lock(transaction, account).await? else { return Ok(false) };
    Ok(written(transaction, REMOVE, &[&id, &contact.as_str()]).await? > 0)
}

/// Writes one item if there is an account and room for it. The account is locked, or two nodes that count together
/// would both find room. `bytes` is what the item has then.
async fn write(
    transaction: &Transaction<'_>,
    account: &NodePart,
    contact: &BareJid,
    bytes: usize,
    statement: &'static str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<RosterWrite, Failure> {
    const SUM: &str = "SELECT count(*) FILTER (WHERE contact <> $2),
            coalesce(sum(bytes) FILTER (WHERE contact <> $2), 0)::bigint,
            (sum(bytes) FILTER (WHERE contact = $2))::bigint
         FROM (SELECT contact, octet_length(contact) + coalesce(octet_length(name), 0) + octet_length(groups) AS bytes
               FROM cresset.roster WHERE account = $1) AS items";
    let Some(id) = lock(transaction, account).await? else { return Ok(RosterWrite::NoSuchAccount) };
    let key: [&(dyn ToSql + Sync); 2] = [&id, &contact.as_str()];
    let summed = rows(transaction, SUM, &key).await?;
    let size = size(summed.first().expect("a sum is one row"))?;
    if !size.has_room_for(bytes) {
        return Ok(RosterWrite::Full);
    }
    let answered = rows(transaction, statement, &[&key[..], values].concat()).await?;
    Ok(RosterWrite::Done(read(answered.first().expect("a statement that writes a row answers it"))?))
}

fn size(row: &Row) -> Result<RosterSize, Failure> {
    let number = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let item_bytes = row.try_get::<_, Option<i64>>(2)?.map(number);
    Ok(RosterSize { others: number(row.try_get(0)?), others_bytes: number(row.try_get(1)?), item_bytes })
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
