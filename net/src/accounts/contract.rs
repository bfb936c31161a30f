//! What every account store must do: the same tests for all of them.
//!
//! An implementation calls [`contract_tests!`] in its test module with an expression that makes an empty store.

use std::collections::BTreeMap;

use bytes::Bytes;
use cresset_core::config::properties::{OfflineQuota, Waiting};
use cresset_core::ids::{BootId, LogIndex, MemberId, RouteId, Sequence};
use cresset_core::jid::{FullJid, NodePart};
use cresset_core::limits::{ROSTER_BYTES_MAX, ROSTER_ITEMS_MAX, ROSTER_PART_BYTES_MAX};
use cresset_core::routing::StanzaName;
use cresset_core::sasl::{Hash, Password, ScramKeys};
use cresset_core::session::{RosterItem, Subscription};
use cresset_core::stanza::{IqType, Kind, MessageType, PresenceType, Stanza};
use cresset_core::time::UnixMillis;
use futures_util::future::join_all;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{
    ACCOUNTS_PER_CALL_MAX, Accounts, Added, CLAIM_BYTES_MAX, CLAIM_MESSAGES_MAX, Claimant, Credentials, Existing,
    Founding, Keys, NAME_KEPT_MS, NewAccount, PROPERTY_CHANGES_MAX, PropertyChange, PropertyWrite, RosterWrite, Stamp,
    StoreError, Stored, Written,
};

/// Writes that a test has under way at one time: on the slowest machine done before one of them has waited for seconds.
const WRITES_AT_ONCE: usize = 250;

/// Makes one test of each claim of the contract. `$store` makes an empty store and whatever must live as long as it.
macro_rules! contract_tests {
    ($store:expr) => {
        $crate::accounts::contract::contract_tests! { $store;
            keys_are_found_by_hash_until_the_account_is_removed,
            nobody_is_drawn_like_some_account_and_mostly_the_same,
            an_account_that_exists_is_not_added_again,
            keys_are_changed_only_where_there_is_an_account,
            many_accounts_are_added_at_once_and_taken_names_are_told,
            too_many_accounts_in_one_call_are_refused_whole,
            names_are_listed_in_pages,
            a_contact_is_put_in_changed_and_taken_out,
            a_full_roster_takes_no_further_contact,
            a_roster_is_bounded_by_its_bytes_and_read_in_parts,
            messages_come_oldest_first_in_bounded_batches,
            a_claim_is_bounded_in_bytes_and_hands_out_one_message_at_least,
            a_message_is_found_by_the_full_jid_to_which_it_was_sent,
            a_stanza_comes_out_as_it_went_in,
            a_full_offline_store_takes_no_further_message,
            what_waits_is_bounded_by_its_weight,
            nobody_fills_the_whole_store_of_another,
            a_message_is_kept_once_by_each_name,
            a_message_belongs_to_one_live_route,
            a_claim_of_a_route_of_another_log_is_not_respected,
            another_cluster_takes_the_place_of_a_lost_one_with_all_accounts,
            a_claim_of_a_route_that_the_view_cannot_know_is_respected,
            only_the_claimant_forgets_a_message,
            a_removed_account_leaves_nothing_to_its_successor,
            the_first_founder_founds_for_all,
            a_cluster_without_identity_is_not_formed,
            a_founder_is_replaced_until_the_cluster_is_formed_and_by_one_member_only,
            a_member_id_is_never_given_out_again,
            a_stamp_is_replaced_by_who_knows_the_last_one,
            a_property_is_set_changed_and_removed_and_every_change_is_remembered,
            changes_of_one_property_at_once_follow_each_other,
            only_so_many_changes_of_properties_are_remembered,
        }
    };
    ($store:expr; $($claim:ident,)*) => {
        $(
            #[tokio::test]
            async fn $claim() {
                $crate::runtime::scope(0, async {
                    let (store, _lives_as_long) = $store;
                    $crate::accounts::contract::$claim(&store).await;
                })
                .await;
            }
        )*
    };
}
pub(crate) use contract_tests;

pub(crate) async fn keys_are_found_by_hash_until_the_account_is_removed(store: &dyn Accounts) {
    let credentials = credentials("secret");

    assert_eq!(store.add(name("juliet"), credentials.clone()).await, Ok(Added::Created));

    for hash in Hash::ALL {
        assert_eq!(keys(store, name("juliet"), hash).await, Ok(credentials.of(hash).cloned()));
        assert_eq!(keys(store, name("romeo"), hash).await, Ok(None));
    }
    assert_eq!(store.remove(name("juliet")).await, Ok(Written::Done));
    assert_eq!(store.remove(name("juliet")).await, Ok(Written::NoSuchAccount));
    assert_eq!(keys(store, name("juliet"), Hash::Sha1).await, Ok(None));
    assert_eq!(store.exists(name("juliet")).await, Ok(false));
}

