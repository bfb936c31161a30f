//! What is particular to a database that several nodes share.

mod away;
mod encrypted;
mod migrations;
mod server;

use cresset_core::ids::{BootId, MemberId, Sequence};
use cresset_core::routing::StanzaName;
use cresset_core::time::UnixMillis;
use futures_util::future::join_all;
use rand::SeedableRng;
use rand::rngs::StdRng;

use self::server::Server;
use super::*;
use crate::accounts::contract::{self, add, claim, credentials, keep, message, name, quota, route};
use crate::accounts::{
    AccountStore, Added, ClusterStore, Existing, Founding, NewAccount, OfflineStore, RosterStore, StoreError, Stored,
    Written,
};
use crate::runtime::scope;

contract::contract_tests!(empty().await);

#[tokio::test]
async fn what_was_answered_is_there_for_a_node_that_starts_later() {
    let test = async {
        let (store, settings) = empty().await;
        add(&store, "juliet").await;
        keep(&store, "hello").await;
        let member = store.allocate_member("n1".to_owned()).await.expect("available");
        store.close();

        let store = open(&settings).await;

        assert_eq!(store.offline_count(name("juliet")).await, Ok(1));
        let next = store.allocate_member("n1".to_owned()).await.expect("available");
        assert!(next > member);
    };
    scope(0, test).await;
}

#[tokio::test]
async fn nodes_that_start_together_agree_on_one_identity_and_get_members_of_their_own() {
    let test = async {
        let settings = Server::shared().database();
        let stores = join_all((0..8).map(|_| open(&settings))).await;

        let candidates = (1..).map(|seed| Founding::draw(&mut StdRng::seed_from_u64(seed), MemberId(seed)));
        let identities = join_all(stores.iter().zip(candidates).map(|(store, candidate)| store.identity(candidate)));
        let identities = identities.await;
        let members = join_all(stores.iter().map(|store| store.allocate_member("n".to_owned()))).await;

        assert!(identities.iter().all(|identity| identity.is_ok() && *identity == identities[0]), "{identities:?}");
        let mut members: Vec<MemberId> = members.into_iter().map(|member| member.expect("available")).collect();
        members.sort();
        assert!(members.into_iter().eq((1..=8).map(MemberId)));
    };
    scope(0, test).await;
}

#[tokio::test]
async fn nodes_that_store_together_keep_to_the_bound() {
    let test = async {
        let (store, settings) = empty().await;
        add(&store, "juliet").await;
        let stores = [open(&settings).await, open(&settings).await, store];

        let writes = (0..300).map(|number| {
            stores[number % 3].store_offline(
                name("juliet"),
                message(&number.to_string()),
                UnixMillis(0),
                quota(100),
                None,
            )
        });
        let stored = join_all(writes).await;

        assert_eq!(stored.iter().filter(|stored| **stored == Ok(Stored::Kept)).count(), 100);
        assert_eq!(stored.iter().filter(|stored| **stored == Ok(Stored::Full)).count(), 200);
        assert_eq!(stores[0].offline_count(name("juliet")).await, Ok(100));
    };
    scope(0, test).await;
}

/// The nodes of both sides of a broken link decide about the same messages at the same moment.
#[tokio::test]
async fn nodes_that_store_the_same_messages_together_keep_each_once() {
    let test = async {
        let (store, settings) = empty().await;
        add(&store, "juliet").await;
        let stores = [open(&settings).await, store];
        let named = |number| Some(StanzaName { home: BootId(7), owner: BootId(8), number: Sequence(number) });

        let writes = (0..200).map(|number| {
            let at = UnixMillis(number);
            stores[(number % 2) as usize].store_offline(
                name("juliet"),
                message("x"),
                at,
                quota(1000),
                named(number / 2),
            )
        });
        let stored = join_all(writes).await;

        assert!(stored.iter().all(|stored| *stored == Ok(Stored::Kept)), "{stored:?}");
        assert_eq!(stores[0].offline_count(name("juliet")).await, Ok(100));
    };
    scope(0, test).await;
}

/// Names that have grown old are forgotten by many at once, while others keep new ones.
#[tokio::test]
async fn old_names_are_forgotten_without_anybody_failing() {
    let test = async {
        let (store, settings) = empty().await;
        let stores = [open(&settings).await, open(&settings).await, store];
        let accounts = ["a", "b", "c"];
        for account in accounts {
            add(&stores[0], account).await;
        }
        let round = async |start: u64, at: u64| {
            let writes = (start..start + 360).map(|number| {
                let at_store = (number % 3) as usize;
                let named = StanzaName { home: BootId(1), owner: BootId(2), number: Sequence(number) };
                let account = name(accounts[(number / 3 % 3) as usize]);
                stores[at_store].store_offline(account, message("x"), UnixMillis(at), quota(10_000), Some(named))
            });
            join_all(writes).await
        };

        let first = round(0, 0).await;
        // The same names again, an hour later: each is kept a second time, whoever forgets it first.
        let second = round(0, crate::accounts::NAME_KEPT_MS + 1).await;

        assert!(first.iter().chain(&second).all(|stored| *stored == Ok(Stored::Kept)), "{first:?} {second:?}");
        let waiting = join_all(accounts.map(|account| stores[0].offline_count(name(account)))).await;
        assert_eq!(waiting, [Ok(240), Ok(240), Ok(240)]);
        let kept = Server::shared().ask_in(&settings, "SELECT count(*) FROM cresset.stored_names");
        assert_eq!(kept, "360");
    };
    scope(0, test).await;
}

