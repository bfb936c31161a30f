//! The roster.

use super::client::{Client, fates, written};
use crate::jid::BareJid;
use crate::limits::SESSION_QUEUE_BYTES_MAX;
use crate::node::Answer;
use crate::session::{
    Order, RosterAnswer, RosterItem, RosterOrder, RosterPart, RosterRefusal, StoreUnavailable, Subscription,
};

const GET: &str = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>";

fn set(item: &str) -> String {
    format!("<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
}

fn juliet() -> RosterItem {
    RosterItem {
        jid: BareJid::new("juliet@example.org").unwrap(),
        name: Some("Juliet & co".to_owned()),
        subscription: Subscription::None,
        asked: false,
        groups: vec!["Capulets".to_owned(), "Friends".to_owned()],
    }
}

const JULIET: &str = "<item jid='juliet@example.org' name='Juliet &amp; co' subscription='none'>\
    <group>Capulets</group><group>Friends</group></item>";

fn loaded(items: Vec<RosterItem>) -> RosterAnswer {
    RosterAnswer::Loaded(Ok(RosterPart { items, is_last: true }))
}

#[track_caller]
fn orders_of_roster(romeo: &mut Client) -> RosterOrder {
    match romeo.order() {
        Some(Order::Roster(order)) => order,
        order => panic!("expected an order to the roster, not {order:?}"),
    }
}

#[test]
fn who_asks_for_the_roster_is_interested_first() {
    let mut romeo = Client::bound();

    romeo.says(GET);
    let Some(Order::Announce { presence, revision: 1 }) = romeo.order() else { panic!("not announced") };
    assert!(presence.interested && presence.priority.is_none());
    assert!(romeo.order().is_none());
    romeo.session.handle_answer(romeo.now, Answer::Announced { revision: 1 });
    assert_eq!(orders_of_roster(&mut romeo), RosterOrder::Load { after: None });
    romeo.session.handle_roster(romeo.now, loaded(vec![juliet()]));

    romeo.hears(&format!(
        "<iq to='romeo@example.org/balcony' id='r' type='result'><query xmlns='jabber:iq:roster'>{JULIET}</query></iq>"
    ));
}

#[test]
fn interest_outlives_a_change_of_presence() {
    let mut romeo = Client::bound();
    romeo.says(GET);
    romeo.announced();

    romeo.says("<presence/>");

    let orders = romeo.orders();
    assert!(orders.iter().any(|order| matches!(order, Order::Announce { presence, .. } if presence.interested)));
}

/// A push that comes while the roster is loaded is newer than what is loaded; the client must not end with the older one.
#[test]
fn a_roster_that_changes_while_it_is_loaded_is_loaded_again() {
    let mut romeo = Client::bound();
    romeo.says(GET);
    romeo.announced();
    orders_of_roster(&mut romeo);

    romeo.gets(
        1,
        &format!(
            "<iq type='set' id='p' from='romeo@example.org'><query xmlns='jabber:iq:roster'>{JULIET}</query></iq>"
        ),
    );
    romeo.heard();
    romeo.session.handle_roster(romeo.now, loaded(Vec::new()));
    romeo.hears("");
    assert_eq!(orders_of_roster(&mut romeo), RosterOrder::Load { after: None });
    romeo.session.handle_roster(romeo.now, loaded(vec![juliet()]));

    assert!(romeo.heard().contains(JULIET));
}

/// O12. Two spellings of one contact would be two rows of the store, and one that has no stable form a row that cannot be
/// read again.
#[test]
fn a_contact_is_stored_in_its_one_form_or_refused() {
    for spelling in
        ["JULIET@example.org", "juliet@EXAMPLE.org.", "\u{FF4A}uliet@example.org", "ju\u{AD}liet@example\u{3002}org"]
    {
        let mut romeo = Client::bound();
        romeo.says(&set(&format!("<item jid='{spelling}'/>")));

        let RosterOrder::Set { jid, .. } = orders_of_roster(&mut romeo) else { panic!("{spelling} is a contact") };
        assert_eq!(jid.as_str(), "juliet@example.org", "{spelling}");
    }
    for spelling in
        ["x@&#x1806;", "&#x1F130;lice@example.org", "juliet@example.org./x", "juliet@example.org/x", "@", ""]
    {
        let mut romeo = Client::bound();
        romeo.says(&set(&format!("<item jid='{spelling}'/>")));

        assert!(romeo.order().is_none(), "{spelling}");
        assert!(romeo.heard().contains("<jid-malformed "), "{spelling}");
    }
}

/// O12.
#[test]
fn nobody_is_a_contact_of_himself_however_it_is_written() {
    for spelling in ["romeo@example.org", "ROMEO@example.org.", "\u{FF52}omeo@example.org"] {
        let mut romeo = Client::bound();
        romeo.says(&set(&format!("<item jid='{spelling}'/>")));

        assert!(romeo.heard().contains("<not-allowed "), "{spelling}");
    }
}

#[test]
fn a_contact_is_stored_then_pushed_then_confirmed() {
    let mut romeo = Client::bound();

    romeo.says(&set("<item jid='Juliet@example.org' name='Juliet &amp; co' subscription='both' ask='subscribe'>\
        <group>Friends</group><group>Capulets</group></item>"));
    let order = orders_of_roster(&mut romeo);
    romeo.hears("");
    let RosterItem { jid, name, groups, .. } = juliet();
    assert_eq!(order, RosterOrder::Set { jid, name, groups });
    romeo.session.handle_roster(romeo.now, RosterAnswer::Set(Ok(juliet())));

    let Some(Order::PushRoster(push)) = romeo.order() else { panic!("no push") };
    let id = push.id.clone().unwrap();
    assert_eq!(
        written(&push),
        format!(
            "<iq from='romeo@example.org' id='{id}' type='set'><query xmlns='jabber:iq:roster'>{JULIET}</query></iq>"
        )
    );
    romeo.hears("<iq to='romeo@example.org/balcony' id='s' type='result'/>");
}

#[test]
fn a_contact_is_taken_out() {
    let mut romeo = Client::bound();
    romeo.says(&set("<item jid='juliet@example.org' subscription='remove'/>"));
    assert_eq!(orders_of_roster(&mut romeo), RosterOrder::Remove(juliet().jid));

    romeo.session.handle_roster(romeo.now, RosterAnswer::Removed(Ok(Some(juliet().jid))));

    let Some(Order::PushRoster(push)) = romeo.order() else { panic!("no push") };
    assert!(written(&push).contains("<item jid='juliet@example.org' subscription='remove'/>"));
    romeo.hears("<iq to='romeo@example.org/balcony' id='s' type='result'/>");
}

/// O22.
#[test]
fn whoever_asks_for_a_change_and_has_the_roster_is_told_of_the_change_before_the_result() {
    let mut romeo = Client::bound();
    romeo.says(GET);
    romeo.announced();
    romeo.session.handle_roster(romeo.now, loaded(Vec::new()));
    romeo.orders();
    romeo.heard();

    romeo.says(&set("<item jid='juliet@example.org'/>"));
    romeo.session.handle_roster(romeo.now, RosterAnswer::Set(Ok(juliet())));

    romeo.hears(&format!(
        "<iq from='romeo@example.org' to='romeo@example.org/balcony' id='{{any}}' type='set'>\
         <query xmlns='jabber:iq:roster'>{JULIET}</query></iq>\
         <iq to='romeo@example.org/balcony' id='s' type='result'/>"
    ));
}

#[test]
fn what_is_no_change_is_refused_by_name() {
    let group = |name: &str| format!("<item jid='juliet@example.org'><group>{name}</group></item>");
    let cases = [
        (String::new(), "bad-request"),
        ("<item jid='a@example.org'/><item jid='b@example.org'/>".to_owned(), "bad-request"),
        ("<other/>".to_owned(), "bad-request"),
        ("<item/>".to_owned(), "bad-request"),
        ("<item jid='@'/>".to_owned(), "jid-malformed"),
        ("<item jid='juliet@example.org/a'/>".to_owned(), "jid-malformed"),
        ("<item jid='romeo@example.org'/>".to_owned(), "not-allowed"),
        (group(""), "not-acceptable"),
        (group(&"x".repeat(1024)), "not-acceptable"),
        (format!("<item jid='juliet@example.org' name='{}'/>", "x".repeat(1024)), "not-acceptable"),
        ("<item jid='juliet@example.org'><group>a</group><group>a</group></item>".to_owned(), "bad-request"),
        (
            format!(
                "<item jid='juliet@example.org'>{}</item>",
                (0..65).map(|number| format!("<group>{number}</group>")).collect::<String>()
            ),
            "not-acceptable",
        ),
    ];
    for (item, condition) in cases {
        let mut romeo = Client::bound();
        romeo.says(&set(&item));

        let heard = romeo.heard();
        assert!(heard.contains(&format!("<{condition} ")), "{item}: {heard}");
        assert!(romeo.order().is_none(), "{item}");
    }
}

#[test]
fn what_the_accounts_refuse_is_told_by_name() {
    let cases = [
        (RosterAnswer::Set(Err(RosterRefusal::Full)), "resource-constraint"),
        (RosterAnswer::Set(Err(RosterRefusal::Unavailable)), "internal-server-error"),
        (RosterAnswer::Removed(Err(StoreUnavailable)), "internal-server-error"),
        (RosterAnswer::Removed(Ok(None)), "item-not-found"),
        (RosterAnswer::Loaded(Err(StoreUnavailable)), "internal-server-error"),
    ];
    for (answer, condition) in cases {
        let mut romeo = Client::bound();
        romeo.says(&set("<item jid='juliet@example.org'/>"));
        romeo.order();

        romeo.session.handle_roster(romeo.now, answer);

        assert!(romeo.heard().contains(&format!("<{condition} ")), "{condition}");
        assert!(romeo.order().is_none());
    }
}

#[test]
fn the_roster_of_another_is_forbidden() {
    for said in [set("<item jid='a@example.org'/>"), GET.to_owned()] {
        let mut romeo = Client::bound();
        romeo.says(&said.replace("<iq ", "<iq to='juliet@example.org' "));

        assert!(romeo.heard().contains("<forbidden "));
        assert!(romeo.order().is_none());
    }
}

#[test]
fn requests_that_are_not_answered_do_not_pile_up() {
    let mut romeo = Client::bound();

    romeo.says(&set("<item jid='juliet@example.org'/>").repeat(65));

    assert_eq!(romeo.orders().len(), 64);
    assert_eq!(romeo.heard().matches("<resource-constraint ").count(), 1);
}

#[test]
fn a_push_is_a_parcel_like_any_other() {
    let mut romeo = Client::bound();
    romeo.gets(
        1,
        &format!(
            "<iq type='set' id='p' from='romeo@example.org'><query xmlns='jabber:iq:roster'>{JULIET}</query></iq>"
        ),
    );
    romeo.heard();
    romeo.written();
    assert_eq!(fates(&romeo.orders()), [("settled", 1)]);

    romeo.says("<iq type='result' id='p'/>");

    romeo.hears("");
    assert!(romeo.order().is_none());
}

/// O11. A roster of 40 MB was read whole, and the session ended each time: the account was locked out of it for ever.
#[test]
fn a_roster_that_is_too_large_for_one_answer_comes_in_parts_as_the_client_takes_them() {
    let mut romeo = Client::bound();
    romeo.says("<enable xmlns='urn:xmpp:sm:3'/>");
    romeo.heard();
    romeo.says(GET);
    romeo.order();
    romeo.session.handle_answer(romeo.now, Answer::Announced { revision: 1 });
    let contact = |number: usize| BareJid::new(&format!("c{number:0>4}@example.org")).unwrap();
    let parts = 40;
    let part = |number: usize| {
        let items = (8 * number..8 * number + 8)
            .map(|number| RosterItem { jid: contact(number), groups: vec!["x".repeat(65_000)], ..juliet() })
            .collect();
        RosterAnswer::Loaded(Ok(RosterPart { items, is_last: number + 1 == parts }))
    };
    assert_eq!(orders_of_roster(&mut romeo), RosterOrder::Load { after: None });

    let (mut heard, mut stanzas, mut next) = (String::new(), 0, 0);
    while next < parts {
        romeo.session.handle_roster(romeo.now, part(next));
        next += 1;
        heard += &romeo.heard();
        assert!(!romeo.session.is_over(), "after part {next}");
        assert!(romeo.session.queue_bytes() < SESSION_QUEUE_BYTES_MAX);
        if romeo.order().is_none() && next < parts {
            // Nothing more comes until the client has taken what was sent.
            stanzas = 1 + 8 * (next - 1);
            romeo.says(&format!("<a xmlns='urn:xmpp:sm:3' h='{stanzas}'/>"));
            heard += &romeo.heard();
            assert_eq!(orders_of_roster(&mut romeo), RosterOrder::Load { after: Some(contact(8 * next - 1)) });
        }
    }

    assert!(stanzas > 0, "it has waited");
    assert_eq!(heard.matches("<item ").count(), 8 * parts);
    assert_eq!((heard.matches(" type='result'").count(), heard.matches(" type='set'").count()), (1, 8 * (parts - 1)));
}

/// O11.
#[test]
fn an_item_that_is_too_large_is_refused() {
    let groups: String = (0..9).map(|number| format!("<group>{number:x>1000}</group>")).collect();
    let mut romeo = Client::bound();

    romeo.says(&set(&format!("<item jid='juliet@example.org'>{groups}</item>")));

    assert!(romeo.heard().contains("<not-acceptable "));
    assert!(romeo.order().is_none());
}
