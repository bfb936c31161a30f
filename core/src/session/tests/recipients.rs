//! Who answers what a client says, by whom it is for. What is routed is answered by the table of `routing`.

use super::client::Client;
use crate::services;
use crate::session::Order;

/// Addresses by the kind of recipient that they name, whether or not there is somebody.
const RECIPIENTS: [(&str, &[&str]); 9] = [
    ("own account", &["", "romeo@example.org"]),
    ("another account", &["juliet@example.org", "nobody@example.org"]),
    ("session", &["romeo@example.org/balcony", "romeo@example.org/garden", "juliet@example.org/a"]),
    ("domain", &["example.org"]),
    ("domain with resource", &["example.org/a"]),
    ("subdomain", &["rooms.example.org", "ball@rooms.example.org"]),
    ("subdomain with resource", &["rooms.example.org/a", "ball@rooms.example.org/romeo"]),
    ("remote", &["elsewhere.example", "juliet@elsewhere.example", "notexample.org"]),
    ("remote with resource", &["elsewhere.example/a", "juliet@elsewhere.example/a"]),
];

const RESULT: &str = "result";
const ROSTER: &str = "roster";
const ROUTED: &str = "routed";
const DONE: &str = "done";
const FORBIDDEN: &str = "forbidden";
const NOT_ALLOWED: &str = "not-allowed";
const NOT_FOUND: &str = "item-not-found";
const NOT_IMPLEMENTED: &str = "feature-not-implemented";
const UNAVAILABLE: &str = "service-unavailable";

