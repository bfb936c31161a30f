//! The tables `identity`, `members`, `member_count` and `stamps`.

use cresset_core::ids::MemberId;
use deadpool_postgres::{Client, GenericClient, Transaction};
use futures_util::FutureExt;
use tokio_postgres::Row;

use super::PostgresAccounts;
use super::failure::Failure;
use super::lane::{rows, written};
use crate::accounts::{
    ClusterId, ClusterStore, FakeSaltSecret, Founding, Identity, JoinSecret, Stamp, StoreError, StoreFuture,
};

const FIND: &str = "SELECT cluster_id, join_secret, fake_salt_secret, founder, formed FROM cresset.identity";

impl ClusterStore for PostgresAccounts {
    fn identity(&self, candidate: Founding) -> StoreFuture<'_, Identity> {
        self.lane.write(candidate, |transaction, candidate| found_or_find(transaction, candidate).boxed())
    }

    fn form(&self, founder: MemberId) -> StoreFuture<'_, bool> {
        self.lane.write(founder, |transaction, founder| form(transaction, *founder).boxed())
    }

    fn replace_founder(&self, from: MemberId, to: MemberId) -> StoreFuture<'_, Identity> {
        self.lane.write((from, to), |transaction, (from, to)| replace_founder(transaction, *from, *to).boxed())
    }

    fn known_identity(&self) -> StoreFuture<'_, Option<Identity>> {
        self.lane.read((), |client, ()| known(client).boxed())
    }

    fn found_anew(&self, from: ClusterId, anew: Founding) -> StoreFuture<'_, Identity> {
        self.lane.write((from, anew), |transaction, (from, anew)| found_anew(transaction, *from, anew).boxed())
    }

    fn allocate_member(&self, name: String) -> StoreFuture<'_, MemberId> {
        self.lane.write(name, |transaction, name| allocate_member(transaction, name).boxed())
    }

    fn stamp(&self, member: MemberId) -> StoreFuture<'_, Option<Stamp>> {
        self.lane.read(member, |client, member| stamp(client, *member).boxed())
    }

    fn replace_stamp(&self, member: MemberId, from: Option<Stamp>, to: Stamp) -> StoreFuture<'_, Stamp> {
        self.lane.write((member, from, to), |transaction, (member, from, to)| {
            replace_stamp(transaction, *member, *from, *to).boxed()
        })
    }
}

/// Writes the candidate if there is no identity yet; answers the one that there is. Who comes second waits until the
/// first has committed, and then sees that row.
async fn found_or_find(transaction: &Transaction<'_>, candidate: &Founding) -> Result<Identity, Failure> {
    const WRITE: &str = "INSERT INTO cresset.identity
         (only_row, cluster_id, join_secret, fake_salt_secret, founder, formed)
         VALUES (TRUE, $1, $2, $3, $4, FALSE) ON CONFLICT (only_row) DO NOTHING";
    let (cluster_id, join_secret) = (&candidate.cluster_id.0[..], &candidate.join_secret.0[..]);
    let (fake_salt_secret, founder) = (&candidate.fake_salt_secret.0[..], candidate.founder.0.cast_signed());
    written(transaction, WRITE, &[&cluster_id, &join_secret, &fake_salt_secret, &founder]).await?;
    find(transaction).await
}

async fn form(transaction: &Transaction<'_>, founder: MemberId) -> Result<bool, Failure> {
    const FORM: &str = "UPDATE cresset.identity SET formed = TRUE WHERE founder = $1";
    written(transaction, FORM, &[&founder.0.cast_signed()]).await?;
    Ok(find(transaction).await?.founder == founder)
}

/// Of those who come at the same time the second waits for the first, and then finds that there is another founder.
async fn replace_founder(transaction: &Transaction<'_>, from: MemberId, to: MemberId) -> Result<Identity, Failure> {
    const REPLACE: &str = "UPDATE cresset.identity SET founder = $2 WHERE founder = $1 AND NOT formed";
    written(transaction, REPLACE, &[&from.0.cast_signed(), &to.0.cast_signed()]).await?;
    find(transaction).await
}

