//! What the server answers for itself and for the account.

use super::client::Client;
use crate::session::Order;

fn get(to: &str, request: &str) -> String {
    format!("<iq type='get' id='1'{to}>{request}</iq>")
}

const SERVER: &str = " to='example.org'";
const ACCOUNT: &str = " to='romeo@example.org'";

#[test]
fn requests_to_the_server_are_answered() {
    for (request, answer) in [
        ("<ping xmlns='urn:xmpp:ping'/>", ""),
        (
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
            "<query xmlns='http://jabber.org/protocol/disco#info'>\
             <identity category='server' type='im' name='Cresset'/>\
             <feature var='http://jabber.org/protocol/disco#info'/>\
             <feature var='http://jabber.org/protocol/disco#items'/><feature var='jabber:iq:roster'/>\
             <feature var='msgoffline'/><feature var='urn:xmpp:ping'/><feature var='urn:xmpp:time'/>\
             <feature var='jabber:iq:version'/></query>",
        ),
        (
            "<query xmlns='http://jabber.org/protocol/disco#items'/>",
            "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        ),
        (
            "<query xmlns='jabber:iq:version'/>",
            "<query xmlns='jabber:iq:version'><name>Cresset</name><version>0.1.0</version></query>",
        ),
        (
            "<time xmlns='urn:xmpp:time'/>",
            "<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>2026-11-23T01:02:03.004Z</utc></time>",
        ),
    ] {
        let mut romeo = Client::bound();
        romeo.says(&get(SERVER, request));

        let head = "<iq from='example.org' to='romeo@example.org/balcony' id='1' type='result'";
        let expected = if answer.is_empty() { format!("{head}/>") } else { format!("{head}>{answer}</iq>") };
        assert_eq!(romeo.heard(), expected);
        assert!(romeo.order().is_none());
    }
}

#[test]
fn requests_to_the_account_are_answered() {
    for to in [ACCOUNT, ""] {
        let mut romeo = Client::bound();
        romeo.says(&get(to, "<query xmlns='http://jabber.org/protocol/disco#info'/>"));
        assert!(romeo.heard().contains("<identity category='account' type='registered'/>"));
    }
}

/// O21. XEP-0030 section 8: nobody finds out who has an account.
#[test]
fn another_account_has_no_items_whether_or_not_it_exists() {
    let items = "http://jabber.org/protocol/disco#items";
    for (to, node) in [("juliet", ""), ("nobody", ""), ("juliet", " node='x'"), ("nobody", " node='x'")] {
        let mut romeo = Client::bound();
        romeo.says(&get(&format!(" to='{to}@example.org'"), &format!("<query xmlns='{items}'{node}/>")));

        romeo.hears(&format!(
            "<iq from='{to}@example.org' to='romeo@example.org/balcony' id='1' type='result'>\
             <query xmlns='{items}'{node}/></iq>"
        ));
        assert!(romeo.order().is_none());
    }
}

/// What else is asked of another account is refused in one way (XEP-0030 section 8), which is the router's business.
#[test]
fn other_questions_to_another_account_are_routed() {
    for (kind, to, request) in [
        ("get", "juliet@example.org", "<query xmlns='http://jabber.org/protocol/disco#info'/>"),
        ("set", "juliet@example.org", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
        ("get", "juliet@example.org/a", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
        ("get", "juliet@elsewhere.example", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
    ] {
        let mut romeo = Client::bound();
        romeo.says(&format!("<iq type='{kind}' id='1' to='{to}'>{request}</iq>"));

        assert!(matches!(romeo.order(), Some(Order::Route { .. })), "{kind} {to} {request}");
    }
}

#[test]
fn what_nobody_offers_is_refused() {
    for (to, request, condition) in [
        (SERVER, "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>", "item-not-found"),
        (SERVER, "<a xmlns='urn:unknown'/>", "service-unavailable"),
        (SERVER, "<query xmlns='jabber:iq:roster'/>", "service-unavailable"),
        (ACCOUNT, "<query xmlns='jabber:iq:version'/>", "service-unavailable"),
        ("", "<vCard xmlns='vcard-temp'/>", "service-unavailable"),
        (" to='example.org/a'", "<ping xmlns='urn:xmpp:ping'/>", "service-unavailable"),
    ] {
        let mut romeo = Client::bound();
        romeo.says(&get(to, request));

        let heard = romeo.heard();
        assert!(heard.contains(&format!("<{condition} ")), "{to} {request}: {heard}");
        assert!(romeo.order().is_none());
    }
}

/// Stanzas of the client that are answered here are as good as delivered.
#[test]
fn a_message_to_the_server_comes_back() {
    let mut romeo = Client::bound();

    romeo.says("<message to='example.org' id='1'><body>hello</body></message><message to='example.org' type='error'/>");

    romeo.hears(
        "<message from='example.org' to='romeo@example.org/balcony' id='1' type='error'><body>hello</body>\
         <error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    );
    assert!(romeo.order().is_none());
}
