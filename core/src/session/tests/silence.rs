//! Clients that say nothing: T12.

use super::client::{Client, fates};
use crate::session::{Order, Patience};

const MESSAGE: &str = "<message from='juliet@example.org/a' to='romeo@example.org/balcony'/>";
const PING: &str =
    "<iq type='get' id='{any}' from='example.org' to='romeo@example.org/balcony'><ping xmlns='urn:xmpp:ping'/></iq>";
const GIVEN_UP: &str =
    "<stream:error><connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>";
const MINUTE: u64 = 60_000;

#[test]
fn a_silent_client_is_pinged_and_given_up() {
    let mut romeo = Client::available();
    romeo.passes(3 * MINUTE - 1);
    romeo.hears("");
    romeo.passes(1);
    romeo.hears(PING);

    romeo.passes(29_999);
    romeo.hears("");
    romeo.passes(1);

    romeo.hears(GIVEN_UP);
    assert!(matches!(romeo.orders()[..], [Order::Close, .., Order::End]));
    assert_eq!(romeo.session.poll_timeout(), None);
}

/// Whatever it says: white space, half of something, an error because it does not know pings.
#[test]
fn a_client_that_answers_stays_and_nobody_hears_of_it() {
    for answer in [" ", "<message", "<iq type='result' id='x' to='example.org'/>", "<iq type='error' id='x'/>"] {
        let mut romeo = Client::available();
        romeo.passes(3 * MINUTE);
        romeo.hears(PING);

        romeo.passes(20_000);
        romeo.says(answer);
        romeo.passes(3 * MINUTE - 1);

        romeo.hears("");
        assert!(romeo.orders().is_empty(), "{answer}");
        romeo.passes(1);
        romeo.hears(PING);
    }
}

#[test]
fn a_ping_is_not_kept_for_the_client() {
    let mut romeo = Client::available();
    romeo.passes(3 * MINUTE);
    romeo.hears(PING);

    let bound = romeo.session.bound.as_deref().unwrap();
    assert_eq!(bound.deliveries.unsettled().count(), 0);
    assert!(!romeo.session.owes());
}

#[test]
fn a_client_that_acknowledges_is_asked_for_its_count_and_hibernates() {
    let mut romeo = Client::managed();
    romeo.passes(3 * MINUTE);
    romeo.hears("<r xmlns='urn:xmpp:sm:3'/>");
    romeo.gets(1, MESSAGE);
    romeo.hears(MESSAGE);

    romeo.passes(30_000);

    romeo.hears(GIVEN_UP);
    assert!(matches!(romeo.orders()[..], [Order::Close]));
    assert!(romeo.session.is_resumable());
    romeo.passes(5 * MINUTE);
    assert_eq!(fates(&romeo.orders()), [("returned", 1)]);
}

/// It was asked with what it was sent, and what it was sent seems to have arrived.
#[test]
fn a_client_that_owes_its_count_is_asked_again() {
    let mut romeo = Client::managed();
    romeo.gets(1, MESSAGE);
    romeo.hears(&format!("{MESSAGE}<r xmlns='urn:xmpp:sm:3'/>"));

    romeo.passes(3 * MINUTE);
    romeo.hears("<r xmlns='urn:xmpp:sm:3'/>");
    romeo.says("<a xmlns='urn:xmpp:sm:3' h='1'/><a xmlns='urn:xmpp:sm:3' h='1'/>");
    romeo.passes(30_000);

    romeo.hears("");
}

#[test]
fn while_nothing_is_read_of_a_client_it_is_not_silent() {
    let mut romeo = Client::available();
    romeo.session.handle_pause(romeo.now);
    romeo.passes(4 * MINUTE);
    assert_eq!(romeo.session.poll_timeout(), None);
    romeo.session.handle_unpause(romeo.now);
    romeo.passes(3 * MINUTE - 1);
    romeo.session.handle_unread(romeo.now);
    romeo.passes(3 * MINUTE - 1);
    romeo.hears("");

    romeo.passes(1);
    romeo.hears(PING);
}

#[test]
fn silence_is_borne_for_as_long_as_it_is_set() {
    let mut romeo = Client::available();
    romeo.session.set_patience(Patience { ask_after: None, ..Patience::default() });
    romeo.passes(60 * MINUTE);
    romeo.hears("");

    let (ask_after, give_up_after) = (std::time::Duration::from_secs(5), std::time::Duration::from_secs(2));
    romeo.session.set_patience(Patience { ask_after: Some(ask_after), give_up_after });
    romeo.passes(0);
    romeo.hears(PING);
    romeo.passes(2000);
    romeo.hears(GIVEN_UP);
}

/// Who negotiates has a deadline, and so has a session that waits for its client.
#[test]
fn only_a_bound_client_is_asked() {
    let mut romeo = Client::authenticated();
    let before = romeo.session.poll_timeout();
    romeo.session.set_patience(Patience { ask_after: Some(std::time::Duration::ZERO), ..Patience::default() });
    assert_eq!(romeo.session.poll_timeout(), before);

    let mut romeo = Client::managed();
    romeo.session.handle_lost(romeo.now);
    romeo.passes(4 * MINUTE);
    romeo.hears("");
    assert!(romeo.session.is_resumable());
}