#[tokio::test]
async fn nodes_that_claim_together_get_each_message_once() {
    let test = async {
        let (store, settings) = empty().await;
        let other = open(&settings).await;
        add(&store, "juliet").await;
        let writes = (0..50).map(|number| {
            store.store_offline(name("juliet"), message(&number.to_string()), UnixMillis(0), quota(100), None)
        });
        join_all(writes).await;

        let live = [route(3), route(4)];
        let claims = join_all([claim(&store, route(3), &live), claim(&other, route(4), &live)]).await;

        let mut keys: Vec<i64> = claims.concat().into_iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!((claims.concat().len(), keys.len()), (50, 50));
    };
    scope(0, test).await;
}

/// What one node claims, another stores and a third forgets at once must leave a count that is right.
#[tokio::test]
async fn the_count_of_what_waits_stays_right_while_nodes_store_claim_and_forget() {
    let test = async {
        let (store, settings) = empty().await;
        let stores = [open(&settings).await, open(&settings).await, store];
        add(&stores[0], "juliet").await;

        let keep_some = async || {
            for number in 0..60 {
                keep(&stores[0], &number.to_string()).await;
            }
        };
        let take_some = async |at: usize, route| {
            for _ in 0..30 {
                let keys = claim(&stores[at], route, &[self::route(5), self::route(6)]).await;
                let keys = keys.into_iter().map(|(key, _)| key).collect();
                stores[at].forget(name("juliet"), keys, route).await.expect("available");
            }
        };
        tokio::join!(keep_some(), take_some(1, route(5)), take_some(2, route(6)));

        let counted = stores[0].offline_count(name("juliet")).await.expect("available");
        let there = Server::shared().ask_in(&settings, "SELECT count(*) FROM cresset.messages");
        assert_eq!(counted.to_string(), there);
    };
    scope(0, test).await;
}

/// Two operators import overlapping lists in opposite orders.
#[tokio::test]
async fn imports_of_the_same_names_do_not_lock_each_other_out() {
    let test = async {
        let (store, settings) = empty().await;
        let other = open(&settings).await;
        let account = |number: usize| NewAccount { name: name(&format!("u{number}")), credentials: credentials("x") };
        let up: Vec<_> = (0..500).map(account).collect();
        let down: Vec<_> = up.iter().rev().cloned().collect();

        for existing in [Existing::Keep, Existing::Update] {
            let (one, two) = tokio::join!(store.add_many(up.clone(), existing), other.add_many(down.clone(), existing));
            let answers = [one.expect("available"), two.expect("available")].concat();
            let created = answers.iter().filter(|added| **added == Added::Created).count();
            assert_eq!(created, if existing == Existing::Keep { 500 } else { 0 });
        }
    };
    scope(0, test).await;
}

#[tokio::test]
async fn unreadable_messages_do_not_hold_up_the_others() {
    let test = async {
        let (store, settings) = empty().await;
        add(&store, "juliet").await;
        for number in 0..=crate::accounts::CLAIM_MESSAGES_MAX {
            keep(&store, &number.to_string()).await;
        }
        let spoil = "UPDATE cresset.messages SET kind = 'telegram' WHERE stanza_id <> '100'";
        Server::shared().ask_in(&settings, spoil);

        let claimed = claim(&store, route(1), &[]).await;

        assert!(claimed.iter().map(|(_, id)| id.as_str()).eq(["100"]), "{claimed:?}");
        assert_eq!(store.offline_count(name("juliet")).await, Ok(101));
    };
    scope(0, test).await;
}

#[tokio::test]
async fn a_damaged_roster_is_told_and_not_made_up() {
    let test = async {
        let (store, settings) = empty().await;
        add(&store, "juliet").await;
        let spoil = "INSERT INTO cresset.roster SELECT id, 'romeo@m.lit', NULL, 'friend', FALSE, '[]' \
                     FROM cresset.accounts";
        Server::shared().ask_in(&settings, spoil);

        let refused = store.roster(name("juliet"), None).await;

        assert!(matches!(&refused, Err(StoreError::Unreadable(what)) if what.contains("romeo@m.lit")), "{refused:?}");
    };
    scope(0, test).await;
}

async fn empty() -> (PostgresAccounts, Settings) {
    let settings = Server::shared().database();
    (open(&settings).await, settings)
}

async fn open(settings: &Settings) -> PostgresAccounts {
    PostgresAccounts::open(settings).await.expect("opened")
}
