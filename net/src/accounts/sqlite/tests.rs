//! What is particular to a file that several processes share.

use std::path::PathBuf;

use cresset_core::ids::MemberId;
use cresset_core::time::UnixMillis;
use futures_util::future::join_all;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

use super::*;
use crate::accounts::contract::{self, add, claim, credentials, keep, message, name, quota, route};
use crate::accounts::{
    ACCOUNTS_PER_CALL_MAX, AccountStore, Added, ClusterStore, Existing, Founding, NewAccount, OfflineStore,
    RosterStore, Stored,
};

contract::contract_tests!(empty());

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let (store, directory) = empty();
    add(&store, "juliet").await;
    keep(&store, "hello").await;
    let member = store.allocate_member("n1".to_owned()).await.expect("available");
    drop(store);

    let store = open(&directory);

    assert_eq!(store.offline_count(name("juliet")).await, Ok(1));
    let next = store.allocate_member("n1".to_owned()).await.expect("available");
    assert!(next > member);
}

/// An operator copies the file of a cluster that is stopped.
#[tokio::test]
async fn a_file_that_was_closed_is_whole_without_its_log() {
    let (store, directory) = empty();
    add(&store, "juliet").await;

    store.clone().close();
    assert_eq!(store.exists(name("juliet")).await, Ok(true), "another clone goes on");
    store.close();

    let files: Vec<_> = std::fs::read_dir(directory.path()).expect("read").map(|entry| entry.expect("read")).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(open(&directory).exists(name("juliet")).await, Ok(true));
}

/// Three nodes on one machine start together on a file that is not there yet.
#[tokio::test]
async fn processes_that_create_the_file_together_agree_on_one_identity() {
    let directory = TempDir::new().expect("a directory");
    let path = path(&directory);
    let stores: Vec<SqliteAccounts> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| SqliteAccounts::open(&path))).collect();
        openers.into_iter().map(|opener| opener.join().expect("no panic").expect("opened")).collect()
    });

    let identities = join_all(
        (1..)
            .zip(&stores)
            .map(|(seed, store)| store.identity(Founding::draw(&mut StdRng::seed_from_u64(seed), MemberId(seed)))),
    )
    .await;
    let members = join_all(stores.iter().map(|store| store.allocate_member("n".to_owned()))).await;

    assert!(identities.iter().all(|identity| identity.is_ok() && *identity == identities[0]), "{identities:?}");
    let mut members: Vec<MemberId> = members.into_iter().map(|member| member.expect("available")).collect();
    members.sort();
    assert!(members.into_iter().eq((1..=8).map(MemberId)));
}

#[tokio::test]
async fn processes_that_store_together_keep_to_the_bound() {
    let (store, directory) = empty();
    add(&store, "juliet").await;
    let stores = [open(&directory), open(&directory), store];

    let writes = (0..300).map(|number| {
        stores[number % 3].store_offline(name("juliet"), message(&number.to_string()), UnixMillis(0), quota(100), None)
    });
    let stored = join_all(writes).await;

    assert_eq!(stored.iter().filter(|stored| **stored == Ok(Stored::Kept)).count(), 100);
    assert_eq!(stored.iter().filter(|stored| **stored == Ok(Stored::Full)).count(), 200);
}

#[tokio::test]
async fn processes_that_claim_together_get_each_message_once() {
    let (store, directory) = empty();
    let other = open(&directory);
    add(&store, "juliet").await;
    join_all((0..50).map(|number| {
        store.store_offline(name("juliet"), message(&number.to_string()), UnixMillis(0), quota(100), None)
    }))
    .await;

    let live = [route(3), route(4)];
    let claims = join_all([claim(&store, route(3), &live), claim(&other, route(4), &live)]).await;

    let mut keys: Vec<i64> = claims.concat().into_iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((claims.concat().len(), keys.len()), (50, 50));
}

/// Jobs share a transaction, not their fate.
#[tokio::test]
async fn a_job_that_fails_does_not_take_others_along() {
    let (store, _directory) = empty();
    let account = |number: usize| NewAccount { name: name(&format!("u{number}")), credentials: credentials("x") };
    let too_many = vec![account(0); ACCOUNTS_PER_CALL_MAX + 1];

    let before = join_all((0..20).map(|number| store.add_many(vec![account(number)], Existing::Keep)));
    let after = join_all((20..40).map(|number| store.add_many(vec![account(number)], Existing::Keep)));
    let (before, failed, after) = tokio::join!(before, store.add_many(too_many, Existing::Keep), after);

    assert!(matches!(failed, Err(StoreError::TooMuch(_))), "{failed:?}");
    assert!(before.iter().chain(&after).all(|added| *added == Ok(vec![Added::Created])), "{before:?} {after:?}");
}

#[tokio::test]
async fn an_unreadable_message_does_not_hold_up_the_others() {
    let (store, directory) = empty();
    add(&store, "juliet").await;
    for id in ["1", "2", "3", "4"] {
        keep(&store, id).await;
    }
    let file = rusqlite::Connection::open(path(&directory)).expect("a database");
    file.execute("UPDATE messages SET kind = 'telegram' WHERE stanza_id = '2'", []).expect("changed");
    // O10: it would end its reader's stream.
    let poisoned = "<\u{132} xmlns='urn:x'/>".as_bytes();
    file.execute("UPDATE messages SET payload = ?1 WHERE stanza_id = '3'", [poisoned]).expect("changed");

    let claimed = claim(&store, route(1), &[]).await;

    assert!(claimed.iter().map(|(_, id)| id.as_str()).eq(["1", "4"]), "{claimed:?}");
    assert_eq!(store.offline_count(name("juliet")).await, Ok(4));
}

#[tokio::test]
async fn a_damaged_roster_is_told_and_not_made_up() {
    let (store, directory) = empty();
    add(&store, "juliet").await;
    let file = rusqlite::Connection::open(path(&directory)).expect("a database");
    file.execute("INSERT INTO roster VALUES (1, 'romeo@m.lit', NULL, 'friend', 0, '[]')", []).expect("inserted");

    let refused = store.roster(name("juliet"), None).await;

    assert!(matches!(&refused, Err(StoreError::Unreadable(what)) if what.contains("romeo@m.lit")), "{refused:?}");
}

#[tokio::test]
async fn a_writer_that_another_process_keeps_out_does_nothing_until_it_is_let_in() {
    let (store, directory) = empty();
    let mut file = rusqlite::Connection::open(path(&directory)).expect("a database");
    let held = file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("begun");

    let mut added = store.add(name("juliet"), credentials("x"));
    assert!(futures_util::poll!(&mut added).is_pending());
    assert_eq!(store.exists(name("juliet")).await, Ok(false));
    held.commit().expect("committed");

    assert_eq!(added.await, Ok(Added::Created));
}

fn empty() -> (SqliteAccounts, TempDir) {
    let directory = TempDir::new().expect("a directory");
    (open(&directory), directory)
}

fn open(directory: &TempDir) -> SqliteAccounts {
    SqliteAccounts::open(&path(directory)).expect("opened")
}

fn path(directory: &TempDir) -> PathBuf {
    directory.path().join("accounts.sqlite")
}
