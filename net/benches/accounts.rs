//! How much the account store in a SQLite file does: `cargo bench -p cresset-net --bench accounts`.
//!
//! Askers wait for each answer before they ask again, as sessions do. The file lies in the directory for temporary
//! files; set `TMPDIR` to measure another disk. Every write is on the disk when it is answered.

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cresset_core::config::properties::OfflineQuota;
use cresset_core::ids::{LogIndex, RouteId};
use cresset_core::jid::NodePart;
use cresset_core::sasl::{Hash, Password, ScramKeys};
use cresset_core::stanza::{Kind, MessageType, Stanza};
use cresset_core::time::UnixMillis;
use cresset_net::accounts::sqlite::SqliteAccounts;
use cresset_net::accounts::{AccountStore, Claimant, Existing, Keys, NewAccount, OfflineStore, Stored};
use futures_util::future::join_all;
use tokio::time::Instant;

const ACCOUNTS: usize = 10_000;

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || Arc::new(SqliteAccounts::open(&directory.path().join("accounts.sqlite")).expect("opened"));
        let store = open();
        let names: Arc<Vec<NodePart>> =
            Arc::new((0..ACCOUNTS).map(|n| format!("user{n}").parse().expect("a name")).collect());
        add(&store, &names).await;

        for askers in [1, 64, 512] {
            for prefix in ["", "nobody-"] {
                let what = format!("credential look-ups of {prefix}user…");
                run(&what, askers, 100_000, one(&store), &names, move |store, name, number| async move {
                    let name = format!("{prefix}{name}").parse().expect("a name");
                    let draw = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).cast_signed() as i64;
                    let keys = store.credentials(name, draw).await.expect("available");
                    assert_eq!(matches!(keys, Keys::Own(_)), prefix.is_empty());
                })
                .await;
            }
        }
        for (askers, writes) in [(1, 2_000), (64, 40_000), (512, 100_000)] {
            run("offline stores", askers, writes, one(&store), &names, store_one).await;
        }
        let processes = vec![store.clone(), open(), open()];
        run("offline stores through three openings", 192, 40_000, processes, &names, store_one).await;
        run("claims and forgets of an account's messages", 64, ACCOUNTS, one(&store), &names, claim_and_forget).await;
    });
}

fn one(store: &Arc<SqliteAccounts>) -> Vec<Arc<SqliteAccounts>> {
    vec![Arc::clone(store)]
}

async fn add(store: &SqliteAccounts, names: &[NodePart]) {
    let password = Password::new("secret").expect("a password");
    let keys: Vec<_> =
        Hash::ALL.into_iter().map(|hash| ScramKeys::derive(hash, &password, vec![7; 16], 4096)).collect();
    let accounts =
        names.iter().map(|name| NewAccount { name: name.clone(), credentials: keys.iter().cloned().collect() });
    let began = Instant::now();
    store.add_many(accounts.collect(), Existing::Keep).await.expect("available");
    println!("{} accounts in one transaction: {:?}", names.len(), began.elapsed());
}

async fn store_one(store: Arc<SqliteAccounts>, name: NodePart, number: usize) {
    let message = Stanza {
        kind: Kind::Message(MessageType::Chat),
        from: Some("romeo@example.org/orchard".parse().expect("a JID")),
        to: Some("juliet@example.org".parse().expect("a JID")),
        id: Some(number.to_string()),
        language: None,
        payload: Bytes::from_static(&[b'x'; 200]),
    };
    let stored = store.store_offline(name, message, UnixMillis(1), OfflineQuota::default(), None).await;
    assert_eq!(stored, Ok(Stored::Kept));
}

async fn claim_and_forget(store: Arc<SqliteAccounts>, name: NodePart, number: usize) {
    let route = RouteId { index: LogIndex(number as u64), position: 0 };
    let claimant = Claimant { route, live: vec![route], as_of: LogIndex(number as u64) };
    let claimed = store.claim(name.clone(), claimant).await.expect("available");
    store.forget(name, claimed.iter().map(|message| message.key).collect(), route).await.expect("available");
}

/// Lets `askers` do `total` things with the accounts in turn, and prints how many a second.
async fn run<F>(
    what: &str,
    askers: usize,
    total: usize,
    stores: Vec<Arc<SqliteAccounts>>,
    names: &Arc<Vec<NodePart>>,
    work: impl Fn(Arc<SqliteAccounts>, NodePart, usize) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let tasks = (0..askers).map(|asker| {
        let (next, names, work) = (Arc::clone(&next), Arc::clone(names), work.clone());
        let store = Arc::clone(&stores[asker % stores.len()]);
        tokio::spawn(async move {
            let mut slowest = std::time::Duration::ZERO;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= total {
                    return slowest;
                }
                let asked = Instant::now();
                work(Arc::clone(&store), names[number % names.len()].clone(), number).await;
                slowest = slowest.max(asked.elapsed());
            }
        })
    });
    let slowest = join_all(tasks).await.into_iter().map(|task| task.expect("no panic")).max().unwrap_or_default();
    let each_second = total as f64 / began.elapsed().as_secs_f64();
    println!("{what}, {askers} at a time: {each_second:.0}/s, slowest {slowest:?}");
}
