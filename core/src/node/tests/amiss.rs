//! What operators are told when waiting does not help (T9, T11).

use super::*;

const RECOVER: &str = "cresset cluster recover --force-new-cluster --config a.xml";

fn amiss(node: &Node, names: &[(u64, &str)], refusals: &[&str], was_founded: bool) -> Option<Amiss> {
    let names = names.iter().map(|(id, name)| (MemberId(*id), (*name).to_owned())).collect();
    let addresses = (5701..).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let refusals = addresses.zip(refusals.iter().map(|reason| (*reason).to_owned())).collect();
    node.amiss(Surroundings { names: &names, refusals: &refusals, was_founded, recover: RECOVER })
}

/// Two of three were started again with empty disks: they answer, and are no members.
#[test]
fn who_answers_by_the_name_of_a_voter_and_is_another_member_does_not_count() {
    let mut world = World::of(3);
    world.crash(2);
    world.crash(3);
    let called = [(2, "node2"), (3, "node3"), (4, "node2"), (5, "node3")];
    assert_eq!(amiss(world.node(1), &called, &[], true), None, "nobody answers: they may come back");

    for id in [4, 5] {
        let peer = Peer { member: MemberId(id), boot: BootId(id) };
        world.handle(1, Input::LinkUp(peer));
    }

    assert!(world.node(1).answers(MemberId(4)) && !world.node(1).answers(MemberId(2)));
    let told = amiss(world.node(1), &called, &[], true).expect("the quorum is lost").to_string();
    assert!(
        told.contains("they voted: node2, node3; put the old directories back") && told.contains(RECOVER),
        "{told}"
    );
}

/// A voter that was started again answers as that member before it has joined anew.
#[test]
fn a_voter_that_is_back_counts_before_it_has_joined() {
    let mut world = World::of(3);
    world.crash(2);
    world.crash(3);

    world.handle(1, Input::LinkUp(Peer { member: MemberId(2), boot: BootId(77) }));

    assert!(world.node(1).answers(MemberId(2)));
    assert_eq!(amiss(world.node(1), &[(2, "node2")], &["the domains differ"], true), None);
}

#[test]
fn a_node_that_lost_its_directory_is_told_what_helps() {
    let node = Node::new(Uptime::ZERO, settings(7));

    assert_eq!(amiss(&node, &[], &[], false), None, "it is about to found the cluster");
    let told = amiss(&node, &[], &[], true).expect("nobody knows the log").to_string();

    assert!(told.contains("has nothing of it") && told.contains(RECOVER), "{told}");
}

/// T11. A voter that is left knows of the leader that it had.
#[test]
fn a_leader_that_is_gone_leads_nobody() {
    let mut node = Node::new(Uptime::ZERO, settings(7));
    let peer = |id| Peer { member: MemberId(id), boot: BootId(id) };
    let (left, leader) = (peer(2), peer(1));
    node.handle(Uptime::ZERO, Input::LinkUp(left));
    let message = ControlMessage::Beat {
        round: Sequence(1),
        applied: LogIndex(0),
        life: None,
        leader: Some(leader.member),
        unheard: BTreeSet::new(),
    };
    node.handle(Uptime::ZERO, Input::Control { from: left, message, voted: Term(0) });

    let told = amiss(&node, &[], &[], true).expect("nobody who answers knows the log").to_string();
    assert!(told.contains("has nothing of it"), "{told}");

    node.handle(Uptime::ZERO, Input::LinkUp(leader));
    assert_eq!(amiss(&node, &[], &[], true), None, "it is about to join");
}

/// Whoever is only turned away must not be told to give the cluster up.
#[test]
fn a_node_that_is_refused_is_told_why_and_not_to_recover() {
    let node = Node::new(Uptime::ZERO, settings(7));

    let told = amiss(&node, &[], &["the domains differ"], true).expect("it is refused").to_string();

    assert_eq!(told, "the node at 127.0.0.1:5701 and this one do not speak with each other: the domains differ");
}

#[test]
fn a_cluster_that_has_its_quorum_is_told_nothing() {
    let world = World::of(3);

    assert_eq!(amiss(world.node(1), &[(9, "node2")], &["the domains differ"], true), None);
}
