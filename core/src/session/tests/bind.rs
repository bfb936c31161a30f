//! Getting a JID.

use super::client::{Client, ROUTE};
use crate::node::{Answer, BindRefusal};
use crate::session::Order;

const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

fn bind(resource: &str) -> String {
    format!("<iq type='set' id='b'><bind xmlns='{BIND}'><resource>{resource}</resource></bind></iq>")
}

#[test]
fn a_resource_is_prepared() {
    let mut romeo = Client::authenticated();

    romeo.says(&bind("\u{fb01}n\u{ad}al"));

    let Some(Order::Bind { jid }) = romeo.order() else { panic!("no bind") };
    assert_eq!(jid.as_str(), "romeo@example.org/final");
}

#[test]
fn who_proposes_no_resource_gets_one_that_nobody_can_guess() {
    for said in [format!("<iq type='set' id='b'><bind xmlns='{BIND}'/></iq>"), bind("")] {
        let mut romeo = Client::authenticated();
        romeo.says(&said);

        let Some(Order::Bind { jid }) = romeo.order() else { panic!("no bind") };
        assert_eq!(jid.resource().as_str().len(), 16);
    }
}

/// T14. A person cannot choose another name for a phone in the middle of a log-in.
#[test]
fn a_resource_that_cannot_be_is_replaced() {
    for resource in ["x".repeat(1024), "\u{202e}a\u{5d0}".to_owned(), "\u{e000}".to_owned(), "\u{ad}".to_owned()] {
        let mut romeo = Client::authenticated();

        romeo.says(&bind(&resource));

        let Some(Order::Bind { jid }) = romeo.order() else { panic!("no bind for {resource:?}") };
        assert_eq!(jid.resource().as_str().len(), 16, "{resource:?}");
    }
}

/// T14.
#[test]
fn a_resource_may_have_characters_of_today() {
    for resource in ["Pixel \u{1f4f1}", "\u{1fae0}"] {
        let mut romeo = Client::authenticated();

        romeo.says(&bind(resource));

        let Some(Order::Bind { jid }) = romeo.order() else { panic!("no bind for {resource:?}") };
        assert_eq!(jid.as_str(), format!("romeo@example.org/{resource}"));
    }
}

#[test]
fn a_refusal_is_told_by_name() {
    for (refusal, condition) in
        [(BindRefusal::TooManySessions, "resource-constraint"), (BindRefusal::NotServing, "internal-server-error")]
    {
        let mut romeo = Client::authenticated();
        romeo.says(&bind("balcony"));
        romeo.order();

        romeo.session.handle_answer(romeo.now, Answer::Refused(refusal));

        let heard = romeo.heard();
        assert!(heard.contains(&format!("<{condition} ")), "{heard}");
        assert!(romeo.session.jid().is_none());
    }
}

/// Clients send everything up to their presence in one go.
#[test]
fn what_is_sent_during_a_bind_is_read_after_it() {
    let mut romeo = Client::authenticated();
    romeo.says(&format!("{}<message to='juliet@example.org'/>", bind("balcony")));
    assert!(matches!(romeo.order(), Some(Order::Bind { .. })));
    assert!(romeo.order().is_none());

    romeo.session.handle_answer(romeo.now, Answer::Bound { route: ROUTE });

    romeo.routes("<message from='romeo@example.org/balcony' to='juliet@example.org'/>");
}

#[test]
fn nothing_but_a_bind_comes_before_it() {
    for (name, said) in [
        ("D3", "<message to='juliet@example.org'/>"),
        ("D3 presence", "<presence/>"),
        ("a get", "<iq type='get' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"),
        ("another iq", "<iq type='set' id='b'><query xmlns='jabber:iq:roster'/></iq>"),
    ] {
        let mut romeo = Client::authenticated();
        romeo.says(said);

        let heard = romeo.heard();
        assert!(heard.starts_with("<stream:error><not-authorized "), "{name}: {heard}");
    }
}

#[test]
fn a_stream_binds_once() {
    let mut romeo = Client::bound();

    romeo.says(&bind("garden"));

    assert!(romeo.heard().contains("<not-allowed "));
    assert!(romeo.order().is_none());
}

#[test]
fn who_authenticates_has_to_bind_in_time() {
    let mut romeo = Client::authenticated();

    romeo.passes(30_000);

    romeo.hears("<stream:error><connection-timeout {any}</stream:error></stream:stream>");
}

#[test]
fn who_is_bound_has_no_deadline() {
    let mut romeo = Client::bound();

    assert_eq!(romeo.timeout(), None);
    romeo.passes(179_000);
    romeo.hears("");
}

#[test]
fn the_session_request_of_old_does_nothing() {
    let mut romeo = Client::bound();

    romeo.says("<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>");

    romeo.hears("<iq to='romeo@example.org/balcony' id='s' type='result'/>");
}
