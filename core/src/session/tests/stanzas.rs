//! Group E of the hostile input: what a client may not say.

use super::client::{Client, written};
use crate::session::Order;

#[test]
fn nobody_speaks_for_another() {
    for from in ["tybalt@example.org/x", "romeo@example.org/garden", "example.org", "romeo@example.org"] {
        let mut romeo = Client::bound();
        romeo.says(&format!("<message from='{from}' to='juliet@example.org'/>"));
        romeo.routes("<message from='romeo@example.org/balcony' to='juliet@example.org'/>");
    }
}

#[test]
fn a_stanza_that_is_wrong_is_answered_by_name() {
    let long = "a".repeat(1024);
    let cases = [
        ("E3", "<message to='@@' id='x'/>".to_owned(), "jid-malformed"),
        ("E3 presence", "<presence to='a@b@c' id='x'/>".to_owned(), "jid-malformed"),
        ("E4 local", format!("<message to='{long}@example.org' id='x'/>"), "jid-malformed"),
        ("E4 resource", format!("<message to='a@example.org/{long}' id='x'/>"), "jid-malformed"),
        ("E5", "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>".to_owned(), "bad-request"),
        ("E6", "<iq type='perhaps' id='x'><ping xmlns='urn:xmpp:ping'/></iq>".to_owned(), "bad-request"),
        ("E7 none", "<iq type='get' id='x'/>".to_owned(), "bad-request"),
        ("E7 two", "<iq type='set' id='x'><a xmlns='u'/><b xmlns='u'/></iq>".to_owned(), "bad-request"),
        ("a type of presence", "<presence type='perhaps' id='x'/>".to_owned(), "bad-request"),
    ];
    for (name, said, condition) in cases {
        let mut romeo = Client::bound();
        romeo.says(&said);

        let heard = romeo.heard();
        assert!(heard.contains(" type='error'") && heard.contains(&format!("<{condition} ")), "{name}: {heard}");
        assert!(romeo.order().is_none(), "{name}");
        romeo.says("<iq type='get' id='after'><ping xmlns='urn:xmpp:ping'/></iq>");
        assert!(romeo.heard().contains("id='after' type='result'"), "{name}");
    }
}

#[test]
fn errors_and_answers_are_never_answered() {
    for said in [
        "<message type='error' to='@@' id='x'/>",
        "<message type='error' to='example.org' id='x'/>",
        "<iq type='error' id='x' to='example.org'/>",
        "<iq type='result' id='x'/>",
        "<iq type='result' id='x' to='romeo@example.org'/>",
        "<iq type='result' to='juliet@example.org'/>",
        "<iq type='result' id='x'><a xmlns='u'/><b xmlns='u'/></iq>",
        "<presence type='error'/>",
    ] {
        let mut romeo = Client::bound();
        romeo.says(said);

        romeo.hears("");
        assert!(romeo.order().is_none(), "{said}");
    }
}

/// E17, O13: whose word it would be is told by the address, not by how it is written.
#[test]
fn what_only_servers_say_is_taken_out_wherever_it_stands() {
    let forged = [
        "<delay xmlns='urn:xmpp:delay' from='example.org' stamp='2001-01-01T00:00:00Z'/>",
        "<delay xmlns='urn:xmpp:delay' from='EXAMPLE.org' stamp='2001-01-01T00:00:00Z'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.org' id='1'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='example.org' id='1'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.org.' id='1'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example\u{3002}org' id='1'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@\u{FF45}xample.org' id='1'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='&quot;@example.org/x' id='1'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by=' example.org' id='1'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' by='' id='1'/>",
        "<delay xmlns='urn:xmpp:delay' from='example.org./x' stamp='2001-01-01T00:00:00Z'/>",
        "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received>",
        "<sent xmlns='urn:xmpp:carbons:2'/>",
        "<result xmlns='urn:xmpp:mam:2' id='1'/>",
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='1'/>",
    ];
    for element in forged {
        let mut romeo = Client::bound();
        romeo.says(&format!("<message to='juliet@example.org'>{element}<body>true</body>{element}{element}</message>"));
        romeo.routes("<message from='romeo@example.org/balcony' to='juliet@example.org'><body>true</body></message>");
    }
}

/// O13. A client that looks for the end of its stream at any depth would take it for one.
#[test]
fn nothing_of_a_stream_is_forwarded() {
    for inside in [
        "<stream:stream/>",
        "<stream:error/>",
        "<a xmlns='u'><b><stream:stream/></b></a>",
        "<stream xmlns='http://etherx.jabber.org/streams'/>",
        "<a xmlns='u' stream:b='c'/>",
    ] {
        for around in ["message", "presence"] {
            let mut romeo = Client::bound();
            romeo.says(&format!("<{around} to='juliet@example.org'>{inside}<body>a</body></{around}>"));

            let heard = romeo.heard();
            assert!(heard.starts_with("<stream:error><bad-format "), "{inside}: {heard}");
            assert!(!romeo.orders().iter().any(|order| matches!(order, Order::Route { .. })), "{inside}");
        }
    }
}

#[test]
fn what_clients_may_say_stays() {
    for element in [
        "<delay xmlns='urn:xmpp:delay' from='elsewhere.example' stamp='2001-01-01T00:00:00Z'/>",
        "<delay xmlns='urn:xmpp:delay' stamp='2001-01-01T00:00:00Z'/>",
        "<origin-id xmlns='urn:xmpp:sid:0' id='1'/>",
        "<private xmlns='urn:xmpp:carbons:2'/>",
        "<received xmlns='urn:xmpp:receipts' id='1'/>",
        "<result xmlns='urn:example' id='1'/>",
    ] {
        let mut romeo = Client::bound();
        romeo.says(&format!("<message to='juliet@example.org'>{element}</message>"));
        romeo.routes(&format!("<message from='romeo@example.org/balcony' to='juliet@example.org'>{element}</message>"));
    }
}

#[test]
fn a_prefix_makes_no_difference() {
    let mut romeo = Client::bound();

    romeo.says(
        "<x:message xmlns:x='jabber:client' xmlns:d='urn:xmpp:delay' to='juliet@example.org'>\
         <d:delay from='example.org'/><x:body>a bite</x:body></x:message>",
    );

    romeo.routes("<message from='romeo@example.org/balcony' to='juliet@example.org'><body>a bite</body></message>");
}

#[test]
fn requests_to_others_are_routed() {
    for to in ["juliet@example.org/a", "romeo@example.org/balcony", "romeo@example.org/garden", "a@elsewhere.example"] {
        let mut romeo = Client::bound();
        romeo.says(&format!("<iq type='get' id='1' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>"));

        let Some(Order::Route { stanza, .. }) = romeo.order() else { panic!("not routed") };
        assert!(written(&stanza).contains(&format!(" to='{to}' ")));
    }
}