/// What comes of it, in the order of [`RECIPIENTS`].
type Outcomes = [&'static str; 9];

/// Nobody here has a service of that name.
const UNKNOWN: Outcomes = [UNAVAILABLE, ROUTED, ROUTED, UNAVAILABLE, UNAVAILABLE, ROUTED, ROUTED, ROUTED, ROUTED];

/// The account and the domain have it, each for itself.
const fn both(outcome: &'static str) -> Outcomes {
    [outcome, ROUTED, ROUTED, outcome, UNAVAILABLE, ROUTED, ROUTED, ROUTED, ROUTED]
}

/// The domain has it.
const OF_DOMAIN: Outcomes = [UNAVAILABLE, ROUTED, ROUTED, RESULT, UNAVAILABLE, ROUTED, ROUTED, ROUTED, ROUTED];

/// XEP-0030 section 8: of another account everybody learns the same.
const fn items(outcome: &'static str) -> Outcomes {
    [outcome, RESULT, ROUTED, outcome, UNAVAILABLE, ROUTED, ROUTED, ROUTED, ROUTED]
}

/// RFC 6121 section 2.3.3.
const OF_OWNER: Outcomes = [ROSTER, FORBIDDEN, ROUTED, UNAVAILABLE, UNAVAILABLE, FORBIDDEN, ROUTED, FORBIDDEN, ROUTED];

/// What clients ask for: the content of the iq, and what comes of it as a get and as a set.
fn requests() -> [(String, Outcomes, Outcomes); 12] {
    let info = "query xmlns='http://jabber.org/protocol/disco#info'";
    let disco_items = "query xmlns='http://jabber.org/protocol/disco#items'";
    let roster = "<query xmlns='jabber:iq:roster'><item jid='a@example.org'/></query>";
    [
        ("<ping xmlns='urn:xmpp:ping'/>".to_owned(), both(RESULT), UNKNOWN),
        (format!("<{info}/>"), both(RESULT), UNKNOWN),
        (format!("<{info} node='x'/>"), both(NOT_FOUND), UNKNOWN),
        (format!("<{disco_items}/>"), items(RESULT), UNKNOWN),
        (format!("<{disco_items} node='x'/>"), items(NOT_FOUND), UNKNOWN),
        ("<query xmlns='jabber:iq:version'/>".to_owned(), OF_DOMAIN, UNKNOWN),
        ("<time xmlns='urn:xmpp:time'/>".to_owned(), OF_DOMAIN, UNKNOWN),
        (roster.to_owned(), OF_OWNER, OF_OWNER),
        ("<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>".to_owned(), UNKNOWN, both(RESULT)),
        ("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>".to_owned(), both(NOT_ALLOWED), both(NOT_ALLOWED)),
        ("<vCard xmlns='vcard-temp'/>".to_owned(), UNKNOWN, UNKNOWN),
        ("<ping xmlns='urn:xmpp:time'/>".to_owned(), UNKNOWN, UNKNOWN),
    ]
}

#[test]
fn each_request_is_answered_by_whom_it_is_for() {
    for (request, get, set) in &requests() {
        assert_outcomes(get, |to| format!("<iq type='get' id='1'{to}>{request}</iq>"));
        assert_outcomes(set, |to| format!("<iq type='set' id='1'{to}>{request}</iq>"));
    }
}

#[test]
fn every_request_that_has_a_line_is_among_these() {
    for (name, namespace) in services::requests() {
        let start = format!("<{name} xmlns='{namespace}'");
        assert!(requests().iter().any(|(request, ..)| request.starts_with(&start)), "{start}");
    }
}

/// The server has asked for nothing whose answer matters.
#[test]
fn answers_to_the_server_are_done_with() {
    let outcomes = [DONE, ROUTED, ROUTED, DONE, ROUTED, ROUTED, ROUTED, ROUTED, ROUTED];
    for answer in ["result", "error"] {
        assert_outcomes(&outcomes, |to| format!("<iq type='{answer}' id='1'{to}/>"));
    }
}

#[test]
fn a_message_is_refused_by_the_domain_and_routed_to_everybody_else() {
    let outcomes = [ROUTED, ROUTED, ROUTED, UNAVAILABLE, UNAVAILABLE, ROUTED, ROUTED, ROUTED, ROUTED];
    for kind in ["normal", "chat", "groupchat", "headline"] {
        assert_outcomes(&outcomes, |to| format!("<message type='{kind}'{to}><body>hello</body></message>"));
    }
}

/// A request to a user gets no answer, whether or not there is one (RFC 6121 section 8.5.1).
#[test]
fn a_subscription_is_refused_by_all_but_users() {
    for to in
        ["", " to='example.org'", " to='example.org/a'", " to='ball@rooms.example.org'", " to='a@elsewhere.example'"]
    {
        assert_eq!(outcome(&format!("<presence type='subscribe'{to}/>")), NOT_IMPLEMENTED, "{to}");
    }
    for to in ["romeo@example.org", "juliet@example.org", "nobody@example.org", "juliet@example.org/a"] {
        assert_eq!(outcome(&format!("<presence type='subscribe' to='{to}'/>")), DONE, "{to}");
    }
}

#[track_caller]
fn assert_outcomes(expected: &Outcomes, said: impl Fn(&str) -> String) {
    for ((recipient, addresses), expected) in RECIPIENTS.iter().zip(expected) {
        for address in *addresses {
            let said = said(&if address.is_empty() { String::new() } else { format!(" to='{address}'") });
            assert_eq!(outcome(&said), *expected, "{recipient}: {said}");
        }
    }
}

/// What comes of it, in one word; that of an error is its condition.
fn outcome(said: &str) -> String {
    let mut romeo = Client::bound();
    romeo.says(said);
    let (heard, orders) = (romeo.heard(), romeo.orders());
    match orders.as_slice() {
        [] if heard.is_empty() => DONE.to_owned(),
        [] if heard.contains(" type='result'") => RESULT.to_owned(),
        [] => {
            let (before, _) = heard.split_once(" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'").expect("an error");
            before[before.rfind('<').expect("a tag") + 1..].to_owned()
        }
        [Order::Route { .. }] if heard.is_empty() => ROUTED.to_owned(),
        [Order::Roster(_) | Order::Announce { .. }] if heard.is_empty() => ROSTER.to_owned(),
        orders => panic!("{said}: {heard} {orders:?}"),
    }
}
