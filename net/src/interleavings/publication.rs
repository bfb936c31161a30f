//! The control plane's task adds a route while a lane hands parcels over that are for it.

use std::future::poll_fn;

use cresset_core::cluster::Event;
use cresset_core::ids::LogIndex;
use shuttle::{future, thread};

use super::{check, finds, number_of, parcel, route_of, router};
use crate::links::DataService;
use crate::sync::Fault;

const PARCELS: u64 = 3;

/// P4. Some come before the route, some while it is added, some after: none overtakes, and none is left behind.
fn a_session_gets_the_parcels_of_its_route_in_order() {
    let router = router();
    let session = router.enter();
    let route = route_of(&session, 5);

    let control = {
        let (router, route) = (router.clone(), route.clone());
        thread::spawn(move || {
            router.handle_event(&Event::RouteAdded(route));
            router.applied(LogIndex(5));
        })
    };
    let lane = {
        let (router, route) = (router.clone(), route.id);
        thread::spawn(move || {
            for number in 1..=PARCELS {
                assert!(router.deliver(parcel(route, number)).is_ok(), "the session is here");
            }
        })
    };

    let received = future::block_on(async {
        let mut received = Vec::new();
        while received.len() < PARCELS as usize {
            let (_, parcels) = poll_fn(|cx| session.poll_take(cx, 1, 0, true)).await;
            received.extend(parcels.iter().map(number_of));
        }
        received
    });
    assert_eq!(received, (1..=PARCELS).collect::<Vec<_>>());
    control.join().expect("it does not panic");
    lane.join().expect("it does not panic");
}

#[test]
fn interleavings_of_a_route_and_its_parcels() {
    check(a_session_gets_the_parcels_of_its_route_in_order);
}

#[test]
fn a_route_that_is_found_before_its_early_parcels_is_noticed() {
    finds(Fault::RouteBeforeParcels, a_session_gets_the_parcels_of_its_route_in_order);
}

/// What is left as early after the route was added would go back when the entry is applied.
#[test]
fn a_parcel_that_is_left_for_a_route_that_is_there_is_noticed() {
    finds(Fault::EarlyInTwoSteps, a_session_gets_the_parcels_of_its_route_in_order);
}