/// O4: what a stranger is shown of names that do not exist has the mix that the accounts have.
pub(crate) async fn nobody_is_drawn_like_some_account_and_mostly_the_same(store: &dyn Accounts) {
    let draws: Vec<i64> = (0..400_u64).map(|n| n.wrapping_mul(0x0123_4567_89ab_cdef).cast_signed()).collect();
    let drawn = async || {
        let mut drawn = Vec::new();
        for draw in draws.iter().chain(&[i64::MIN, 0, i64::MAX]) {
            match store.credentials(name("nobody"), *draw).await.expect("available") {
                Keys::Drawn(keys) => drawn.push(keys),
                Keys::Own(keys) => panic!("nobody has {keys:?}"),
            }
        }
        drawn
    };
    assert!(drawn().await.iter().all(|keys| *keys == Credentials::default()));

    // One in four was imported from elsewhere, with one hash and other rounds.
    let imported = |n: u8| Credentials::from_iter([keys_of(Hash::Sha1, n, 4096)]);
    let usual = |n: u8| Credentials::from_iter(Hash::ALL.map(|hash| keys_of(hash, n, 10_000)));
    let account = |n: u8| if n.is_multiple_of(4) { imported(n) } else { usual(n) };
    for n in 0..100 {
        store.add(name(&format!("user{n}")), account(n)).await.expect("available");
    }
    let first = drawn().await;
    assert!(first.iter().all(|keys| (0..100).any(|n| *keys == account(n))));
    let share = first.iter().filter(|keys| keys.of(Hash::Sha256).is_none()).count();
    assert!((20..=200).contains(&share), "{share} of {} look imported", first.len());
    assert_eq!(drawn().await, first);

    store.add(name("another"), usual(200)).await.expect("available");
    store.remove(name("user1")).await.expect("available");
    let second = drawn().await;
    let changed = first.iter().zip(&second).filter(|(first, second)| first != second).count();
    assert!(changed <= first.len() / 4, "{changed} of {}", first.len());
    assert_eq!(store.credentials(name("user4"), 0).await, Ok(Keys::Own(account(4))));

    // It may not be seen from outside that an account has no keys at all.
    store.add(name("keyless"), Credentials::default()).await.expect("available");
    assert_eq!(store.credentials(name("keyless"), 0).await, Ok(Keys::Own(Credentials::default())));
}

pub(crate) async fn an_account_that_exists_is_not_added_again(store: &dyn Accounts) {
    let first = credentials("first");

    assert_eq!(store.add(name("juliet"), first.clone()).await, Ok(Added::Created));
    assert_eq!(store.add(name("juliet"), credentials("second")).await, Ok(Added::Exists));

    assert_eq!(keys(store, name("juliet"), Hash::Sha256).await, Ok(first.of(Hash::Sha256).cloned()));
}

pub(crate) async fn keys_are_changed_only_where_there_is_an_account(store: &dyn Accounts) {
    add(store, "juliet").await;
    let only_sha256: Credentials = credentials("second").of(Hash::Sha256).cloned().into_iter().collect();

    assert_eq!(store.change_credentials(name("juliet"), only_sha256.clone()).await, Ok(Written::Done));
    assert_eq!(store.change_credentials(name("romeo"), only_sha256.clone()).await, Ok(Written::NoSuchAccount));

    let stored = keys(store, name("juliet"), Hash::Sha256).await;
    assert_eq!(stored, Ok(only_sha256.of(Hash::Sha256).cloned()));
    assert_eq!(keys(store, name("juliet"), Hash::Sha1).await, Ok(None));
    assert_eq!(store.exists(name("romeo")).await, Ok(false));
}

pub(crate) async fn many_accounts_are_added_at_once_and_taken_names_are_told(store: &dyn Accounts) {
    let account = |localpart, password| NewAccount { name: name(localpart), credentials: credentials(password) };
    add(store, "juliet").await;
    let batch = vec![account("juliet", "new"), account("romeo", "one"), account("romeo", "two")];

    let kept = store.add_many(batch.clone(), Existing::Keep).await;
    assert_eq!(kept, Ok(vec![Added::Exists, Added::Created, Added::Exists]));
    let romeo = keys(store, name("romeo"), Hash::Sha1).await;
    assert_eq!(romeo, Ok(credentials("one").of(Hash::Sha1).cloned()));

    let updated = store.add_many(batch, Existing::Update).await;
    assert_eq!(updated, Ok(vec![Added::Updated; 3]));
    let romeo = keys(store, name("romeo"), Hash::Sha1).await;
    assert_eq!(romeo, Ok(credentials("two").of(Hash::Sha1).cloned()));
}

pub(crate) async fn too_many_accounts_in_one_call_are_refused_whole(store: &dyn Accounts) {
    let account = NewAccount { name: name("juliet"), credentials: Credentials::default() };

    let refused = store.add_many(vec![account; ACCOUNTS_PER_CALL_MAX + 1], Existing::Keep).await;

    assert!(matches!(refused, Err(StoreError::TooMuch(_))), "{refused:?}");
    assert_eq!(store.exists(name("juliet")).await, Ok(false));
}

