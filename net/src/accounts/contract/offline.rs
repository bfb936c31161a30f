//! What a store must do with messages for those who are away.

use bytes::Bytes;
use cresset_core::config::properties::{OfflineQuota, Waiting};
use cresset_core::ids::{BootId, LogIndex, RouteId, Sequence};
use cresset_core::jid::FullJid;
use cresset_core::routing::StanzaName;
use cresset_core::stanza::{IqType, Kind, MessageType, PresenceType, Stanza};
use cresset_core::time::UnixMillis;

use super::credentials::add;
use super::{name, route};
use crate::accounts::{CLAIM_BYTES_MAX, CLAIM_MESSAGES_MAX, Claimant, NAME_KEPT_MS, OfflineStore, Store, Stored};

pub(crate) async fn messages_come_oldest_first_in_bounded_batches(store: &dyn Store) {
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

pub(crate) async fn a_claim_is_bounded_in_bytes_and_hands_out_one_message_at_least(store: &dyn Store) {
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

pub(crate) async fn a_message_is_found_by_the_full_jid_to_which_it_was_sent(store: &dyn Store) {
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

pub(crate) async fn a_stanza_comes_out_as_it_went_in(store: &dyn Store) {
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

pub(crate) async fn a_full_offline_store_takes_no_further_message(store: &dyn Store) {
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
pub(crate) async fn what_waits_is_bounded_by_its_weight(store: &dyn Store) {
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
pub(crate) async fn nobody_fills_the_whole_store_of_another(store: &dyn Store) {
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
pub(crate) async fn a_message_is_kept_once_by_each_name(store: &dyn Store) {
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
pub(crate) async fn a_message_belongs_to_one_live_route(store: &dyn Store) {
    add(store, "juliet").await;
    keep(store, "hello").await;

    assert_eq!(claim(store, route(3), &[route(3), route(4)]).await.len(), 1);
    assert_eq!(claim(store, route(4), &[route(3), route(4)]).await.len(), 0);
    assert_eq!(claim(store, route(4), &[route(4)]).await.len(), 1);
}

/// A node that lags knows only the routes of an older log, and must not take what a newer route was handed.
pub(crate) async fn a_claim_of_a_route_that_the_view_cannot_know_is_respected(store: &dyn Store) {
    add(store, "juliet").await;
    keep(store, "hello").await;
    assert_eq!(claim(store, route(8), &[route(8)]).await.len(), 1);

    let claimant = |as_of| Claimant { route: route(4), live: vec![route(4)], as_of: LogIndex(as_of) };

    assert_eq!(store.claim(name("juliet"), claimant(7)).await.map(|claimed| claimed.len()), Ok(0));
    assert_eq!(store.claim(name("juliet"), claimant(8)).await.map(|claimed| claimed.len()), Ok(1));
}

/// Whether a route of another log is alive cannot be known: its node is by itself, or in a cluster that this one is not in.
pub(crate) async fn a_claim_of_a_route_of_another_log_is_not_respected(store: &dyn Store) {
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

/// The route that lost its claim may still say that it delivered: the message is the new claimant's by then.
pub(crate) async fn only_the_claimant_forgets_a_message(store: &dyn Store) {
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
pub(crate) async fn keep(store: &dyn OfflineStore, id: &str) -> Stored {
    store.store_offline(name("juliet"), message(id), UnixMillis(1), quota(1000), None).await.expect("available")
}

/// Claims messages of juliet for a route whose node knows all of them; answers keys and ids.
pub(crate) async fn claim(store: &dyn OfflineStore, route: RouteId, live: &[RouteId]) -> Vec<(i64, String)> {
    let claimant = Claimant { route, live: live.to_vec(), as_of: LogIndex(1000) };
    let claimed = store.claim(name("juliet"), claimant).await.expect("available");
    claimed.into_iter().map(|message| (message.key, message.message.id.expect("it was given one"))).collect()
}
