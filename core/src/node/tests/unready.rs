//! Why clients cannot log in, and that they can when nothing is said.

use super::*;
use crate::admission::Door;
use crate::cluster::Join;

#[test]
fn a_node_is_ready_when_it_has_joined_and_holds_a_lease() {
    let node = Node::new(Uptime::ZERO, settings(1));
    assert_eq!(node.unready(), Some(Unready::Outside));

    let world = World::of(3);

    assert!(world.nodes.values().all(|node| node.unready().is_none()));
}

#[test]
fn a_node_that_is_cut_off_says_that_no_quorum_counts_it_in() {
    let mut world = World::of(3);
    world.cut_off.insert(3);

    world.run_until(10_000, |world| world.node(3).service() != Service::Serve);
    assert_eq!(world.node(3).unready(), Some(Unready::NoLease));
    world.run_until(10_000, |world| world.node(3).service() == Service::Close);

    assert_eq!(world.node(3).unready(), Some(Unready::NoLease));
    assert_eq!(world.node(1).unready(), None);
}

#[test]
fn a_drained_node_is_not_ready_as_long_as_there_is_another_one() {
    let mut world = World::of(2);
    world.order(1, Order::Drain { name: "node2".to_owned() });
    world.run(100);
    assert_eq!((world.node(1).unready(), world.node(2).unready()), (None, Some(Unready::Drained)));

    world.order(1, Order::Undrain { name: "node2".to_owned() });
    world.run(100);

    assert_eq!(world.node(2).unready(), None);
}

/// T17, T21. What a client finds is what is said of the node.
#[test]
fn the_door_is_open_where_the_node_is_ready() {
    assert_eq!(Node::new(Uptime::ZERO, settings(1)).door(), Door::Shut);
    let mut world = World::of(3);
    assert!(world.nodes.values().all(|node| node.door() == Door::Open));

    world.order(1, Order::Drain { name: "node2".to_owned() });
    world.run(100);
    let hosts = [1, 3].map(|node| Door::Elsewhere(settings(node).client_addresses[0]));
    assert!(hosts.contains(&world.node(2).door()), "{:?}", world.node(2).door());

    world.cut_off.insert(3);
    world.run_until(10_000, |world| world.node(3).service() == Service::Close);
    assert_eq!(world.node(1).door(), Door::Open);
    assert_ne!(world.node(3).door(), Door::Open);
}

#[test]
fn a_witness_is_never_ready_and_a_node_that_leaves_stops() {
    let mut world = World::with(3, |settings| {
        if settings.member == MemberId(3) {
            settings.role = Role::Witness;
        }
    });
    world.deaf_to_log.insert(2);

    world.handle(2, Input::Leave);

    assert_eq!(world.node(2).unready(), Some(Unready::Stopping));
    assert_eq!(world.node(3).unready(), Some(Unready::Witness));
}

/// G6: two machines were given one name. Each would join again as soon as the other one has.
#[test]
fn a_node_whose_name_another_one_has_taken_knows_why_its_life_is_over() {
    let mut world = World::of(3);
    let namesake = NodeSettings { name: "node3".to_owned(), ..settings(9) };
    world.log.push(Command::Join(Join {
        member: namesake.member,
        boot: namesake.boot,
        name: namesake.name,
        peer_address: namesake.peer_address,
        client_addresses: namesake.client_addresses,
        role: namesake.role,
        versions: namesake.versions,
    }));

    world.run(1);

    assert!(world.over.contains(&3) && world.node(3).has_namesake());
    assert!(!world.node(1).has_namesake() && world.node(1).unready().is_none());
}

/// A machine that lost its directory comes back as a new member, and is expelled before it has applied that it has joined.
#[test]
fn a_node_that_has_not_applied_its_joining_does_not_take_its_earlier_self_for_a_namesake() {
    let world = World::of(3);
    let mut node = Node::new(world.now, NodeSettings { name: "node3".to_owned(), ..settings(9) });
    let entries = world
        .log
        .iter()
        .zip(1..)
        .map(|(command, index)| Entry { index: LogIndex(index), command: Some(std::sync::Arc::new(command.clone())) });

    node.handle(world.now, Input::Committed(entries.collect()));
    node.handle(world.now, Input::Over);

    assert!(node.state().members().any(|member| member.is_alive() && member.name == "node3"));
    assert!(!node.has_namesake());
}