pub(crate) async fn names_are_listed_in_pages(store: &dyn Accounts) {
    for localpart in ["romeo", "ähm", "juliet", "a"] {
        add(store, localpart).await;
    }

    let first = store.list(None, 3).await.expect("available");
    let second = store.list(first.last().cloned(), 3).await.expect("available");
    let third = store.list(second.last().cloned(), 3).await.expect("available");

    assert_eq!(first, [name("a"), name("juliet"), name("romeo")]);
    assert_eq!(second, [name("ähm")]);
    assert_eq!(third, []);
}

pub(crate) async fn a_contact_is_put_in_changed_and_taken_out(store: &dyn Accounts) {
    add(store, "juliet").await;
    let (romeo, nurse) = (item("romeo@m.lit"), item("nurse@c.lit"));
    for item in [&romeo, &nurse] {
        assert_eq!(set(store, "juliet", item).await, RosterWrite::Done(item.clone()));
    }
    assert_eq!(whole(store, "juliet").await, vec![nurse.clone(), romeo]);

    let renamed = RosterItem { name: None, groups: Vec::new(), ..item("romeo@m.lit") };
    assert_eq!(set(store, "juliet", &renamed).await, RosterWrite::Done(renamed.clone()));
    assert_eq!(set(store, "nobody", &renamed).await, RosterWrite::NoSuchAccount);

    assert_eq!(store.remove_contact(name("juliet"), nurse.jid.clone()).await, Ok(true));
    assert_eq!(store.remove_contact(name("juliet"), nurse.jid).await, Ok(false));
    assert_eq!(whole(store, "juliet").await, vec![renamed]);
    assert_eq!(whole(store, "nobody").await, Vec::new());
}

pub(crate) async fn a_full_roster_takes_no_further_contact(store: &dyn Accounts) {
    add(store, "juliet").await;
    let contact = |number| item(&format!("c{number}@example.org"));
    // A store may refuse what waits longer for room than it lets anybody wait, so not all of them at once.
    for numbers in (0..ROSTER_ITEMS_MAX).collect::<Vec<_>>().chunks(WRITES_AT_ONCE) {
        let writes = numbers.iter().map(async |number| set(store, "juliet", &contact(*number)).await);
        assert!(join_all(writes).await.iter().all(|written| matches!(written, RosterWrite::Done(_))));
    }

    assert_eq!(set(store, "juliet", &contact(ROSTER_ITEMS_MAX)).await, RosterWrite::Full);
    assert_eq!(set(store, "juliet", &contact(0)).await, RosterWrite::Done(contact(0)));
    assert_eq!(whole(store, "juliet").await.len(), ROSTER_ITEMS_MAX);
}

/// O11.
pub(crate) async fn a_roster_is_bounded_by_its_bytes_and_read_in_parts(store: &dyn Accounts) {
    add(store, "juliet").await;
    let large = |number: usize, bytes: usize| RosterItem {
        groups: vec!["x".repeat(bytes)],
        ..item(&format!("c{number:0>3}@example.org"))
    };
    let stored = "c000@example.org".len() + "a name".len() + "[\"\"]".len();
    let fitting = ROSTER_BYTES_MAX / 100_000;
    for number in 0..fitting {
        let written = set(store, "juliet", &large(number, 100_000 - stored)).await;
        assert!(matches!(written, RosterWrite::Done(_)), "{number}");
    }

    assert_eq!(set(store, "juliet", &large(fitting, 100_000)).await, RosterWrite::Full);
    assert_eq!(set(store, "juliet", &large(0, 200_000)).await, RosterWrite::Full);
    assert!(matches!(set(store, "juliet", &large(fitting, 10)).await, RosterWrite::Done(_)));
    assert!(matches!(set(store, "juliet", &large(0, 10)).await, RosterWrite::Done(_)));

    let first = store.roster(name("juliet"), None).await.expect("available");
    assert_eq!((first.items.len(), first.is_last), (1 + ROSTER_PART_BYTES_MAX / 100_000, false));
    let all = whole(store, "juliet").await;
    assert_eq!(all.len(), fitting + 1);
    assert!(all.is_sorted_by(|one, next| one.jid < next.jid));
}

pub(crate) async fn messages_come_oldest_first_in_bounded_batches(store: &dyn Accounts) {
    add(store, "juliet").await;
    let messages = CLAIM_MESSAGES_MAX + 1;
    for number in 0..messages {
        assert_eq!(keep(store, &number.to_string()).await, Stored::Kept);
    }

    let first = claim(store, route(5), &[]).await;
    let second = claim(store, route(5), &[]).await;
    let third = claim(store, route(5), &[]).await;

    assert_eq!((first.len(), second.len(), third.len()), (CLAIM_MESSAGES_MAX, 1, 0));
    assert!(first.iter().chain(&second).map(|(_, id)| id.clone()).eq((0..messages).map(|number| number.to_string())));
    assert!(first.iter().chain(&second).is_sorted_by(|(one, _), (next, _)| one < next));
    assert_eq!(store.offline_count(name("juliet")).await, Ok(messages));
}

