//! Presence of the client, and presence that it sees.

use super::client::{Client, ROUTE, fates, parcel, written};
use crate::cluster::Removal;
use crate::ids::{Incarnation, Life, MemberId, Sequence};
use crate::limits::DIRECTED_PRESENCE_MAX;
use crate::node::Answer;
use crate::routing::{Home, Parcel};
use crate::session::{Lost, Order, StreamErrorCondition};

const LIFE: Life = Life { member: MemberId(2), incarnation: Incarnation(5) };

/// A stanza comes from a session of another member.
fn gets_from_there(romeo: &mut Client, xml: &str) {
    let home = Home::Member { member: LIFE.member, incarnation: LIFE.incarnation, number: Sequence(1) };
    let parcel = Parcel { home, ..parcel(1, xml) };
    romeo.session.handle_parcel(romeo.now, parcel);
}

#[track_caller]
fn announces(romeo: &mut Client, priority: Option<i8>, revision: u64) {
    match romeo.order() {
        Some(Order::Announce { presence, revision: ordered }) => {
            assert_eq!((presence.priority, ordered), (priority, revision));
        }
        order => panic!("expected an announcement, not {order:?}"),
    }
    romeo.session.handle_answer(romeo.now, Answer::Announced { revision });
}

#[test]
fn presence_is_announced_before_it_is_broadcast() {
    let mut romeo = Client::bound();

    romeo.says("<presence id='p'><priority>5</priority><show>away</show></presence>");
    announces(&mut romeo, Some(5), 1);

    romeo.routes(
        "<presence from='romeo@example.org/balcony' to='romeo@example.org' id='p'>\
         <priority>5</priority><show>away</show></presence>",
    );
    romeo.routes("<presence from='romeo@example.org/balcony' to='romeo@example.org' type='probe'/>");
    assert!(matches!(romeo.order(), Some(Order::ClaimOffline { .. })));
    assert!(romeo.order().is_none());
}

#[test]
fn nothing_is_broadcast_before_it_is_announced() {
    let mut romeo = Client::bound();

    romeo.says("<presence/>");

    assert!(matches!(romeo.orders()[..], [Order::Announce { .. }]));
}

#[test]
fn only_the_first_presence_asks_the_others_for_theirs() {
    let mut romeo = Client::available();

    romeo.says("<presence><show>dnd</show></presence>");

    romeo.routes("<presence from='romeo@example.org/balcony' to='romeo@example.org'><show>dnd</show></presence>");
    assert!(romeo.order().is_none());
}

#[test]
fn a_priority_that_is_none_is_refused() {
    for priority in ["128", "-129", "high", ""] {
        let mut romeo = Client::bound();
        romeo.says(&format!("<presence id='p'><priority>{priority}</priority></presence>"));

        assert!(romeo.heard().contains("<bad-request "), "{priority}");
        assert!(romeo.order().is_none());
    }
}

#[test]
fn who_takes_no_messages_claims_none() {
    let mut romeo = Client::bound();

    romeo.says("<presence><priority>-1</priority></presence>");
    announces(&mut romeo, Some(-1), 1);
    assert!(!romeo.orders().iter().any(|order| matches!(order, Order::ClaimOffline { .. })));

    romeo.says("<presence><priority>0</priority></presence>");
    announces(&mut romeo, Some(0), 2);
    assert!(romeo.orders().iter().any(|order| matches!(order, Order::ClaimOffline { .. })));
}

#[test]
fn another_resource_that_asks_is_told() {
    let mut romeo = Client::available();
    romeo.says("<presence><show>dnd</show></presence>");
    romeo.orders();

    romeo.gets(1, "<presence type='probe' from='romeo@example.org/garden' to='romeo@example.org'/>");

    romeo
        .routes("<presence from='romeo@example.org/balcony' to='romeo@example.org/garden'><show>dnd</show></presence>");
    assert_eq!(fates(&romeo.orders()), [("settled", 1)]);
    romeo.hears("");
}

#[test]
fn nobody_else_learns_anything_by_a_probe() {
    for from in ["juliet@example.org/a", "romeo@example.org/balcony", "example.org"] {
        let mut romeo = Client::available();
        romeo.gets(1, &format!("<presence type='probe' from='{from}' to='romeo@example.org'/>"));

        assert!(matches!(romeo.orders()[..], [Order::Settle(_)]), "{from}");
        romeo.hears("");
    }
}

#[test]
fn who_is_told_directly_is_told_of_the_end() {
    let mut romeo = Client::available();
    romeo.says("<presence to='nurse@example.org'/><presence to='paris@example.org'/>");
    romeo.says("<presence to='paris@example.org' type='unavailable'/>");
    romeo.orders();

    romeo.says("<presence type='unavailable'><status>gone</status></presence>");
    announces(&mut romeo, None, 2);

    let farewell = |to| {
        format!(
            "<presence from='romeo@example.org/balcony' to='{to}' type='unavailable'><status>gone</status></presence>"
        )
    };
    romeo.routes(&farewell("nurse@example.org"));
    romeo.routes(&farewell("romeo@example.org"));
    assert!(romeo.order().is_none());

    romeo.says("</stream:stream>");
    assert!(matches!(romeo.orders()[..], [Order::Close, Order::End]));
}

#[test]
fn whoever_saw_the_client_is_told_when_it_is_lost() {
    let mut romeo = Client::available();
    romeo.says("<presence to='nurse@example.org/a'/>");
    romeo.orders();

    romeo.session.handle_lost(romeo.now);

    romeo.routes("<presence from='romeo@example.org/balcony' to='nurse@example.org/a' type='unavailable'/>");
    romeo.routes("<presence from='romeo@example.org/balcony' to='romeo@example.org' type='unavailable'/>");
    assert!(matches!(romeo.orders()[..], [Order::End]));
}

