//! Sessions that outlive their transport.

use super::client::{Client, HEADER, fates};
use crate::ids::Sequence;
use crate::session::state::BoundState;
use crate::session::{Order, StreamErrorCondition};
use crate::wire;

const SM: &str = "urn:xmpp:sm:3";

fn message(body: u32) -> String {
    format!("<message from='juliet@example.org/a' to='romeo@example.org/balcony'><body>{body}</body></message>")
}

/// The client comes back on another transport and says this behind its wish to resume.
fn resume(romeo: &mut Client, handled: u32, said: &str) {
    let mut again = Client::authenticated();
    again.says(&format!("<resume xmlns='{SM}' previd='x' h='{handled}'/>{said}"));
    let Some(Order::Resume { account, handled, .. }) = again.order() else { panic!("no resumption") };
    assert_eq!(account.as_str(), "romeo@example.org");
    assert!(!again.session.wants_bytes());
    romeo.session.handle_resumed(romeo.now, handled, again.session.into_remaining());
}

#[test]
fn a_session_comes_back_with_what_was_not_acknowledged() {
    let mut romeo = Client::managed();
    romeo.says("<message to='juliet@example.org' id='1'/>");
    romeo.session.handle_handled(romeo.now, Sequence(1));
    (1..=3).for_each(|key| romeo.gets(key, &message(u32::try_from(key).unwrap())));
    romeo.heard();
    romeo.orders();

    romeo.session.handle_lost(romeo.now);
    assert!(romeo.session.is_resumable());
    romeo.gets(4, &message(4));
    assert!(romeo.order().is_none());
    romeo.hears("");
    resume(&mut romeo, 1, "<message to='juliet@example.org' id='2'/>");

    romeo.hears(&format!(
        "<resumed xmlns='{SM}' previd='{{any}}' h='1'/>{}{}{}<r xmlns='{SM}'/>",
        message(2),
        message(3),
        message(4)
    ));
    assert!(!romeo.session.is_resumable());
    let orders = romeo.orders();
    assert_eq!(fates(&orders), [("settled", 1)]);
    assert!(
        matches!(&orders[1], Order::Route { number: Some(Sequence(2)), stanza } if stanza.id.as_deref() == Some("2"))
    );
    romeo.says(&format!("<a xmlns='{SM}' h='4'/>"));
    assert_eq!(fates(&romeo.orders()), [("settled", 2), ("settled", 3), ("settled", 4)]);
}

/// Found by the simulator: what the answer did not count was sent again, and the recipient got it twice.
#[test]
fn a_resumption_is_answered_when_all_that_came_before_is_handled() {
    let mut romeo = Client::managed();
    romeo.says("<message to='juliet@example.org' id='1'/><message to='juliet@example.org' id='2'/>");
    romeo.orders();
    romeo.session.handle_handled(romeo.now, Sequence(1));
    romeo.session.handle_lost(romeo.now);

    resume(&mut romeo, 0, "<message to='juliet@example.org' id='3'/>");
    romeo.gets(1, &message(1));
    romeo.hears("");
    assert!(!romeo.session.wants_bytes());
    romeo.session.handle_handled(romeo.now, Sequence(2));

    romeo.hears(&format!("<resumed xmlns='{SM}' previd='{{any}}' h='2'/>{}<r xmlns='{SM}'/>", message(1)));
    assert!(matches!(&romeo.orders()[..], [Order::Route { stanza, .. }] if stanza.id.as_deref() == Some("3")));
}