pub(crate) async fn a_claim_is_bounded_in_bytes_and_hands_out_one_message_at_least(store: &dyn Accounts) {
    add(store, "juliet").await;
    let long = Stanza {
        id: Some("long".to_owned()),
        payload: Bytes::from(vec![b' '; CLAIM_BYTES_MAX]),
        ..Stanza::new(Kind::Message(MessageType::Chat))
    };
    for _ in 0..2 {
        let stored = store.store_offline(name("juliet"), long.clone(), UnixMillis(0), quota(10), None).await;
        assert_eq!(stored, Ok(Stored::Kept));
    }

    assert_eq!(claim(store, route(5), &[]).await.len(), 1);
    assert_eq!(claim(store, route(5), &[]).await.len(), 1);
    assert_eq!(claim(store, route(5), &[]).await.len(), 0);
}

pub(crate) async fn a_message_is_found_by_the_full_jid_to_which_it_was_sent(store: &dyn Accounts) {
    let full = |resource: &str| format!("juliet@capulet.example/{resource}").parse::<FullJid>().expect("a full JID");
    let to = |jid: &str| Stanza { to: Some(jid.parse().expect("a JID")), ..message("1") };
    add(store, "juliet").await;
    add(store, "nurse").await;
    for sent in [to("juliet@capulet.example"), to("juliet@capulet.example/balcony")] {
        assert_eq!(store.is_stored_for(name("juliet"), full("balcony")).await, Ok(false));
        assert_eq!(store.store_offline(name("juliet"), sent, UnixMillis(0), quota(10), None).await, Ok(Stored::Kept));
    }

    assert_eq!(store.is_stored_for(name("juliet"), full("balcony")).await, Ok(true));
    assert_eq!(store.is_stored_for(name("juliet"), full("chamber")).await, Ok(false));
    assert_eq!(store.is_stored_for(name("nurse"), full("balcony")).await, Ok(false));
    assert_eq!(store.is_stored_for(name("nobody"), full("balcony")).await, Ok(false));

    let claimed = claim(store, route(1), &[]).await;
    assert_eq!(store.is_stored_for(name("juliet"), full("balcony")).await, Ok(true), "claimed and not arrived");
    let keys = claimed.into_iter().map(|(key, _)| key).collect();
    assert_eq!(store.forget(name("juliet"), keys, route(1)).await, Ok(()));
    assert_eq!(store.is_stored_for(name("juliet"), full("balcony")).await, Ok(false));
}

pub(crate) async fn a_stanza_comes_out_as_it_went_in(store: &dyn Accounts) {
    add(store, "juliet").await;
    let full = Stanza {
        kind: Kind::Message(MessageType::Chat),
        from: Some("romeo@m.lit/orchard \u{e4} b".parse().expect("a JID")),
        to: Some("juliet@c.lit".parse().expect("a JID")),
        id: Some("'\"\0".to_owned()),
        language: Some("en".to_owned()),
        payload: Bytes::from_static("<body>wherefore ärt thou</body>".as_bytes()),
    };
    let kind = |kind| Stanza { kind, from: None, to: None, id: None, language: None, payload: Bytes::new() };
    let subscribe = kind(Kind::Presence(PresenceType::Subscribe));
    let stanzas = [full, subscribe, kind(Kind::Iq(IqType::Set))];

    for (at, stanza) in (7..).zip(&stanzas) {
        let stored = store.store_offline(name("juliet"), stanza.clone(), UnixMillis(at), quota(9), None).await;
        assert_eq!(stored, Ok(Stored::Kept));
    }

    let claimant = Claimant { route: route(1), live: Vec::new(), as_of: LogIndex(1) };
    let claimed = store.claim(name("juliet"), claimant).await.expect("available");
    assert!(claimed.iter().map(|message| &message.message).eq(&stanzas), "{claimed:?}");
    assert!(claimed.iter().map(|message| message.at.0).eq(7..10));
}

pub(crate) async fn a_full_offline_store_takes_no_further_message(store: &dyn Accounts) {
    add(store, "juliet").await;
    for expected in [Stored::Kept, Stored::Kept, Stored::Full] {
        let stored = store.store_offline(name("juliet"), message("x"), UnixMillis(0), quota(2), None).await;
        assert_eq!(stored, Ok(expected));
    }
    let unknown = store.store_offline(name("romeo"), message("x"), UnixMillis(0), quota(2), None).await;
    assert_eq!(unknown, Ok(Stored::NoSuchAccount));

    let claimed = claim(store, route(1), &[]).await;
    store.forget(name("juliet"), vec![claimed[0].0, claimed[0].0], route(1)).await.expect("available");

    assert_eq!(store.offline_count(name("juliet")).await, Ok(1));
    assert_eq!(store.offline_count(name("romeo")).await, Ok(0));
    let stored = store.store_offline(name("juliet"), message("x"), UnixMillis(0), quota(2), None).await;
    assert_eq!(stored, Ok(Stored::Kept));
}