#[test]
fn directed_presence_is_bounded() {
    let mut romeo = Client::bound();
    for number in 0..DIRECTED_PRESENCE_MAX {
        romeo.says(&format!("<presence to='u{number}@example.org'/>"));
        let Some(Order::Route { number: Some(number), .. }) = romeo.order() else { panic!("not routed") };
        romeo.session.handle_handled(romeo.now, number);
    }
    romeo.hears("");

    romeo.says("<presence to='one-more@example.org'/><presence to='u1@example.org'/>");

    assert!(romeo.heard().contains("<resource-constraint "));
    assert_eq!(romeo.orders().len(), 1);
}

/// E16 and E12: subscriptions do not exist, so nothing that answers one or asks for presence has an effect.
#[test]
fn subscriptions_change_nothing() {
    let mut romeo = Client::managed();
    for presence_type in ["subscribed", "unsubscribe", "unsubscribed", "probe"] {
        romeo.says(&format!("<presence to='juliet@example.org' type='{presence_type}'/>"));
        assert!(romeo.order().is_none(), "{presence_type}");
        romeo.hears("");
    }
    romeo.says("<r xmlns='urn:xmpp:sm:3'/>");
    romeo.hears("<a xmlns='urn:xmpp:sm:3' h='4'/>");
}

/// O23: nobody learns by a request which users exist.
#[test]
fn a_request_for_a_subscription_to_a_user_has_no_answer() {
    let mut romeo = Client::managed();
    romeo.says("<presence to='nobody@example.org' type='subscribe' id='s'/>");
    romeo.says("<presence to='juliet@example.org/balcony' type='subscribe' id='s'/>");
    romeo.hears("");
    assert!(romeo.order().is_none());
    romeo.says("<r xmlns='urn:xmpp:sm:3'/>");
    romeo.hears("<a xmlns='urn:xmpp:sm:3' h='2'/>");
}

#[test]
fn a_request_for_a_subscription_to_anybody_else_is_refused() {
    for to in ["example.org", "juliet@elsewhere.example"] {
        let mut romeo = Client::bound();
        romeo.says(&format!("<presence to='{to}' type='subscribe' id='s'/>"));

        assert!(romeo.order().is_none());
        romeo.hears(&format!(
            "<presence from='{to}' to='romeo@example.org/balcony' id='s' type='error'><error type='cancel'>\
             <feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
        ));
    }
}

/// O19: RFC 6121 section 8.5.2.1.2.
#[test]
fn each_farewell_that_somebody_says_is_delivered() {
    let mut romeo = Client::available();
    let farewell = "<presence from='juliet@example.org/a' to='romeo@example.org' type='unavailable'/>";
    for key in 1..=3 {
        romeo.gets(key, farewell);
        romeo.hears(farewell);
    }
}

/// P6: a member that dies takes its sessions with it, and each watcher is told once.
#[test]
fn whoever_is_lost_is_said_to_be_gone_once() {
    let mut romeo = Client::available();
    gets_from_there(&mut romeo, "<presence from='juliet@example.org/a' to='romeo@example.org'/>");
    gets_from_there(&mut romeo, "<presence from='nurse@example.org/a' to='romeo@example.org'/>");
    gets_from_there(&mut romeo, "<presence from='nurse@example.org/a' to='romeo@example.org' type='unavailable'/>");
    romeo.gets(1, "<presence from='tybalt@example.org/a' to='romeo@example.org'/>");
    romeo.heard();

    for expected in ["<presence from='juliet@example.org/a' to='romeo@example.org/balcony' type='unavailable'/>", ""] {
        romeo.session.handle_members_lost(romeo.now, Lost::Life(LIFE));
        romeo.hears(expected);
    }
}

#[test]
fn ones_own_presence_is_not_watched() {
    let mut romeo = Client::available();
    gets_from_there(&mut romeo, "<presence from='romeo@example.org/balcony' to='romeo@example.org'/>");
    romeo.heard();

    romeo.session.handle_members_lost(romeo.now, Lost::Life(LIFE));

    romeo.hears("");
}

/// A presence that flaps costs one agreement at a time.
#[test]
fn one_announcement_is_on_its_way_at_most() {
    let mut romeo = Client::bound();
    for priority in 1..=20 {
        romeo.says(&format!("<presence><priority>{priority}</priority></presence>"));
    }
    announces(&mut romeo, Some(1), 1);
    let orders = romeo.orders();
    assert_eq!(orders.iter().filter(|order| matches!(order, Order::Announce { .. })).count(), 1);

    romeo.session.handle_answer(romeo.now, Answer::Announced { revision: 2 });
    let broadcast: Vec<String> = romeo
        .orders()
        .iter()
        .filter_map(|order| match order {
            Order::Route { number: Some(_), stanza } => Some(written(stanza)),
            _ => None,
        })
        .collect();
    assert_eq!(broadcast.len(), 19);
    assert!(broadcast[18].contains("<priority>20</priority>"));
}

/// Found by the simulator: who had logged in elsewhere meanwhile was said to be gone.
#[test]
fn a_session_whose_member_was_expelled_says_no_farewell() {
    let mut romeo = Client::available();
    romeo.says("<presence to='nurse@example.org'/>");
    romeo.orders();

    romeo.session.handle_route_ended(romeo.now, ROUTE, Removal::MemberEnded);
    romeo.session.handle_close(romeo.now, StreamErrorCondition::SystemShutdown, None);

    assert!(!romeo.orders().iter().any(|order| matches!(order, Order::Route { .. })));
}
