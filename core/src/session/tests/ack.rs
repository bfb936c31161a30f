//! Acknowledgements in both directions.

use super::client::{Client, fates, parcel};
use crate::ids::Sequence;
use crate::limits::{
    ACK_REQUESTS_MAX, SESSION_QUEUE_BYTES_MAX, SESSION_QUEUE_STANZAS_MAX, SESSION_UNHANDLED_BYTES_MAX,
    SESSION_UNHANDLED_STANZAS_MAX,
};
use crate::routing::{Home, Parcel, Turn};
use crate::session::{Order, StoreUnavailable};

const SM: &str = "urn:xmpp:sm:3";
const MESSAGE: &str = "<message from='juliet@example.org/a' to='romeo@example.org/balcony'/>";

fn asked() -> String {
    format!("<r xmlns='{SM}'/>")
}

fn count(handled: u32) -> String {
    format!("<a xmlns='{SM}' h='{handled}'/>")
}

#[test]
fn what_the_client_asks_for_is_limited() {
    for (asked, given) in [
        ("", ""),
        (" resume='false'", ""),
        (" resume='true'", " id='{any}' resume='true' max='300'"),
        (" resume='1' max='60'", " id='{any}' resume='true' max='60'"),
        (" resume='true' max='1000000000'", " id='{any}' resume='true' max='300'"),
        (" resume='true' max='-5'", " id='{any}' resume='true' max='300'"),
        (" resume='true' max='0'", ""),
    ] {
        let mut romeo = Client::bound();
        romeo.says(&format!("<enable xmlns='{SM}'{asked}/>"));

        romeo.hears(&format!("<enabled xmlns='{SM}'{given}/>"));
        assert_eq!(matches!(romeo.order(), Some(Order::Resumable { .. })), !given.is_empty(), "{asked}");
    }
}

#[test]
fn ids_of_resumption_are_long_and_kept_out_of_logs() {
    let mut romeo = Client::bound();
    romeo.says(&format!("<enable xmlns='{SM}' resume='true'/>"));

    let Some(Order::Resumable { id }) = romeo.order() else { panic!("not resumable") };

    assert_eq!(id.0.len(), 32);
    assert!(!format!("{id:?}").contains(&id.0));
}

#[test]
fn stanzas_are_counted_when_they_are_handled() {
    let mut romeo = Client::managed();
    romeo.says(&format!("<message to='a@example.org'/><message to='b@example.org'/>{}", asked()));
    romeo.hears("");

    romeo.session.handle_handled(romeo.now, Sequence(2));
    romeo.hears("");
    romeo.session.handle_handled(romeo.now, Sequence(1));

    romeo.hears(&count(2));
}

/// P2. The client is told of an error before it is told that the stanza is handled: a session that is closed in between
/// takes the error with it.
#[test]
fn a_stanza_does_not_count_before_the_error_that_goes_in_its_place_is_delivered() {
    let mut romeo = Client::managed();
    romeo.says("<presence/>");
    romeo.announced();
    for order in romeo.orders() {
        if let Order::Route { number: Some(number), .. } = order {
            romeo.session.handle_handled(romeo.now, number);
        }
    }
    romeo.says("<message to='juliet@example.org'/>");
    let Some(Order::Route { number: Some(number), .. }) = romeo.order() else { panic!("it goes somewhere") };

    let home = Home::Here { turn: Turn(1) };
    let error = "<message from='juliet@example.org' to='romeo@example.org/balcony' type='error'/>";
    romeo.session.handle_parcel(romeo.now, Parcel { home, ..parcel(0, error) });
    romeo.session.handle_handled(romeo.now, number);
    romeo.says(&asked());
    romeo.passes(1000);
    romeo.hears(&count(1));

    romeo.says(&asked());
    romeo.session.handle_offline(romeo.now, Err(StoreUnavailable));
    romeo.passes(0);
    romeo.hears(&(error.to_owned() + &asked() + &count(2)));
}

/// Whoever is not waited for need not wake anybody.
#[test]
fn that_a_stanza_is_handled_is_awaited_by_whoever_has_asked_for_the_count_or_said_much() {
    let mut romeo = Client::managed();
    romeo.says("<message to='a@example.org'/>");
    assert!(!romeo.session.awaits_handled());

    romeo.says(&asked());
    assert!(romeo.session.awaits_handled());
    romeo.session.handle_handled(romeo.now, Sequence(1));
    assert!(!romeo.session.awaits_handled());

    romeo.says(&"<message to='a@example.org'/>".repeat(SESSION_UNHANDLED_STANZAS_MAX / 2));
    assert!(romeo.session.awaits_handled());
}