/// O14.
pub(crate) async fn what_waits_is_bounded_by_its_weight(store: &dyn Accounts) {
    add(store, "juliet").await;
    let weight = sent_by("romeo", 1000).weight() as u64;
    let quota = within(Waiting { messages: 9, bytes: 2 * weight }, UNBOUNDED);

    for expected in [Stored::Kept, Stored::Kept, Stored::Full] {
        assert_eq!(
            store.store_offline(name("juliet"), sent_by("romeo", 1000), UnixMillis(0), quota, None).await,
            Ok(expected)
        );
    }
    let claimed = claim(store, route(1), &[]).await;
    store.forget(name("juliet"), vec![claimed[0].0], route(1)).await.expect("available");

    let longer = store.store_offline(name("juliet"), sent_by("romeo", 1001), UnixMillis(0), quota, None).await;
    assert_eq!(longer, Ok(Stored::Full));
    let as_long = store.store_offline(name("juliet"), sent_by("romeo", 1000), UnixMillis(0), quota, None).await;
    assert_eq!(as_long, Ok(Stored::Kept));
}

/// O14. By number and by weight.
pub(crate) async fn nobody_fills_the_whole_store_of_another(store: &dyn Accounts) {
    add(store, "juliet").await;
    let weight = sent_by("romeo", 1000).weight() as u64;
    let by_number = within(UNBOUNDED, Waiting { messages: 2, bytes: u64::MAX });
    let by_weight = within(UNBOUNDED, Waiting { messages: 9, bytes: 2 * weight });

    for (sender, bytes, quota, expected) in [
        ("romeo/orchard", 1000, by_number, Stored::Kept),
        ("romeo/tomb", 1000, by_number, Stored::Kept),
        ("romeo/street", 1, by_number, Stored::Full),
        ("romeo/street", 1, by_weight, Stored::Full),
        ("tybalt/street", 1000, by_number, Stored::Kept),
        ("tybalt/street", 1001, by_weight, Stored::Full),
    ] {
        let stored = store.store_offline(name("juliet"), sent_by(sender, bytes), UnixMillis(0), quota, None).await;
        assert_eq!(stored, Ok(expected), "{sender} {bytes}");
    }
    assert_eq!(store.offline_count(name("juliet")).await, Ok(3));
}

/// The sender's node and the recipient's may both decide to store the same message, the second one late.
pub(crate) async fn a_message_is_kept_once_by_each_name(store: &dyn Accounts) {
    add(store, "juliet").await;
    let named = |number| StanzaName { home: BootId(7), owner: BootId(8), number: Sequence(number) };
    for (number, at) in [(1, 0), (1, 10), (2, 10)] {
        let stored =
            store.store_offline(name("juliet"), message("x"), UnixMillis(at), quota(9), Some(named(number))).await;
        assert_eq!(stored, Ok(Stored::Kept));
    }
    let claimed = claim(store, route(1), &[]).await;
    assert_eq!(claimed.len(), 2);
    let keys = claimed.iter().map(|claimed| claimed.0).collect();
    store.forget(name("juliet"), keys, route(1)).await.expect("available");

    for (at, waiting) in [(20, 0), (NAME_KEPT_MS + 1, 1)] {
        store
            .store_offline(name("juliet"), message("x"), UnixMillis(at), quota(9), Some(named(1)))
            .await
            .expect("available");
        assert_eq!(store.offline_count(name("juliet")).await, Ok(waiting), "{at}");
    }
}

/// Two resources that log in at once must not both show the message; a resource that dies must not take it along.
pub(crate) async fn a_message_belongs_to_one_live_route(store: &dyn Accounts) {
    add(store, "juliet").await;
    keep(store, "hello").await;

    assert_eq!(claim(store, route(3), &[route(3), route(4)]).await.len(), 1);
    assert_eq!(claim(store, route(4), &[route(3), route(4)]).await.len(), 0);
    assert_eq!(claim(store, route(4), &[route(4)]).await.len(), 1);
}

/// A node that lags knows only the routes of an older log, and must not take what a newer route was handed.
pub(crate) async fn a_claim_of_a_route_that_the_view_cannot_know_is_respected(store: &dyn Accounts) {
    add(store, "juliet").await;
    keep(store, "hello").await;
    assert_eq!(claim(store, route(8), &[route(8)]).await.len(), 1);

    let claimant = |as_of| Claimant { route: route(4), live: vec![route(4)], as_of: LogIndex(as_of) };

    assert_eq!(store.claim(name("juliet"), claimant(7)).await.map(|claimed| claimed.len()), Ok(0));
    assert_eq!(store.claim(name("juliet"), claimant(8)).await.map(|claimed| claimed.len()), Ok(1));
}

