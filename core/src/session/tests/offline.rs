//! Messages that waited, and the order in which they come.

use super::client::{Client, fates, stanza};
use crate::limits::SESSION_QUEUE_STANZAS_MAX;
use crate::session::{OfflineMessage, Order, StoreUnavailable};
use crate::time::UnixMillis;

/// How the server asks a client that acknowledges for its count.
const ASKS: &str = "<r xmlns='urn:xmpp:sm:3'/>";

fn waited(key: i64) -> OfflineMessage {
    let message = format!("<message from='juliet@example.org/a' to='romeo@example.org'><body>{key}</body></message>");
    OfflineMessage { key, message: stanza(&message), at: UnixMillis(0) }
}

fn stamped(key: i64) -> String {
    format!(
        "<message from='juliet@example.org/a' to='romeo@example.org'><body>{key}</body>\
         <delay xmlns='urn:xmpp:delay' from='example.org' stamp='1970-01-01T00:00:00.000Z'/></message>"
    )
}

fn live(key: i64) -> String {
    format!("<message from='juliet@example.org/a' to='romeo@example.org'><body>{key}</body></message>")
}

fn claims(romeo: &mut Client) -> bool {
    romeo.orders().iter().any(|order| matches!(order, Order::ClaimOffline { .. }))
}

/// Whether the client's session asks for stored messages to its full JID.
fn looks(romeo: &mut Client) -> bool {
    romeo.orders().iter().any(|order| matches!(order, Order::LookForStored { .. }))
}

/// A client that has asked for what waits.
fn claiming() -> Client {
    let mut romeo = Client::bound();
    romeo.says("<presence/>");
    romeo.announced();
    assert!(claims(&mut romeo));
    romeo
}

/// Between the bind and the first presence the client is reached by its full JID only, by whoever has not stopped
/// writing to it; what they wrote before is in the store.
#[test]
fn a_message_that_comes_before_the_first_presence_does_not_overtake_the_stored_ones() {
    let mut romeo = Client::just_bound();
    romeo.enables();
    romeo.gets(10, &live(10));
    assert!(looks(&mut romeo));
    romeo.session.handle_stored(romeo.now, Ok(true));
    romeo.gets(11, &live(11));
    assert!(!looks(&mut romeo));
    romeo.hears("");

    romeo.says("<presence/>");
    romeo.announced();
    assert!(claims(&mut romeo));
    romeo.session.handle_offline(romeo.now, Ok(vec![waited(1)]));
    romeo.session.handle_offline(romeo.now, Ok(vec![]));

    romeo.hears(&(stamped(1) + ASKS + &live(10) + &live(11)));
}

/// T16.
#[test]
fn a_message_to_the_full_jid_does_not_wait_for_presence_if_none_is_stored_before_it() {
    for answer in [Ok(false), Err(StoreUnavailable)] {
        let mut romeo = Client::just_bound();
        romeo.enables();
        romeo.gets(10, &live(10));
        assert!(looks(&mut romeo));
        romeo.gets(11, &live(11));
        assert!(!looks(&mut romeo), "one question at a time");
        romeo.hears("");

        romeo.session.handle_stored(romeo.now, answer);
        romeo.hears(&(live(10) + ASKS));
        assert!(looks(&mut romeo), "what came later is not answered for");
        romeo.session.handle_stored(romeo.now, answer);

        romeo.hears(&live(11));
    }
}

/// P2. What is written between the answer to the bind and the one to `<enable/>` is never acknowledged.
#[test]
fn a_message_waits_until_the_client_acknowledges() {
    let mut romeo = Client::just_bound();
    romeo.gets(10, &live(10));
    assert!(!looks(&mut romeo));
    romeo.hears("");

    romeo.enables();
    assert!(looks(&mut romeo));
    romeo.session.handle_stored(romeo.now, Ok(false));

    romeo.hears(&(live(10) + ASKS));
    let settles = |order: &Order| matches!(order, Order::Settle(_));
    assert!(!romeo.orders().iter().any(settles), "not before the client has acknowledged it");
}

/// T16: the claim sees to the order from there on.
#[test]
fn an_answer_that_presence_has_overtaken_releases_nothing() {
    let mut romeo = Client::just_bound();
    romeo.gets(10, &live(10));
    romeo.says("<presence/>");
    romeo.announced();
    assert!(claims(&mut romeo));

    romeo.session.handle_stored(romeo.now, Ok(false));

    romeo.hears("");
    romeo.session.handle_offline(romeo.now, Ok(vec![waited(1)]));
    romeo.session.handle_offline(romeo.now, Ok(vec![]));
    romeo.hears(&(stamped(1) + &live(10)));
}

/// T16.
#[test]
fn a_pause_keeps_what_waits_for_the_next_answer() {
    let mut romeo = Client::just_bound();
    romeo.enables();
    romeo.gets(10, &live(10));
    assert!(looks(&mut romeo));

    romeo.session.handle_pause(romeo.now);
    romeo.session.handle_stored(romeo.now, Ok(false));
    romeo.hears("");
    romeo.session.handle_unpause(romeo.now);
    assert!(looks(&mut romeo));
    romeo.session.handle_stored(romeo.now, Ok(false));

    romeo.hears(&(live(10) + ASKS));
}

