//! How a session is ended or held up by its node, and what it costs while nothing happens.

use super::client::{Client, HEADER, ROUTE, SERVER_HEADER, fates, settings, stanza};
use crate::admission::Door;
use crate::cluster::{Removal, RoutePresence};
use crate::ids::{Sequence, SessionId};
use crate::node::{Answer, Request};
use crate::session::{Leaving, OfflineMessage, Order, StreamErrorCondition, TlsPolicy};
use crate::time::UnixMillis;

const MESSAGE: &str = "<message from='juliet@example.org/a' to='romeo@example.org/balcony'/>";

#[test]
fn a_session_that_is_replaced_hears_of_the_conflict() {
    let mut romeo = Client::managed();
    romeo.gets(1, MESSAGE);
    romeo.heard();

    romeo.session.handle_close(romeo.now, StreamErrorCondition::Conflict, None);

    romeo.hears("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
    let orders = romeo.orders();
    assert!(matches!(orders[..], [Order::Close, Order::Return(_), Order::End]), "{orders:?}");
}

/// P3: whoever holds the JID now is given what this client has not been sent.
#[test]
fn a_session_that_is_replaced_says_nothing_but_that() {
    let mut romeo = Client::managed();
    romeo.gets(1, MESSAGE);

    romeo.session.handle_route_ended(romeo.now, ROUTE, Removal::Replaced { by: ROUTE });

    romeo.hears("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
    let orders = romeo.orders();
    assert!(matches!(orders[..], [Order::Close, Order::Return(_), Order::End]), "{orders:?}");
}

/// P1: the lease has ended, and somebody else may be given what this client has not been sent.
#[test]
fn a_session_that_ends_without_a_lease_says_nothing_but_that() {
    let mut romeo = Client::managed();
    romeo.gets(1, MESSAGE);
    romeo.session.set_gate(true, false);

    romeo.session.handle_overflow(romeo.now);

    let heard = romeo.heard();
    assert!(heard.starts_with("<stream:error><resource-constraint "), "{heard}");
    let mut juliet = Client::managed();
    juliet.gets(1, MESSAGE);
    juliet.session.handle_overflow(juliet.now);
    assert!(juliet.heard().starts_with("<message "), "she may still be sent it");
}

/// A bind cannot be called back, and a route is given back once.
#[test]
fn a_session_that_is_over_follows_its_route_to_the_end() {
    let mut romeo = Client::authenticated();
    romeo.says("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    romeo.session.handle_lost(romeo.now);
    romeo.orders();
    assert_eq!(romeo.session.leaves(), Leaving::Waits);

    romeo.session.handle_answer(romeo.now, Answer::Bound { route: ROUTE });
    assert_eq!(romeo.session.leaves(), Leaving::Unbind(ROUTE));
    assert_eq!(romeo.session.leaves(), Leaving::Waits);
    romeo.session.handle_route_ended(romeo.now, ROUTE, Removal::Unbound);

    assert_eq!(romeo.session.leaves(), Leaving::Done(Some(ROUTE)));
    assert!(romeo.orders().is_empty());
    romeo.hears("");
}

/// P2. Found by the simulator: by a view that did not show its presence yet, what others sent it went back and forth until it
/// was an error.
#[test]
fn a_session_gives_nothing_back_early_whose_presence_is_not_known_everywhere() {
    for (is_known, early) in [(false, None), (true, Some(ROUTE))] {
        let mut romeo = Client::bound();
        romeo.says("<presence/>");
        if is_known {
            romeo.announced();
        }
        romeo.says("</stream:stream>");

        assert_eq!(romeo.session.gives_back_early(), early);
    }
}

/// P4. Found by the simulator: what was said to a session that was over, and waited for the account store, was stored behind
/// what was said after that.
#[test]
fn a_session_that_is_over_and_waits_lets_nobody_send_to_it_any_more() {
    let (mut romeo, id) = (Client::available(), SessionId(7));
    romeo.says("</stream:stream>");

    let Some(Request::Announce { session, route, presence, revision }) = romeo.session.retreats(id) else {
        panic!("he was available")
    };
    assert_eq!((session, route, presence), (id, ROUTE, RoutePresence::default()));
    assert_eq!((romeo.session.retreats(id), romeo.session.gives_back_early()), (None, None), "it is under way");

    romeo.session.handle_answer(romeo.now, Answer::Announced { revision });
    assert_eq!((romeo.session.retreats(id), romeo.session.gives_back_early()), (None, Some(ROUTE)));
}

#[test]
fn a_client_is_told_where_to_go() {
    let mut romeo = Client::bound();

    romeo.session.handle_close(romeo.now, StreamErrorCondition::SeeOtherHost, Some("n2.example.org:5222".to_owned()));

    romeo.hears(
        "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>n2.example.org:5222\
         </see-other-host></stream:error></stream:stream>",
    );
}

#[test]
fn who_has_said_nothing_gets_a_header_before_the_error() {
    let mut romeo = Client::connected(settings(TlsPolicy::Required));

    romeo.session.handle_close(romeo.now, StreamErrorCondition::SystemShutdown, None);

    romeo.hears(&format!("{SERVER_HEADER}<stream:error><system-shutdown {{any}}/></stream:error></stream:stream>"));
    assert!(matches!(romeo.orders()[..], [Order::Close, Order::End]));
}

/// T17, T21. A client that is not served here hears it before it has begun to negotiate.
#[test]
fn a_closed_door_is_told_in_answer_to_the_header_and_with_nothing_else() {
    let error = |condition: &str| format!("{SERVER_HEADER}<stream:error>{condition}</stream:error></stream:stream>");
    let elsewhere = "<see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>127.0.0.1:5222</see-other-host>";
    for (door, expected) in [
        (Door::Elsewhere(([127, 0, 0, 1], 5222).into()), elsewhere),
        (Door::Shut, "<system-shutdown {any}/><text {any}</text>"),
    ] {
        let mut romeo = Client::connected(settings(TlsPolicy::Required));
        assert!(romeo.session.awaits_header());
        romeo.session.set_door(door);
        romeo.hears("");

        romeo.says(HEADER);

        romeo.hears(&error(expected));
        assert!(matches!(romeo.orders()[..], [Order::Close, Order::End]));
    }
}

/// T21.
#[test]
fn a_door_that_opens_before_the_header_is_open() {
    let mut romeo = Client::connected(settings(TlsPolicy::Required));
    romeo.session.set_door(Door::Shut);
    romeo.session.set_door(Door::Open);

    romeo.says(HEADER);

    assert!(romeo.heard().contains("<stream:features>") && !romeo.session.awaits_header());
}

#[test]
fn nothing_happens_after_the_end() {
    let mut romeo = Client::available();
    romeo.session.handle_close(romeo.now, StreamErrorCondition::Conflict, None);
    romeo.heard();
    romeo.orders();

    romeo.says("<presence/>");
    romeo.session.handle_close(romeo.now, StreamErrorCondition::Conflict, None);
    romeo.session.handle_handled(romeo.now, Sequence(1));
    romeo.session.handle_lost(romeo.now);
    romeo.session.handle_superseded(romeo.now);
    romeo.session.handle_unpause(romeo.now);
    romeo.session.handle_written(romeo.now);
    romeo.session.handle_timeout(romeo.now);

    assert!(romeo.orders().is_empty());
    romeo.hears("");
    assert!(!romeo.session.wants_bytes() && romeo.session.poll_timeout().is_none());
}

/// P7: a member that may not serve reads, delivers and acknowledges nothing, and nothing is lost by that.
#[test]
fn a_pause_holds_everything_up_and_loses_nothing() {
    let mut romeo = Client::managed();
    romeo.says("<message to='a@example.org'/><r xmlns='urn:xmpp:sm:3'/>");
    romeo.orders();
    romeo.session.handle_pause(romeo.now);
    assert!(!romeo.session.wants_bytes());

    romeo.says("<message to='b@example.org'/>");
    romeo.gets(1, MESSAGE);
    romeo.session.handle_handled(romeo.now, Sequence(1));
    assert_eq!(romeo.session.poll_timeout(), None);
    romeo.passes(5000);
    romeo.hears("");
    assert!(romeo.order().is_none());

    romeo.session.handle_unpause(romeo.now);
    romeo.hears(&format!("{MESSAGE}<r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='1'/>"));
    romeo.routes("<message from='romeo@example.org/balcony' to='b@example.org'/>");
}

#[test]
fn offline_messages_that_come_in_a_pause_come_first_after_it() {
    let mut romeo = Client::bound();
    romeo.says("<presence/>");
    romeo.announced();
    romeo.orders();
    romeo.session.handle_pause(romeo.now);
    romeo.gets(9, MESSAGE);
    let waited = OfflineMessage { key: 1, message: stanza(MESSAGE), at: UnixMillis(0) };
    romeo.session.handle_offline(romeo.now, Ok(vec![waited]));
    romeo.hears("");

    romeo.session.handle_unpause(romeo.now);
    romeo.session.handle_offline(romeo.now, Ok(Vec::new()));

    romeo.written();
    assert_eq!(fates(&romeo.orders()), [("settled", 1), ("settled", 9)]);
}

#[test]
fn a_session_that_ends_in_a_pause_gives_everything_back() {
    let mut romeo = Client::bound();
    romeo.says("<presence/>");
    romeo.announced();
    romeo.orders();
    romeo.session.handle_pause(romeo.now);
    romeo.gets(9, MESSAGE);
    let waited = OfflineMessage { key: 1, message: stanza(MESSAGE), at: UnixMillis(0) };
    romeo.session.handle_offline(romeo.now, Ok(vec![waited]));

    romeo.session.handle_close(romeo.now, StreamErrorCondition::SystemShutdown, None);

    let mut returned = fates(&romeo.orders());
    returned.sort_unstable();
    assert_eq!(returned, [("returned", 1), ("returned", 9)]);
}

/// Most sessions are idle most of the time. Not counted: the characters of the JIDs, some 200 bytes.
#[test]
fn an_idle_session_is_small() {
    let mut romeo = Client::available();
    romeo.gets(1, &format!("<message from='juliet@example.org/a'><body>{}</body></message>", "x".repeat(50_000)));
    romeo.heard();
    romeo.written();
    romeo.orders();

    let session = std::mem::size_of_val(&romeo.session);
    let bound = romeo.session.bound.as_deref().unwrap();
    let (state, held) = (std::mem::size_of_val(bound), bound.deliveries.capacity_bytes());
    let queued = romeo.session.output.capacity_bytes();

    assert_eq!(held, 0);
    assert!(session + state + queued < 1800, "session {session}, state {state}, orders {queued}");
}

#[test]
fn a_client_that_is_let_go_may_still_be_sending() {
    let mut romeo = Client::bound();
    romeo.session.handle_close(romeo.now, StreamErrorCondition::SystemShutdown, None);
    romeo.heard();

    romeo.says(HEADER);

    romeo.hears("");
}