/// Whether a route of another log is alive cannot be known: its node is by itself, or in a cluster that this one is not in.
pub(crate) async fn a_claim_of_a_route_of_another_log_is_not_respected(store: &dyn Accounts) {
    add(store, "juliet").await;
    keep(store, "hello").await;
    let alone = RouteId { index: LogIndex::of_nobody_else(BootId(7)).next(), position: 0 };
    let other = RouteId { index: LogIndex::of_nobody_else(BootId(9)).next(), position: 0 };
    let claimant = |route: RouteId| Claimant { route, live: vec![route], as_of: route.index };

    for route in [route(8), alone, other, alone, route(9)] {
        let claimed = store.claim(name("juliet"), claimant(route)).await;
        assert_eq!(claimed.map(|claimed| claimed.len()), Ok(1), "{route}");
    }
}

/// After the loss of the quorum for good the accounts belong to another cluster, whose log begins anew: what routes of the
/// old one have claimed would wait until it is as long.
pub(crate) async fn another_cluster_takes_the_place_of_a_lost_one_with_all_accounts(store: &dyn Accounts) {
    assert_eq!(store.known_identity().await, Ok(None));
    let lost = store.identity(candidate(1)).await.expect("available");
    assert_eq!(store.form(lost.founder).await, Ok(true));
    add(store, "juliet").await;
    keep(store, "hello").await;
    assert_eq!(claim(store, route(5000), &[]).await.len(), 1);

    let anew = store.found_anew(lost.cluster_id, candidate(2)).await.expect("available");
    let again = store.found_anew(lost.cluster_id, candidate(3)).await.expect("available");

    assert_eq!(anew.cluster_id, candidate(2).cluster_id);
    assert_eq!((anew.founder, anew.formed), (candidate(2).founder, false));
    assert_ne!(anew.join_secret, lost.join_secret);
    assert_eq!(anew.fake_salt_secret, lost.fake_salt_secret);
    assert_eq!((&again, store.known_identity().await), (&anew, Ok(Some(anew.clone()))));
    assert_eq!(claim(store, route(3), &[]).await.len(), 1);
}

/// The route that lost its claim may still say that it delivered: the message is the new claimant's by then.
pub(crate) async fn only_the_claimant_forgets_a_message(store: &dyn Accounts) {
    add(store, "juliet").await;
    keep(store, "hello").await;
    let key = claim(store, route(3), &[]).await[0].0;
    claim(store, route(4), &[]).await;

    store.forget(name("juliet"), vec![key], route(3)).await.expect("available");
    assert_eq!(store.offline_count(name("juliet")).await, Ok(1));
    store.forget(name("juliet"), vec![key, key + 1], route(4)).await.expect("available");
    assert_eq!(store.offline_count(name("juliet")).await, Ok(0));
    store.forget(name("nobody"), vec![key], route(4)).await.expect("available");
}

pub(crate) async fn a_removed_account_leaves_nothing_to_its_successor(store: &dyn Accounts) {
    add(store, "juliet").await;
    keep(store, "hello").await;
    set(store, "juliet", &item("romeo@m.lit")).await;

    store.remove(name("juliet")).await.expect("available");
    store.add(name("juliet"), Credentials::default()).await.expect("available");

    assert_eq!(whole(store, "juliet").await, Vec::new());
    assert_eq!(claim(store, route(1), &[]).await, []);
    assert_eq!(store.offline_count(name("juliet")).await, Ok(0));
    assert_eq!(keys(store, name("juliet"), Hash::Sha256).await, Ok(None));
}

/// Two nodes that start together and cannot see each other must not found two clusters.
pub(crate) async fn the_first_founder_founds_for_all(store: &dyn Accounts) {
    let first = store.identity(candidate(1)).await.expect("available");
    let second = store.identity(candidate(2)).await.expect("available");
    assert_eq!(first, candidate(1).into_identity());
    assert_eq!(second, first);

    assert_eq!(store.form(MemberId(1)).await, Ok(true));
    let third = store.identity(candidate(3)).await.expect("available");
    assert!(third.formed);
    assert_eq!((third.cluster_id, third.founder), (first.cluster_id, MemberId(1)));
}

pub(crate) async fn a_cluster_without_identity_is_not_formed(store: &dyn Accounts) {
    let refused = store.form(MemberId(1)).await;
    assert!(matches!(refused, Err(StoreError::Unreadable(_))), "{refused:?}");

    let refused = store.replace_founder(MemberId(1), MemberId(2)).await;
    assert!(matches!(refused, Err(StoreError::Unreadable(_))), "{refused:?}");
}

fn candidate(seed: u64) -> Founding {
    Founding::draw(&mut StdRng::seed_from_u64(seed), MemberId(seed))
}

