//! Operators' orders.

use super::*;

#[test]
fn whoever_is_told_to_lead_leads_and_the_operator_hears_of_it_then() {
    let mut world = World::of(3);

    world.order(2, transfer_to("node3"));
    world.run(10);
    assert_eq!(world.transfers, vec![(1, MemberId(3))]);
    assert_eq!(world.ordered, vec![]);
    world.elect(3);

    world.run(10);
    assert_eq!(world.ordered, vec![Ok(())]);
}

#[test]
fn nobody_who_could_not_lead_is_told_to() {
    let mut world = World::of(6);
    world.crash(2);
    world.run(100);

    for name in ["node2", "node6", "node7", ""] {
        world.order(1, transfer_to(name));
    }

    assert_eq!(
        world.refusals(),
        [
            "'node2' is gone",
            "'node6' has no vote: it cannot lead",
            "no member is called 'node7': the members are node1, node2, node3, node4, node5, node6",
            "no member is called '': the members are node1, node2, node3, node4, node5, node6",
        ]
    );
    assert_eq!(world.transfers, vec![]);
}

#[test]
fn a_node_without_a_quorum_refuses_every_order() {
    let mut world = World::of(3);
    world.cut_off.insert(3);
    world.run_until(10_000, |world| world.node(3).service() == Service::Close);

    world.order(3, transfer_to("node3"));
    world.order(3, Order::Remove { name: "node2".to_owned() });

    assert!(world.ordered.iter().all(|outcome| *outcome == Err(Refusal::NoQuorum)) && world.ordered.len() == 2);
}

#[test]
fn a_member_that_is_gone_is_removed_and_one_that_is_up_is_not() {
    let mut world = World::of(3);
    world.order(2, Order::Remove { name: "node3".to_owned() });
    assert_eq!(world.refusals(), ["'node3' is up: stop it first, it would only join again"]);
    world.crash(3);
    world.run(100);
    assert!(world.node(2).state().voters().contains(&MemberId(3)));

    world.order(2, Order::Remove { name: "node3".to_owned() });
    world.run(100);

    assert_eq!(world.ordered.last(), Some(&Ok(())));
    assert_eq!(world.node(2).state().voters().len(), 2);
    assert_eq!(world.membership.0.len(), 2);
}

/// What is said to a leader that dies is said to the next one.
#[test]
fn an_order_outlives_the_leader_to_whom_it_was_said() {
    let mut world = World::of(5);
    world.crash(5);
    world.run(100);
    world.crash(1);

    world.order(2, Order::Remove { name: "node5".to_owned() });
    world.run(50);
    assert_eq!(world.ordered, vec![]);
    world.elect(3);

    world.run_until(2_000, |world| world.ordered == vec![Ok(())]);
}

#[test]
fn an_order_that_is_not_seen_to_be_done_is_answered_in_time() {
    let mut world = World::of(3);

    world.order(1, transfer_to("node2"));
    world.run(4_001);

    assert_eq!(world.ordered, vec![Err(Refusal::NotSeen { within: Duration::from_secs(4) })]);
    assert!(world.transfers.len() > 1, "it is said again");
}

#[test]
fn a_drained_member_sends_its_clients_away_a_few_at_a_time_to_the_others_in_turn() {
    let mut world = World::of(3);
    world.bind(2, "romeo@example.org/garden");
    world.run(100);

    world.order(1, drain("node2"));
    world.run(1_000);

    assert_eq!(world.ordered, vec![Ok(())]);
    let sent: Vec<_> = world.sent_away.iter().map(|(id, sessions, _)| (*id, *sessions)).collect();
    assert_eq!(sent, vec![(2, 25); sent.len()]);
    assert!((3..=5).contains(&sent.len()), "{sent:?}");
    let hosts: BTreeSet<_> = world.sent_away.iter().map(|(_, _, host)| host.to_string()).collect();
    assert_eq!(hosts, BTreeSet::from(["127.0.1.1:5222".to_owned(), "127.0.1.3:5222".to_owned()]));
    assert_eq!(world.node(2).service(), Service::Serve);

    world.order(3, Order::Undrain { name: "node2".to_owned() });
    world.run(100);
    let before = world.sent_away.len();
    world.run(1_000);
    assert_eq!((world.ordered.len(), world.sent_away.len()), (2, before));
}

#[test]
fn a_drained_leader_hands_over_and_is_not_told_to_lead() {
    let mut world = World::of(3);

    world.order(2, drain("node1"));
    world.run(100);

    assert!(matches!(world.transfers[..], [(1, MemberId(2 | 3)), ..]));
    world.elect(3);
    world.order(2, transfer_to("node1"));
    assert_eq!(world.refusals(), ["'node1' is drained: it does not lead until it is undrained"]);
    world.transfers.clear();
    world.run(1_000);
    assert_eq!(world.transfers, vec![]);
}

#[test]
fn the_last_server_that_takes_clients_is_not_drained() {
    let mut world = World::with(3, |settings| {
        if settings.member == MemberId(3) {
            settings.role = Role::Witness;
        }
    });
    world.order(1, drain("node1"));
    world.run(100);
    assert_eq!(world.ordered, vec![Ok(())]);

    world.order(3, drain("node2"));
    world.order(3, drain("node3"));
    world.run(100);

    assert_eq!(world.refusals(), ["no other server is up that takes the clients of 'node2'"]);
    assert_eq!(world.ordered.last(), Some(&Ok(())));
}

/// T22.
#[test]
fn a_witness_is_not_told_to_lead() {
    let mut world = World::with(3, |settings| {
        if settings.member == MemberId(3) {
            settings.role = Role::Witness;
        }
    });

    world.order(1, transfer_to("node3"));
    world.run(100);

    assert_eq!(world.refusals(), ["'node3' is a witness: it leads only while no server can"]);
}

fn drain(name: &str) -> Order {
    Order::Drain { name: name.to_owned() }
}

fn transfer_to(name: &str) -> Order {
    Order::TransferLeader { to: name.to_owned() }
}

impl World {
    pub(super) fn order(&mut self, at: u64, order: Order) {
        self.handle(at, Input::Order { id: OrderId(7), order });
    }

    fn refusals(&self) -> Vec<String> {
        self.ordered.iter().filter_map(|outcome| outcome.as_ref().err().map(ToString::to_string)).collect()
    }
}