/// T16.
#[test]
fn a_message_does_not_wait_long_for_a_client_that_acknowledges_nothing() {
    let mut romeo = Client::just_bound();
    romeo.gets(10, &live(10));

    romeo.passes(1_000);
    assert!(looks(&mut romeo));
    romeo.session.handle_stored(romeo.now, Ok(false));
    romeo.hears(&live(10));

    romeo.gets(11, &live(11));
    assert!(looks(&mut romeo));
}

#[test]
fn a_client_that_never_sends_presence_gets_messages_after_a_while() {
    let mut romeo = Client::just_bound();
    romeo.gets(10, &live(10));

    romeo.passes(3_000);

    romeo.hears(&live(10));
}

/// It may be what the client waits for before it sends presence.
#[test]
fn an_answer_does_not_wait_for_presence() {
    let mut romeo = Client::just_bound();
    let answer = "<iq from='juliet@example.org/a' to='romeo@example.org/balcony' id='q' type='result'/>";

    romeo.gets(10, answer);

    romeo.hears(answer);
}

#[test]
fn what_was_sent_earlier_comes_first() {
    let mut romeo = Client::bound();
    romeo.says("<presence/>");
    romeo.gets(10, &live(10));
    romeo.announced();
    assert!(claims(&mut romeo));
    romeo.gets(11, &live(11));
    romeo.hears("");

    romeo.session.handle_offline(romeo.now, Ok(vec![waited(1), waited(2)]));
    romeo.hears(&format!("{}{}", stamped(1), stamped(2)));
    assert!(claims(&mut romeo));
    romeo.session.handle_offline(romeo.now, Ok(vec![waited(3)]));
    romeo.hears(&stamped(3));
    assert!(claims(&mut romeo));
    romeo.session.handle_offline(romeo.now, Ok(Vec::new()));

    romeo.hears(&format!("{}{}", live(10), live(11)));
    romeo.written();
    let settled: Vec<i64> = fates(&romeo.orders()).into_iter().map(|(_, key)| key).collect();
    assert_eq!(settled, [1, 2, 3, 10, 11]);
}

/// The account's own answers do not wait for the store.
#[test]
fn answers_do_not_wait() {
    let mut romeo = claiming();

    romeo.says("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>");

    romeo.hears("<iq to='romeo@example.org/balcony' id='1' type='result'/>");
}

#[test]
fn a_store_that_cannot_be_reached_holds_nobody_up() {
    let mut romeo = claiming();
    romeo.gets(1, &live(1));

    romeo.session.handle_offline(romeo.now, Err(StoreUnavailable));

    romeo.hears(&live(1));
    assert!(!claims(&mut romeo));
    romeo.session.handle_nudge(romeo.now);
    assert!(claims(&mut romeo));
}

#[test]
fn what_could_not_be_claimed_is_claimed_again() {
    let mut romeo = claiming();
    romeo.session.handle_offline(romeo.now, Err(StoreUnavailable));
    assert!(!claims(&mut romeo));

    romeo.now = romeo.session.poll_timeout().expect("it waits for the store");
    romeo.session.handle_timeout(romeo.now);

    assert!(claims(&mut romeo));
}

#[test]
fn a_nudge_during_a_claim_is_not_forgotten() {
    let mut romeo = claiming();

    romeo.session.handle_nudge(romeo.now);
    assert!(!claims(&mut romeo));
    romeo.session.handle_offline(romeo.now, Ok(Vec::new()));

    assert!(claims(&mut romeo));
    romeo.session.handle_offline(romeo.now, Ok(Vec::new()));
    assert!(!claims(&mut romeo));
}

#[test]
fn who_takes_no_messages_is_not_nudged() {
    let mut romeo = Client::bound();
    romeo.session.handle_nudge(romeo.now);
    assert!(!claims(&mut romeo));

    romeo.says("<presence><priority>-1</priority></presence>");
    romeo.announced();
    romeo.session.handle_nudge(romeo.now);
    assert!(!claims(&mut romeo));
}

#[test]
fn what_waits_behind_a_claim_goes_back_when_the_session_ends() {
    let mut romeo = claiming();
    romeo.gets(1, &live(1));

    romeo.session.handle_lost(romeo.now);

    assert_eq!(fates(&romeo.orders()), [("returned", 1)]);
}

#[test]
fn who_goes_away_before_the_claim_is_not_held_up() {
    let mut romeo = Client::bound();
    romeo.says("<presence/><presence type='unavailable'/>");
    romeo.gets(1, &live(1));
    romeo.hears("");

    romeo.announced();
    romeo.announced();

    romeo.hears(&live(1));
    assert!(!claims(&mut romeo));
}

#[test]
fn a_second_presence_does_not_claim_again() {
    let mut romeo = Client::available();

    romeo.says("<presence><priority>7</priority></presence>");
    romeo.announced();

    assert!(!claims(&mut romeo));
}

/// Found by the simulator: whoever was sent more than may wait for a client was thrown out at each login.
#[test]
fn more_is_claimed_only_when_what_was_handed_out_is_acknowledged() {
    let mut romeo = Client::managed();
    romeo.says("<presence/>");
    romeo.announced();
    assert!(claims(&mut romeo));
    let many = i64::try_from(SESSION_QUEUE_STANZAS_MAX / 2).unwrap() + 1;

    romeo.session.handle_offline(romeo.now, Ok((1..=many).map(waited).collect()));
    assert!(!claims(&mut romeo));
    romeo.heard();
    romeo.says(&format!("<a xmlns='urn:xmpp:sm:3' h='{many}'/>"));

    assert!(claims(&mut romeo));
}
