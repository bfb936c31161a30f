//! A session takes what waits for it, and ends, while a lane hands parcels over.

use std::collections::VecDeque;
use std::future::poll_fn;

use cresset_core::cluster::Event;
use cresset_core::ids::{LogIndex, Sequence};
use shuttle::{future, thread};

use super::{check, finds, number_of, parcel, route_of, router};
use crate::links::DataService;
use crate::router::ToSession;
use crate::sync::Fault;

const PARCELS: u64 = 3;

/// P1. What the session does not have comes back, to be sent elsewhere: the rest, from the first that came too late.
fn a_parcel_is_with_the_session_or_comes_back() {
    let router = router();
    let session = router.enter();
    let route = route_of(&session, 5);
    router.handle_event(&Event::RouteAdded(route.clone()));
    router.applied(LogIndex(5));

    let lane = {
        let (router, route) = (router.clone(), route.id);
        thread::spawn(move || {
            let refused = (1..=PARCELS).filter_map(|number| router.deliver(parcel(route, number)).err());
            refused.map(|missed| number_of(&missed.parcel)).collect::<Vec<_>>()
        })
    };
    let mut taken = Vec::new();
    while let Some((_, parcels)) = session.take_or_close() {
        taken.extend(parcels.iter().map(number_of));
    }
    router.leave(&session, Some(route.id));

    let came_back = lane.join().expect("it does not panic");
    taken.extend(came_back);
    assert_eq!(taken, (1..=PARCELS).collect::<Vec<_>>());
    assert_eq!(session.weight(), 0);
}

/// A session that sleeps while something waits for it would sleep until something else comes.
fn a_session_is_woken_by_what_comes() {
    let session = router().enter();
    let route = route_of(&session, 5).id;

    let lane = {
        let session = session.clone();
        thread::spawn(move || {
            for number in 1..=PARCELS {
                assert!(session.deliver(parcel(route, number)).is_ok(), "the session goes on");
            }
        })
    };
    let taken = future::block_on(async {
        let mut taken = 0;
        while taken < PARCELS {
            taken += poll_fn(|cx| session.poll_take(cx, usize::MAX, 0, true)).await.1.len() as u64;
        }
        taken
    });

    assert_eq!(taken, PARCELS);
    lane.join().expect("it does not panic");
}

/// A session that awaits nothing of the kind finds it with what wakes it; one that does is woken.
fn what_is_taken_care_of_is_heard_of_in_time() {
    let session = router().enter();

    let others = {
        let session = session.clone();
        thread::spawn(move || {
            assert!(session.tell(ToSession::Handled(Sequence(1))), "the session goes on");
            assert!(session.tell(ToSession::Nudge), "the session goes on");
            assert!(session.tell(ToSession::Handled(Sequence(2))), "the session goes on");
        })
    };
    let handled =
        |events: VecDeque<ToSession>| events.into_iter().filter(|event| matches!(event, ToSession::Handled(_))).count();
    let first = future::block_on(poll_fn(|cx| session.poll_take(cx, 0, 0, false)));
    let mut heard = handled(first.0);
    while heard < 2 {
        heard += handled(future::block_on(poll_fn(|cx| session.poll_take(cx, 0, 0, true))).0);
    }

    others.join().expect("it does not panic");
}

#[test]
fn interleavings_of_the_end_of_a_session_and_what_comes_for_it() {
    check(a_parcel_is_with_the_session_or_comes_back);
}

#[test]
fn a_mailbox_that_is_found_empty_and_closed_in_two_steps_is_noticed() {
    finds(Fault::CloseInTwoSteps, a_parcel_is_with_the_session_or_comes_back);
}

#[test]
fn interleavings_of_a_session_that_sleeps_and_what_comes_for_it() {
    check(a_session_is_woken_by_what_comes);
}

#[test]
fn a_session_that_looks_and_sleeps_in_two_steps_is_noticed() {
    finds(Fault::SleepInTwoSteps, a_session_is_woken_by_what_comes);
}

#[test]
fn interleavings_of_a_session_that_sleeps_and_what_is_taken_care_of() {
    check(what_is_taken_care_of_is_heard_of_in_time);
}

#[test]
fn a_session_that_looks_and_sleeps_in_two_steps_while_a_stanza_is_taken_care_of_is_noticed() {
    finds(Fault::SleepInTwoSteps, what_is_taken_care_of_is_heard_of_in_time);
}