#[test]
fn a_resumption_that_waits_gives_way_to_the_next_one() {
    let mut romeo = Client::managed();
    romeo.says("<message to='juliet@example.org' id='1'/>");
    romeo.session.handle_lost(romeo.now);
    resume(&mut romeo, 0, "");
    romeo.orders();

    romeo.session.handle_superseded(romeo.now);
    romeo.hears("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
    assert!(romeo.session.is_resumable());
    resume(&mut romeo, 0, "");
    romeo.session.handle_lost(romeo.now);
    assert!(romeo.session.is_resumable());
    resume(&mut romeo, 0, "");
    romeo.session.handle_handled(romeo.now, Sequence(1));

    romeo.hears(&format!("<resumed xmlns='{SM}' previd='{{any}}' h='1'/>"));
}

#[test]
fn a_session_that_is_not_resumed_in_time_ends() {
    let mut romeo = Client::managed();
    romeo.gets(1, &message(1));
    romeo.session.handle_lost(romeo.now);
    romeo.heard();

    romeo.passes(299_999);
    assert!(romeo.order().is_none());
    romeo.passes(1);

    let orders = romeo.orders();
    assert_eq!(fates(&orders), [("returned", 1)]);
    assert!(matches!(orders.last(), Some(Order::End)));
    assert!(!romeo.session.is_resumable());
    romeo.hears("");
}

#[test]
fn a_session_without_management_ends_with_its_transport() {
    let mut romeo = Client::bound();

    romeo.session.handle_lost(romeo.now);

    assert!(matches!(romeo.orders()[..], [Order::End]));
    romeo.hears("");
}

/// Whoever closes the stream does not come back.
#[test]
fn a_session_that_says_goodbye_ends() {
    let mut romeo = Client::managed();
    romeo.gets(1, &message(1));
    romeo.heard();

    romeo.says("</stream:stream>");

    romeo.hears("</stream:stream>");
    let orders = romeo.orders();
    assert!(matches!(orders[0], Order::Close));
    assert_eq!(fates(&orders), [("returned", 1)]);
}

/// D9: that a session is somebody else's is not told apart from that there is none.
#[test]
fn a_session_that_is_not_found_is_refused_and_one_may_bind() {
    let mut romeo = Client::authenticated();
    romeo.says(&format!("<resume xmlns='{SM}' previd='x' h='0'/>"));
    romeo.order();

    romeo.session.handle_resume_failed(romeo.now);

    romeo.hears("<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>");
    romeo.says("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert!(matches!(romeo.order(), Some(Order::Bind { .. })));
}

#[test]
fn a_resumption_that_is_none_ends_the_stream() {
    for said in ["h='0'", "previd='x'", "previd='x' h='-1'", "previd='x' h='4294967296'", "previd='x' h='NaN'"] {
        let mut romeo = Client::authenticated();
        romeo.says(&format!("<resume xmlns='{SM}' {said}/>"));
        romeo.hears("<stream:error><bad-format {any}</stream:error></stream:stream>");
    }
}

#[test]
fn a_count_that_is_too_high_does_not_lose_what_was_sent() {
    let mut romeo = Client::managed();
    romeo.gets(1, &message(1));
    romeo.session.handle_lost(romeo.now);

    resume(&mut romeo, 2, "");

    romeo.hears("<stream:error><undefined-condition {any}<handled-count-too-high {any}</stream:error></stream:stream>");
    assert_eq!(fates(&romeo.orders()), [("returned", 1)]);
}

/// D10: the transport that is replaced hears why.
#[test]
fn a_session_that_still_has_a_transport_is_taken_from_it() {
    let mut romeo = Client::managed();

    romeo.session.handle_superseded(romeo.now);

    romeo.hears("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
    assert!(matches!(romeo.orders()[..], [Order::Close]));
    romeo.says("<presence/>");
    resume(&mut romeo, 0, "");
    romeo.hears(&format!("<resumed xmlns='{SM}' previd='{{any}}' h='0'/>"));
}

/// R4.9. What was written before the client counted may not have arrived, and it will never say. Whoever resumes has had it:
/// he was told later by what he resumes.
#[test]
fn what_was_written_before_counting_goes_back_unless_the_session_is_resumed() {
    for is_resumed in [true, false] {
        let mut romeo = Client::bound();
        romeo.gets(1, &message(1));
        romeo.says(&format!("<enable xmlns='{SM}' resume='true'/>"));
        romeo.gets(2, &message(2));
        romeo.heard();
        romeo.session.handle_lost(romeo.now);
        assert_eq!(fates(&romeo.orders()), []);

        if is_resumed {
            resume(&mut romeo, 0, "");
            romeo.hears(&format!("<resumed xmlns='{SM}' {{any}}/>{}<r xmlns='{SM}'/>", message(2)));
            assert_eq!(fates(&romeo.orders()), [("settled", 1)]);
        } else {
            romeo.session.handle_close(romeo.now, StreamErrorCondition::Conflict, None);
            assert_eq!(fates(&romeo.orders()), [("returned", 1), ("returned", 2)]);
        }
    }
}

#[test]
fn what_has_no_transport_is_closed_without_a_word() {
    let mut romeo = Client::managed();
    romeo.session.handle_lost(romeo.now);

    romeo.session.handle_close(romeo.now, StreamErrorCondition::Conflict, None);

    romeo.hears("");
    assert!(matches!(romeo.orders()[..], [Order::End]));
    assert_eq!(romeo.session.poll_timeout(), None);
}

/// Half a stanza is lost with the transport; the client sends it again.
#[test]
fn what_was_half_read_is_forgotten() {
    let mut romeo = Client::managed();
    romeo.says("<message to='juliet@example.org'><bo");
    romeo.session.handle_lost(romeo.now);

    resume(&mut romeo, 0, "<message to='juliet@example.org'/>");

    romeo.routes("<message from='romeo@example.org/balcony' to='juliet@example.org'/>");
}

#[test]
fn all_that_moves_with_a_session_can_be_written_down() {
    let mut romeo = Client::managed();
    romeo.says("<presence><priority>3</priority></presence><presence to='nurse@example.org'/>");
    romeo.says("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    romeo.gets(1, &message(1));
    let state = romeo.session.bound.as_deref().unwrap();

    let bytes = wire::encode(state);
    let read: BoundState = wire::decode(&bytes, bytes.len()).unwrap();

    assert_eq!(format!("{read:?}"), format!("{state:?}"));
}

#[test]
fn a_stream_is_not_opened_twice_to_resume() {
    let mut romeo = Client::managed();
    romeo.session.handle_lost(romeo.now);
    resume(&mut romeo, 0, "");
    romeo.heard();

    romeo.says(HEADER);

    assert!(romeo.heard().starts_with("<stream:error><"));
}
