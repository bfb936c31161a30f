//! A session whose node leaves a cluster or joins one.

use super::client::{Client, ROUTE, stanza};
use crate::ids::{Incarnation, LogIndex, MemberId, RouteId, Sequence};
use crate::node::{Answer, BindRefusal, Service};
use crate::routing::{Home, Parcel, Turn};
use crate::session::{Lost, OfflineMessage, Order};
use crate::time::UnixMillis;

const NEXT: RouteId = RouteId { index: LogIndex(900), position: 0 };

fn of_a_member(number: u64, route: RouteId) -> Parcel {
    let home = Home::Member { member: MemberId(2), incarnation: Incarnation(3), number: Sequence(number) };
    Parcel { stanza: said(number), route, home }
}

fn said(number: u64) -> crate::stanza::Stanza {
    stanza(&xml(number))
}

fn xml(number: u64) -> String {
    format!("<message from='juliet@example.org/a' to='romeo@example.org/balcony'><body>{number}</body></message>")
}

/// The node serves again, in its next life, and all members know the session's next route.
fn moved(romeo: &mut Client) {
    romeo.session.handle_moves(romeo.now, Some(ROUTE));
    romeo.session.handle_service(romeo.now, Service::Serve);
    romeo.session.set_gate(true, true);
    assert!(romeo.orders().iter().any(|order| matches!(order, Order::Bind { .. })));
    romeo.session.handle_answer(romeo.now, Answer::Bound { route: NEXT });
}

fn settles(romeo: &mut Client, expected: Home) -> bool {
    romeo.orders().iter().any(|order| matches!(order, Order::Settle(home) if *home == expected))
}

/// Nobody else may decide about it again: the client has it.
#[test]
fn what_was_delivered_is_settled_with_other_members_before_the_route_ends() {
    let mut romeo = Client::managed();
    romeo.session.handle_parcel(romeo.now, of_a_member(1, ROUTE));
    romeo.heard();

    romeo.session.handle_hold(romeo.now);

    let settled = |order: &Order| matches!(order, Order::Settle(Home::Member { number: Sequence(1), .. }));
    assert!(romeo.orders().iter().any(settled));
    moved(&mut romeo);
    romeo.says("<a xmlns='urn:xmpp:sm:3' h='1'/>");
    assert!(settles(&mut romeo, Home::Here { turn: Turn::default() }));
}

/// Their homes are told that the route has ended, and send them where the account is then.
#[test]
fn what_was_not_delivered_is_left_to_the_members_that_answer_for_it() {
    let mut romeo = Client::available();
    romeo.session.handle_hold(romeo.now);
    romeo.session.handle_parcel(romeo.now, of_a_member(1, ROUTE));
    romeo
        .session
        .handle_parcel(romeo.now, Parcel { home: Home::Here { turn: Turn::default() }, ..of_a_member(2, ROUTE) });
    moved(&mut romeo);
    romeo.announced();
    romeo.session.handle_offline(romeo.now, Ok(Vec::new()));
    romeo.session.handle_parcel(romeo.now, of_a_member(3, ROUTE));
    romeo.session.handle_parcel(romeo.now, of_a_member(4, NEXT));

    romeo.hears(&(xml(2) + &xml(4)));
}

/// Architecture, section 3. Found by the simulator: the client was told that somebody is gone of whom it had been told so
/// before, because that he had come since waited and was left to his member, which forgets presence.
#[test]
fn presence_that_waits_while_a_session_moves_is_for_its_client() {
    let mut romeo = Client::available();
    romeo.session.handle_hold(romeo.now);
    let greeting = "<presence from='juliet@example.org/a' to='romeo@example.org/balcony'/>";
    let farewell = "<presence from='juliet@example.org/a' to='romeo@example.org/balcony' type='unavailable'/>";
    romeo.session.handle_parcel(romeo.now, Parcel { stanza: stanza(greeting), ..of_a_member(1, ROUTE) });
    romeo.session.handle_members_lost(romeo.now, Lost::AllElsewhere);
    moved(&mut romeo);
    romeo.announced();
    romeo.session.handle_offline(romeo.now, Ok(Vec::new()));

    romeo.hears(&(greeting.to_owned() + farewell));
}

#[test]
fn an_available_session_is_announced_broadcast_and_claims_again() {
    let mut romeo = Client::available();
    romeo.session.handle_hold(romeo.now);

    moved(&mut romeo);

    assert!(matches!(romeo.order(), Some(Order::Announce { presence, .. }) if presence.priority == Some(0)));
    romeo.session.handle_answer(romeo.now, Answer::Announced { revision: 2 });
    romeo.routes("<presence from='romeo@example.org/balcony' to='romeo@example.org'/>");
    romeo.routes("<presence from='romeo@example.org/balcony' to='romeo@example.org' type='probe'/>");
    assert!(matches!(romeo.order(), Some(Order::ClaimOffline { .. })));
}