/// Two founders would be two clusters.
pub(crate) async fn a_founder_is_replaced_until_the_cluster_is_formed_and_by_one_member_only(store: &dyn Accounts) {
    store.identity(candidate(1)).await.expect("available");

    let replaced = store.replace_founder(MemberId(1), MemberId(2)).await.expect("available");
    assert_eq!((replaced.founder, replaced.formed), (MemberId(2), false));
    let late = store.replace_founder(MemberId(1), MemberId(3)).await.expect("available");
    assert_eq!(late, replaced);
    assert_eq!(store.form(MemberId(1)).await, Ok(false));
    assert!(!store.identity(candidate(3)).await.expect("available").formed);

    assert_eq!(store.form(MemberId(2)).await, Ok(true));
    assert_eq!(store.form(MemberId(2)).await, Ok(true), "it may have been noted, and the answer lost");
    let formed = store.replace_founder(MemberId(2), MemberId(3)).await.expect("available");
    assert_eq!((formed.founder, formed.formed), (MemberId(2), true));
    assert_eq!(store.form(MemberId(3)).await, Ok(false));
}

pub(crate) async fn a_member_id_is_never_given_out_again(store: &dyn Accounts) {
    for expected in 1..4 {
        assert_eq!(store.allocate_member("same name".to_owned()).await, Ok(MemberId(expected)));
    }
}

/// Two processes with copies of one data directory: only one of them goes on.
pub(crate) async fn a_stamp_is_replaced_by_who_knows_the_last_one(store: &dyn Accounts) {
    let (member, other) = (MemberId(3), MemberId(u64::MAX));
    let stamp = |number, process| Stamp { number, process };
    assert_eq!(store.stamp(member).await, Ok(None));

    let first = stamp(1, u64::MAX);
    assert_eq!(store.replace_stamp(member, None, first).await, Ok(first));
    assert_eq!(store.replace_stamp(member, None, stamp(1, 7)).await, Ok(first));
    assert_eq!(store.replace_stamp(member, Some(stamp(1, 7)), stamp(2, 7)).await, Ok(first));
    let second = stamp(u64::MAX, 0);
    assert_eq!(store.replace_stamp(member, Some(first), second).await, Ok(second));
    assert_eq!(store.replace_stamp(member, Some(first), second).await, Ok(second), "the answer may have been lost");

    assert_eq!(store.stamp(member).await, Ok(Some(second)));
    let restored = store.replace_stamp(other, Some(first), second).await;
    assert_eq!(restored, Ok(second), "a store that was restored may not know the member any more");
}

pub(crate) async fn a_property_is_set_changed_and_removed_and_every_change_is_remembered(store: &dyn Accounts) {
    assert_eq!(store.properties().await, Ok(BTreeMap::new()));
    let write = async |name, value, at| store.set_property(property(name, value, at)).await.expect("available");

    assert_eq!(write("b", Some("1"), 1).await, None);
    assert_eq!(write("a", Some("ä'\""), 2).await, None);
    assert_eq!(write("b", Some("2"), 3).await, Some("1".to_owned()));
    assert_eq!(write("b", Some("2"), 4).await, Some("2".to_owned()));
    assert_eq!(write("b", None, 5).await, Some("2".to_owned()));
    assert_eq!(write("b", None, 6).await, None);

    assert_eq!(store.properties().await, Ok(BTreeMap::from([("a".to_owned(), "ä'\"".to_owned())])));
    let change = |name, old, new, at| {
        let PropertyWrite { name, value: new, by, at } = property(name, new, at);
        PropertyChange { name, old: Option::<&str>::map(old, str::to_owned), new, by, at }
    };
    let of_b = [change("b", Some("2"), None, 5), change("b", Some("1"), Some("2"), 3), change("b", None, Some("1"), 1)];
    assert_eq!(store.property_changes(Some("b".to_owned()), 10).await, Ok(of_b.to_vec()));
    let latest = [of_b[0].clone(), of_b[1].clone(), change("a", None, Some("ä'\""), 2)];
    assert_eq!(store.property_changes(None, 3).await, Ok(latest.to_vec()));
    assert_eq!(store.property_changes(Some("c".to_owned()), 3).await, Ok(Vec::new()));
}

/// Two operators change the same property: the history says what each of them replaced.
pub(crate) async fn changes_of_one_property_at_once_follow_each_other(store: &dyn Accounts) {
    let values: Vec<String> = (0..40).map(|number| number.to_string()).collect();

    let written = join_all(values.iter().map(|value| store.set_property(property("a", Some(value), 1)))).await;

    assert!(written.iter().all(Result::is_ok), "{written:?}");
    let changes = store.property_changes(None, 100).await.expect("available");
    assert_eq!(changes.len(), values.len());
    assert!(changes.windows(2).all(|pair| pair[0].old == pair[1].new), "{changes:?}");
    let value = store.properties().await.expect("available").remove("a");
    assert_eq!(changes.first().map(|change| &change.new), Some(&value));
}

pub(crate) async fn only_so_many_changes_of_properties_are_remembered(store: &dyn Accounts) {
    let values: Vec<String> = (0..=PROPERTY_CHANGES_MAX).map(|number| number.to_string()).collect();
    for some in values.chunks(500) {
        let written = join_all(some.iter().map(|value| store.set_property(property("a", Some(value), 1)))).await;
        assert!(written.iter().all(Result::is_ok), "{written:?}");
    }

    let changes = store.property_changes(None, usize::MAX).await.expect("available");

    assert_eq!(changes.len(), PROPERTY_CHANGES_MAX);
    assert!(changes.last().expect("there are some").old.is_some(), "the first change is forgotten");
}