async fn found_anew(transaction: &Transaction<'_>, from: ClusterId, anew: &Founding) -> Result<Identity, Failure> {
    const REPLACE: &str = "UPDATE cresset.identity
         SET cluster_id = $2, join_secret = $3, founder = $4, formed = FALSE WHERE cluster_id = $1";
    const FREE: &str = "UPDATE cresset.messages SET holder_index = NULL, holder_position = NULL
         WHERE holder_index IS NOT NULL";
    let (from, cluster_id) = (&from.0[..], &anew.cluster_id.0[..]);
    let (join_secret, founder) = (&anew.join_secret.0[..], anew.founder.0.cast_signed());
    if written(transaction, REPLACE, &[&from, &cluster_id, &join_secret, &founder]).await? > 0 {
        written(transaction, FREE, &[]).await?;
    }
    find(transaction).await
}

async fn known(client: &Client) -> Result<Option<Identity>, Failure> {
    rows(client, FIND, &[]).await?.first().map(identity).transpose()
}

async fn find(transaction: &Transaction<'_>) -> Result<Identity, Failure> {
    let found = rows(transaction, FIND, &[]).await?;
    identity(found.first().ok_or_else(no_identity)?)
}

fn identity(row: &Row) -> Result<Identity, Failure> {
    Ok(Identity {
        cluster_id: ClusterId(exactly(row.try_get(0)?, "cluster id")?),
        join_secret: JoinSecret(exactly(row.try_get(1)?, "join secret")?),
        fake_salt_secret: FakeSaltSecret(exactly(row.try_get(2)?, "secret of fake salts")?),
        founder: MemberId(row.try_get::<_, i64>(3)?.cast_unsigned()),
        formed: row.try_get(4)?,
    })
}

/// The row that counts is locked until the id is written down, so ids grow in the order of their commits and none is
/// given out again, not even that of a row which was removed. A sequence would promise neither.
async fn allocate_member(transaction: &Transaction<'_>, name: &str) -> Result<MemberId, Failure> {
    const COUNT: &str = "UPDATE cresset.member_count SET last = last + 1 RETURNING last";
    let counted = rows(transaction, COUNT, &[]).await?;
    let row = counted.first().ok_or_else(|| StoreError::Unreadable("members are not counted".to_owned()))?;
    let id: i64 = row.try_get(0)?;
    written(transaction, "INSERT INTO cresset.members (id, name) VALUES ($1, $2)", &[&id, &name]).await?;
    Ok(MemberId(id.cast_unsigned()))
}

async fn stamp<C: GenericClient>(client: &C, member: MemberId) -> Result<Option<Stamp>, Failure> {
    const FIND: &str = "SELECT number, process FROM cresset.stamps WHERE member = $1";
    let found = rows(client, FIND, &[&member.0.cast_signed()]).await?;
    let Some(row) = found.first() else { return Ok(None) };
    let (number, process): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Some(Stamp { number: number.cast_unsigned(), process: process.cast_unsigned() }))
}

/// Of two who come at the same time the second waits for the first, and then finds another stamp than it knows.
async fn replace_stamp(
    transaction: &Transaction<'_>,
    member: MemberId,
    from: Option<Stamp>,
    to: Stamp,
) -> Result<Stamp, Failure> {
    const FIRST: &str = "INSERT INTO cresset.stamps (member, number, process) VALUES ($1, $2, $3)
         ON CONFLICT (member) DO NOTHING";
    const NEXT: &str = "UPDATE cresset.stamps SET number = $2, process = $3
         WHERE member = $1 AND number = $4 AND process = $5";
    let [member_id, number, process] = [member.0, to.number, to.process].map(u64::cast_signed);
    written(transaction, FIRST, &[&member_id, &number, &process]).await?;
    if let Some(from) = from {
        let (last, by) = (from.number.cast_signed(), from.process.cast_signed());
        written(transaction, NEXT, &[&member_id, &number, &process, &last, &by]).await?;
    }
    Ok(stamp(transaction, member).await?.unwrap_or(to))
}

fn no_identity() -> StoreError {
    StoreError::Unreadable("there is no identity".to_owned())
}

fn exactly<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Unreadable(format!("the {what} has {} bytes, not {N}", bytes.len())))
}
