//! A client comes back on another transport while its session ends.

use shuttle::thread;

use super::{check, finds, router};
use crate::clients::Attach;
use crate::router::ToSession;
use crate::sync::Fault;

/// Either the session has the transport, and sees it off, or the connection that brought it has it back: a transport in a
/// mailbox that nobody reads would stay open for ever.
fn a_transport_is_with_the_session_or_comes_back() {
    let session = router().enter();

    let connection = {
        let session = session.clone();
        thread::spawn(move || session.attach(Attach::of_nobody()).is_ok())
    };
    let mut is_with_the_session = false;
    while let Some((events, _)) = session.take_or_close() {
        is_with_the_session |= events.iter().any(|event| matches!(event, ToSession::Attach(_)));
    }

    assert_eq!(connection.join().expect("it does not panic"), is_with_the_session);
}

#[test]
fn interleavings_of_a_transport_and_the_end_of_its_session() {
    check(a_transport_is_with_the_session_or_comes_back);
}

#[test]
fn a_transport_that_is_left_with_a_session_in_two_steps_is_noticed() {
    finds(Fault::AttachInTwoSteps, a_transport_is_with_the_session_or_comes_back);
}
