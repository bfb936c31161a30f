//! Messages in both directions.

use super::client::{Client, fates};
use crate::ids::Sequence;
use crate::session::Order;

#[test]
fn a_message_is_stamped_and_routed() {
    let mut romeo = Client::bound();

    romeo.says("<message to='juliet@example.org' id='1' type='chat'><body>Wherefore?</body></message>");

    romeo.routes(
        "<message from='romeo@example.org/balcony' to='juliet@example.org' id='1' type='chat'>\
         <body>Wherefore?</body></message>",
    );
    romeo.hears("");
}

#[test]
fn a_message_to_nobody_is_one_to_oneself() {
    let mut romeo = Client::bound();

    romeo.says("<message id='1'><body>note</body></message>");

    romeo.routes("<message from='romeo@example.org/balcony' to='romeo@example.org' id='1'><body>note</body></message>");
}

#[test]
fn messages_are_numbered_as_they_come() {
    let mut romeo = Client::bound();

    romeo.says("<message to='a@example.org'/><message to='b@example.org'/>");

    let numbers: Vec<Option<Sequence>> = romeo
        .orders()
        .into_iter()
        .map(|order| match order {
            Order::Route { number, .. } => number,
            order => panic!("{order:?}"),
        })
        .collect();
    assert_eq!(numbers, [Some(Sequence(1)), Some(Sequence(2))]);
}

#[test]
fn what_comes_in_one_batch_is_written_at_once() {
    let mut romeo = Client::bound();

    romeo.gets(1, "<message from='juliet@example.org/a' to='romeo@example.org'><body>1</body></message>");
    romeo.gets(2, "<message from='juliet@example.org/a' to='romeo@example.org'><body>2</body></message>");

    let Some(Order::Send(bytes)) = romeo.session.poll_output() else { panic!("nothing is sent") };
    assert_eq!(
        bytes,
        "<message from='juliet@example.org/a' to='romeo@example.org'><body>1</body></message>\
         <message from='juliet@example.org/a' to='romeo@example.org'><body>2</body></message>"
    );
    assert!(romeo.session.poll_output().is_none());
}

/// The driver may be writing one batch while the next one gathers; only what it was handed is on the socket.
#[test]
fn a_parcel_is_settled_when_its_bytes_are_on_the_socket() {
    let mut romeo = Client::bound();
    romeo.gets(1, "<message from='juliet@example.org/a'/>");
    romeo.heard();
    romeo.gets(2, "<message from='juliet@example.org/a'/>");

    romeo.session.handle_written(romeo.now);
    assert_eq!(fates(&romeo.orders()), [("settled", 1)]);

    romeo.written();
    assert_eq!(fates(&romeo.orders()), [("settled", 2)]);
}

#[test]
fn a_parcel_that_was_not_written_goes_back_when_the_session_ends() {
    let mut romeo = Client::bound();
    romeo.gets(1, "<message from='juliet@example.org/a'/>");
    romeo.gets(2, "<message from='juliet@example.org/a'/>");

    romeo.session.handle_lost(romeo.now);

    let orders = romeo.orders();
    assert_eq!(fates(&orders), [("returned", 1), ("returned", 2)]);
    assert!(matches!(orders.last(), Some(Order::End)));
    assert_eq!(romeo.heard(), "");
}

#[test]
fn a_parcel_for_another_holding_goes_back() {
    let mut romeo = Client::bound();
    let mut parcel = super::client::parcel(1, "<message from='juliet@example.org/a'/>");
    parcel.route.position += 1;

    romeo.session.handle_parcel(romeo.now, parcel);

    assert_eq!(fates(&romeo.orders()), [("returned", 1)]);
    romeo.hears("");
}

#[test]
fn a_parcel_that_comes_too_late_goes_back_before_the_end() {
    let mut romeo = Client::bound();
    romeo.says("</stream:stream>");

    romeo.gets(1, "<message from='juliet@example.org/a'/>");

    let orders = romeo.orders();
    assert_eq!(fates(&orders), [("returned", 1)]);
    assert!(matches!(orders.last(), Some(Order::End)));
    romeo.hears("</stream:stream>");
}
