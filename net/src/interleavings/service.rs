//! The control plane's task opens and closes the gate, or begins another life, while a session enters.

use std::collections::VecDeque;

use cresset_core::ids::LogIndex;
use cresset_core::node::Service;
use shuttle::thread;

use super::{check, finds, router};
use crate::router::{SessionHandle, ToSession};
use crate::sync::Fault;

/// A session that last heard of a pause would be silent until the next one.
fn a_session_hears_last_what_holds() {
    let router = router();
    router.set_service(Service::Pause, None);

    let control = {
        let router = router.clone();
        thread::spawn(move || {
            router.set_service(Service::Serve, None);
            router.set_service(Service::Pause, None);
            router.set_service(Service::Serve, None);
        })
    };
    let session = router.enter();
    control.join().expect("it does not panic");

    let told = |event| if let ToSession::Service(service) = event { Some(service) } else { None };
    let last = events_of(&session).into_iter().rev().find_map(told);
    assert_eq!(last, Some(Service::Serve));
}

/// What a session holds of an earlier life belongs to others: it must not serve as if it were of the next one.
fn a_session_hears_that_the_life_in_which_it_began_is_over() {
    let router = router();
    router.set_service(Service::Serve, None);

    let control = {
        let router = router.clone();
        thread::spawn(move || router.move_on(LogIndex(0)))
    };
    let session = router.enter();
    control.join().expect("it does not panic");

    let has_moved = events_of(&session).iter().any(|event| matches!(event, ToSession::Moves { .. }));
    assert!(has_moved || router.gate().is_of(session.generation()));
}

fn events_of(session: &SessionHandle) -> VecDeque<ToSession> {
    session.take_or_close().map(|(events, _)| events).unwrap_or_default()
}

#[test]
fn interleavings_of_the_gate_and_a_session_that_enters() {
    check(a_session_hears_last_what_holds);
}

#[test]
fn a_gate_of_which_a_session_is_told_once_is_noticed() {
    finds(Fault::GateToldOnce, a_session_hears_last_what_holds);
}

#[test]
fn interleavings_of_another_life_and_a_session_that_enters() {
    check(a_session_hears_that_the_life_in_which_it_began_is_over);
}

#[test]
fn a_life_that_a_session_looks_at_once_is_noticed() {
    finds(Fault::LifeReadOnce, a_session_hears_that_the_life_in_which_it_began_is_over);
}