#[test]
fn what_is_answered_here_is_handled() {
    let mut romeo = Client::managed();
    romeo.says(&format!("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>{}", asked()));

    romeo.hears(&format!("<iq to='romeo@example.org/balcony' id='1' type='result'/>{}{}", asked(), count(1)));
}

#[test]
fn a_request_for_the_count_waits_a_second_at_most() {
    let mut romeo = Client::managed();
    romeo.says(&format!("<message to='a@example.org'/>{}<message to='b@example.org'/>", asked()));
    let first = romeo.orders();
    assert_eq!(first.len(), 2);

    romeo.passes(999);
    romeo.hears("");
    romeo.passes(1);

    romeo.hears(&count(0));
    assert_eq!(romeo.timeout(), None);
}

#[test]
fn each_request_for_the_count_is_answered() {
    let mut romeo = Client::managed();
    romeo.says(&format!("<message to='a@example.org'/>{}{}", asked(), asked()));

    romeo.session.handle_handled(romeo.now, Sequence(1));

    romeo.hears(&count(1).repeat(2));
}

#[test]
fn requests_for_the_count_do_not_pile_up() {
    let mut romeo = Client::managed();
    romeo.says("<message to='a@example.org'/>");
    romeo.says(&asked().repeat(ACK_REQUESTS_MAX + 3));

    romeo.hears(&count(0).repeat(3));
}

#[test]
fn what_the_client_acknowledges_is_settled() {
    let mut romeo = Client::managed();
    romeo.gets(1, MESSAGE);
    romeo.gets(2, MESSAGE);
    romeo.hears(&format!("{MESSAGE}{}{MESSAGE}", asked()));
    romeo.written();
    assert!(romeo.order().is_none(), "written is not settled");

    romeo.says(&count(1));

    assert_eq!(fates(&romeo.orders()), [("settled", 1)]);
    romeo.hears(&asked());
    romeo.says(&count(2));
    assert_eq!(fates(&romeo.orders()), [("settled", 2)]);
    romeo.hears("");
}

#[test]
fn one_question_is_on_its_way_at_most() {
    let mut romeo = Client::managed();
    (1..=5).for_each(|key| romeo.gets(key, MESSAGE));

    assert_eq!(romeo.heard().matches(&asked()).count(), 1);
}

/// A client that answers for less than it was sent is not asked in a circle.
#[test]
fn a_client_that_is_behind_is_asked_again_later() {
    let mut romeo = Client::managed();
    romeo.gets(1, MESSAGE);
    romeo.heard();

    romeo.says(&count(0));
    romeo.hears("");
    romeo.passes(10_000);
    romeo.hears(&asked());

    romeo.says(&count(1));
    assert_eq!(romeo.timeout(), None);
}

#[test]
fn what_cannot_be_acknowledged_ends_the_stream() {
    for (handled, error) in [
        (
            "3",
            "<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <handled-count-too-high xmlns='urn:xmpp:sm:3' h='3' send-count='2'/>",
        ),
        ("-1", "<bad-format {any}"),
        ("NaN", "<bad-format {any}"),
        ("4294967296", "<bad-format {any}"),
        ("", "<bad-format {any}"),
    ] {
        let mut romeo = Client::managed();
        romeo.gets(1, MESSAGE);
        romeo.gets(2, MESSAGE);
        romeo.heard();

        romeo.says(&format!("<a xmlns='{SM}' h='{handled}'/>"));

        romeo.hears(&format!("<stream:error>{error}</stream:error></stream:stream>"));
        assert_eq!(fates(&romeo.orders()), [("returned", 1), ("returned", 2)], "{handled}");
    }
}