/// The nodes on which they are have told them that the client is gone, or had not heard of it.
#[test]
fn who_was_told_directly_is_told_again() {
    let mut romeo = Client::available();
    romeo.says("<presence to='nurse@example.org/a'/>");
    romeo.orders();
    romeo.session.handle_hold(romeo.now);

    moved(&mut romeo);
    romeo.announced();

    romeo.routes("<presence from='romeo@example.org/balcony' to='nurse@example.org/a'/>");
    romeo.routes("<presence from='romeo@example.org/balcony' to='romeo@example.org'/>");
}

/// The former route has claimed them; the next one is given them as well.
#[test]
fn what_the_former_route_has_claimed_in_the_meantime_is_claimed_again() {
    let mut romeo = Client::bound();
    romeo.says("<presence/>");
    romeo.announced();
    romeo.session.handle_hold(romeo.now);
    moved(&mut romeo);
    romeo.announced();
    romeo.orders();
    let waited = || Ok(vec![OfflineMessage { key: 1, message: said(1), at: UnixMillis(0) }]);

    romeo.session.handle_offline(romeo.now, waited());
    romeo.hears("");
    assert!(romeo.orders().iter().any(|order| matches!(order, Order::ClaimOffline { .. })));
    romeo.session.handle_offline(romeo.now, waited());

    assert!(romeo.heard().contains("<body>1</body>"));
    romeo.written();
    assert!(settles(&mut romeo, Home::Offline { key: 1, claimant: NEXT }));
}

/// P2. Found by the simulator: a claim that was ordered in the moment in which the route ended was never made, and what was
/// sent to the session waited behind it for ever.
#[test]
fn a_claim_is_made_although_the_route_has_ended_since_it_was_ordered() {
    let mut romeo = Client::bound();
    romeo.says("<presence/>");
    romeo.announced();
    romeo.session.handle_moves(romeo.now, Some(ROUTE));
    assert!(romeo.orders().iter().any(|order| matches!(order, Order::ClaimOffline { route: ROUTE })));

    romeo.session.handle_offline(romeo.now, Ok(Vec::new()));
    moved(&mut romeo);
    romeo.announced();

    assert!(romeo.orders().iter().any(|order| matches!(order, Order::ClaimOffline { route: NEXT })));
}

#[test]
fn a_session_without_presence_moves_without_a_word() {
    let mut romeo = Client::bound();
    romeo.session.handle_hold(romeo.now);

    moved(&mut romeo);

    assert!(romeo.orders().is_empty());
    romeo.hears("");
}

#[test]
fn a_session_asks_for_its_jid_in_the_next_life_until_it_is_served() {
    let mut romeo = Client::available();
    let asks = |romeo: &mut Client| romeo.orders().iter().any(|order| matches!(order, Order::Bind { .. }));
    romeo.session.handle_moves(romeo.now, Some(ROUTE));
    assert!(!asks(&mut romeo) && romeo.session.has_to_ask(), "the node does not serve yet");
    romeo.says("<message to='nurse@example.org'/>");
    romeo.session.handle_service(romeo.now, Service::Serve);
    assert!(asks(&mut romeo) && !romeo.session.has_to_ask());

    romeo.session.handle_answer(romeo.now, Answer::Refused(BindRefusal::NotServing));

    assert!(romeo.session.has_to_ask());
    romeo.session.ask_again();
    assert!(asks(&mut romeo));
    romeo.session.handle_answer(romeo.now, Answer::Bound { route: NEXT });
    assert_eq!(romeo.session.held_route(), Some(NEXT));
    assert!(!romeo.session.wants_bytes(), "the lease has ended meanwhile");
    romeo.session.handle_service(romeo.now, Service::Serve);
    assert!(romeo.session.wants_bytes());
}

/// The JID is somebody else's by then.
#[test]
fn a_session_that_does_not_get_its_jid_again_ends() {
    let mut romeo = Client::available();
    romeo.session.set_gate(true, true);
    romeo.session.handle_moves(romeo.now, Some(ROUTE));

    romeo.session.handle_answer(romeo.now, Answer::Refused(BindRefusal::TooManySessions));

    assert!(romeo.heard().contains("<resource-constraint "));
    assert!(romeo.session.is_over());
}
