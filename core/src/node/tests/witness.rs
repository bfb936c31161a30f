//! A witness leads only while no server can (T22).

use super::*;
use crate::cluster::Role;

/// Two servers and a witness, which is member 1: it founds the cluster and leads.
fn led_by_a_witness() -> World {
    World::with(3, |settings| {
        if settings.member == MemberId(1) {
            settings.role = Role::Witness;
        }
    })
}

#[test]
fn a_witness_that_leads_hands_over_as_soon_as_a_server_can_lead() {
    let world = led_by_a_witness();

    assert!(matches!(world.transfers[..], [(1, MemberId(2 | 3)), ..]), "{:?}", world.transfers);
}

/// A leader that hands over to somebody who does not answer agrees on nothing until the next election.
#[test]
fn a_witness_leads_on_while_no_server_is_heard() {
    let mut world = led_by_a_witness();
    world.cut_off.extend([2, 3]);
    world.run(1_500);
    world.transfers.clear();

    world.run(1_500);
    assert_eq!(world.transfers, vec![]);

    world.cut_off.remove(&3);
    world.run_until(5_000, |world| !world.transfers.is_empty());
    assert_eq!(world.transfers[0], (1, MemberId(3)));
}

#[test]
fn a_server_is_followed_by_the_other_server() {
    let mut world = led_by_a_witness();
    world.elect(2);
    world.transfers.clear();

    world.handle(2, Input::Leave);

    assert_eq!(world.transfers, [(2, MemberId(3))]);
}

#[test]
fn a_server_is_elected_after_a_server_that_crashed() {
    let mut world = led_by_a_witness();
    world.elect(3);

    world.crash(3);
    world.run(5);

    assert!(!world.take_overs.is_empty());
    for (by, target) in &world.take_overs {
        assert_eq!(*target, MemberId(2), "asked for by {by}");
    }
}

#[test]
fn a_drained_server_does_not_lead_in_the_place_of_a_witness() {
    let mut world = led_by_a_witness();
    world.order(1, Order::Drain { name: "node2".to_owned() });
    world.run(100);
    world.transfers.clear();
    world.cut_off.insert(3);
    world.run(1_500);
    world.transfers.clear();

    world.run(2_000);

    assert_eq!(world.transfers, vec![]);
}