#[test]
fn management_out_of_turn_is_refused() {
    let failed = "<failed xmlns='urn:xmpp:sm:3'>\
                  <unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
    let enable = format!("<enable xmlns='{SM}'/>");
    let resume = format!("<resume xmlns='{SM}' previd='x' h='0'/>");
    let cases = [
        ("D4 enable before authentication", Client::encrypted(), &enable),
        ("D4 resume before authentication", Client::encrypted(), &resume),
        ("enable before the bind", Client::authenticated(), &enable),
        ("D15", Client::managed(), &enable),
        ("resume after the bind", Client::bound(), &resume),
    ];
    for (name, mut romeo, said) in cases {
        romeo.says(said);

        assert_eq!(romeo.heard(), failed, "{name}");
        assert!(romeo.order().is_none(), "{name}");
        assert!(romeo.session.wants_bytes(), "{name}");
    }
}

#[test]
fn requests_without_management_are_no_stanzas() {
    for said in [asked(), count(0), format!("<unknown xmlns='{SM}'/>")] {
        let mut romeo = Client::bound();
        romeo.says(&said);
        romeo.hears("<stream:error><unsupported-stanza-type {any}</stream:error></stream:stream>");
    }
}

/// D17: what is not acknowledged is kept up to a bound; beyond it the session ends and all of it goes back.
#[test]
fn a_client_that_never_acknowledges_has_a_bounded_queue() {
    let mut romeo = Client::managed();
    let most = i64::try_from(SESSION_QUEUE_STANZAS_MAX).unwrap();
    for key in 1..=most {
        romeo.gets(key, MESSAGE);
    }
    assert!(romeo.orders().is_empty());
    romeo.heard();

    romeo.gets(most + 1, MESSAGE);

    romeo.hears(&format!("{MESSAGE}<stream:error><resource-constraint {{any}}</stream:error></stream:stream>"));
    let orders = romeo.orders();
    let fates = fates(&orders);
    assert_eq!(fates.len(), SESSION_QUEUE_STANZAS_MAX + 1);
    assert!(fates.iter().all(|(fate, _)| *fate == "returned"));
    assert!(matches!(orders.last(), Some(Order::End)));
}

#[test]
fn large_stanzas_count_by_their_bytes() {
    let mut romeo = Client::managed();
    let large = format!("<message from='juliet@example.org/a'><body>{}</body></message>", "x".repeat(200_000));
    for key in 1..=41 {
        romeo.gets(key, &large);
    }
    assert!(!romeo.session.is_over());

    romeo.gets(42, &large);

    assert!(romeo.session.is_over());
}

/// O9.
#[test]
fn who_sends_more_than_is_handled_is_not_read_however_few_stanzas_that_are() {
    let mut romeo = Client::bound();
    let message = format!("<message to='juliet@example.org'><body>{}</body></message>", "x".repeat(200_000));

    romeo.says(&message.repeat(20));

    let routed = romeo.orders().len();
    assert!(routed * message.len() < SESSION_UNHANDLED_BYTES_MAX + message.len(), "{routed}");
    assert!(!romeo.session.wants_bytes());
    romeo.session.handle_handled(romeo.now, Sequence(1));
    assert_eq!(romeo.orders().len(), 1);
}

/// O9. What the client acknowledges late has weight by everything that is kept of it.
#[test]
fn addresses_and_ids_count_for_what_waits() {
    let mut romeo = Client::bound();
    romeo.says("<enable xmlns='urn:xmpp:sm:3'/>");
    let (resource, id) = ("x".repeat(1000), "y".repeat(1000));
    let mut count = 0;

    while !romeo.session.is_over() {
        count += 1;
        romeo.gets(count, &format!("<iq type='result' id='{id}' from='juliet@example.org/{resource}'/>"));
    }

    let bytes = usize::try_from(count).unwrap() * 2000;
    assert!(bytes > SESSION_QUEUE_BYTES_MAX / 2 && bytes < SESSION_QUEUE_BYTES_MAX, "{bytes}");
}

#[test]
fn who_sends_faster_than_it_is_handled_is_not_read() {
    let mut romeo = Client::bound();
    let most = SESSION_UNHANDLED_STANZAS_MAX;

    romeo.says(&"<message to='juliet@example.org'/>".repeat(most + 1));
    assert_eq!(romeo.orders().len(), most);
    assert!(!romeo.session.wants_bytes());

    romeo.session.handle_handled(romeo.now, Sequence(1));
    assert_eq!(romeo.orders().len(), 1);
    romeo.session.handle_handled(romeo.now, Sequence(2));
    assert!(romeo.session.wants_bytes());
}