fn property(name: &str, value: Option<&str>, at: u64) -> PropertyWrite {
    let by = "root@host".to_owned();
    PropertyWrite { name: name.to_owned(), value: value.map(str::to_owned), by, at: UnixMillis(at) }
}

/// A localpart.
pub(crate) fn name(text: &str) -> NodePart {
    text.parse().expect("a localpart")
}

/// The route that the entry `index` has bound.
pub(crate) fn route(index: u64) -> RouteId {
    RouteId { index: LogIndex(index), position: 0 }
}

/// Keys that nobody has a password for.
fn keys_of(hash: Hash, n: u8, iterations: u32) -> ScramKeys {
    ScramKeys { hash, salt: vec![n; 16], iterations, stored_key: vec![n; 32], server_key: vec![n; 32] }
}

/// An account's own keys for one hash.
async fn keys(store: &dyn Accounts, account: NodePart, hash: Hash) -> Result<Option<ScramKeys>, StoreError> {
    Ok(match store.credentials(account, 0).await? {
        Keys::Own(credentials) => credentials.of(hash).cloned(),
        Keys::Drawn(_) => None,
    })
}

/// Keys of a password, cheap ones.
pub(crate) fn credentials(password: &str) -> Credentials {
    let password = Password::new(password).expect("a password");
    Hash::ALL.into_iter().map(|hash| ScramKeys::derive(hash, &password, vec![1, 2, 3], 2)).collect()
}

/// A message with this id.
pub(crate) fn message(id: &str) -> Stanza {
    Stanza {
        kind: Kind::Message(MessageType::Chat),
        from: None,
        to: None,
        id: Some(id.to_owned()),
        language: None,
        payload: Bytes::from_static(b"<body>x</body>"),
    }
}

/// Adds an account.
pub(crate) async fn add(store: &dyn Accounts, localpart: &str) {
    assert_eq!(store.add(name(localpart), credentials("secret")).await, Ok(Added::Created));
}

/// No bound at all.
const UNBOUNDED: Waiting = Waiting { messages: i64::MAX as u64, bytes: u64::MAX };

/// Bounds for an account and for each sender.
fn within(account: Waiting, sender: Waiting) -> OfflineQuota {
    OfflineQuota { account, sender }
}

/// Room for so many messages, whatever they weigh.
pub(crate) fn quota(messages: u64) -> OfflineQuota {
    within(Waiting { messages, ..UNBOUNDED }, UNBOUNDED)
}

/// A message of romeo, or of who is given with a resource, whose content has so many bytes; all resources are as long.
fn sent_by(sender: &str, bytes: usize) -> Stanza {
    let (account, resource) = sender.split_once('/').unwrap_or((sender, ""));
    let jid = format!("{account}@verona.example/{resource:x>20}");
    let from = Some(jid.parse().expect("a JID"));
    let (id, payload) = (Some("1".to_owned()), Bytes::from(vec![b'x'; bytes]));
    Stanza { from, id, payload, ..Stanza::new(Kind::Message(MessageType::Chat)) }
}

/// Keeps a message for juliet.
pub(crate) async fn keep(store: &dyn Accounts, id: &str) -> Stored {
    store.store_offline(name("juliet"), message(id), UnixMillis(1), quota(1000), None).await.expect("available")
}

/// Claims messages of juliet for a route whose node knows all of them; answers keys and ids.
pub(crate) async fn claim(store: &dyn Accounts, route: RouteId, live: &[RouteId]) -> Vec<(i64, String)> {
    let claimant = Claimant { route, live: live.to_vec(), as_of: LogIndex(1000) };
    let claimed = store.claim(name("juliet"), claimant).await.expect("available");
    claimed.into_iter().map(|message| (message.key, message.message.id.expect("it was given one"))).collect()
}

/// All items of a roster, from all its parts.
async fn whole(store: &dyn Accounts, account: &str) -> Vec<RosterItem> {
    let mut items: Vec<RosterItem> = Vec::new();
    loop {
        let after = items.last().map(|item| item.jid.clone());
        let part = store.roster(name(account), after).await.expect("available");
        items.extend(part.items);
        if part.is_last {
            return items;
        }
    }
}

async fn set(store: &dyn Accounts, account: &str, item: &RosterItem) -> RosterWrite {
    let RosterItem { jid, name: called, groups, .. } = item.clone();
    store.set_contact(name(account), jid, called, groups).await.expect("available")
}

fn item(jid: &str) -> RosterItem {
    RosterItem {
        jid: jid.parse().expect("a JID"),
        name: Some("a name".to_owned()),
        subscription: Subscription::None,
        asked: false,
        groups: vec!["Friends".to_owned(), "\"[".to_owned()],
    }
}
