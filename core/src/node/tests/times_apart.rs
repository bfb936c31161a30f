//! The times on which fencing rests become others while members have not all applied the same (T10).

use super::times::{LONG, SHORT, change, milliseconds, of_later_programs, with_long_times};
use super::*;
use crate::cluster::Installation;

/// Longer leases, shorter ones, and everything in opposite directions; whichever member is the last to hear of it.
#[test]
fn at_no_moment_of_any_change_a_lease_outlives_the_patience_of_another_member() {
    let all = [(250, 3000, 5, 4000), (250, 12_000, 5, 15_000), (100, 1000, 20, 2000), (500, 3000, 0, 3001)];
    for (former, later) in all.into_iter().flat_map(|former| all.map(|later| (former, later))) {
        for last in (1..=3).filter(|_| former != later) {
            let mut world = of_later_programs(3, |settings| {
                let times = times(former);
                settings.timing.heartbeat = times.heartbeat;
                settings.timing.lease = times.lease;
                settings.timing.drift_percent = times.drift_percent;
                settings.timing.expel_after = times.expel_after;
            });
            world.deaf_to_log.insert(last);

            world.order(if last == 1 { 2 } else { 1 }, order(times(later)));
            for _ in 0..300 {
                world.run(1);
                assert_no_lease_outlives_a_patience(&world);
            }
            let is_in_force = |node: &Node, times| node.state().times().in_force() == Some(times);
            assert!(world.nodes.values().all(|node| is_in_force(node, times(former))), "member {last} does not know");
            world.deaf_to_log.clear();
            world.run_until(2_000, |world| {
                assert_no_lease_outlives_a_patience(world);
                world.nodes.values().all(|node| is_in_force(node, times(later)))
            });

            assert_eq!(world.ordered, vec![Ok(())], "{} and then {}", times(former), times(later));
            assert!(world.nodes.values().all(|node| node.service() == Service::Serve));
        }
    }
}

/// Found by review, promise P1: the leader has decided to expel it by the former times, which does not wait for the later
/// ones. Its lease had ended by then, and must not come back with them.
#[test]
fn a_lease_that_has_ended_does_not_come_back_with_longer_times() {
    let mut world = of_later_programs(3, |_| {});
    world.unheard.insert((3, 1));
    world.run_until(4_000, |world| world.node(3).service() != Service::Serve);
    world.lose_proposals = 1;
    world.run_until(4_000, |world| world.lose_proposals == 0);

    world.unheard.clear();
    world.order(1, change(LONG));
    let is_over = |world: &World| !world.node(3).state().member(MemberId(3)).unwrap().is_alive();
    let mut prolonged = false;
    while !is_over(&world) {
        world.run(1);
        prolonged |= world.node(3).times().lease == milliseconds(12_000);
        assert_ne!(world.node(3).service(), Service::Serve, "the proposal that was lost is made again");
    }

    assert!(prolonged, "otherwise this shows nothing");
}

/// It knows of the former times only, by which it stops; the others wait as the later ones say.
#[test]
fn a_member_that_does_not_hear_of_longer_times_is_waited_for_as_the_longer_ones_say() {
    let mut world = of_later_programs(3, |_| {});
    world.cut_off.insert(3);
    let cut_at = world.now;

    world.order(1, change(LONG));
    let paused = world.run_until_it_stops(3);
    assert_eq!(world.node(1).times().lease, milliseconds(3000), "the shorter lease");
    let expelled = world.run_until_it_is_expelled(3, 1);

    assert!(paused.since(cut_at) <= milliseconds(3000));
    assert!(expelled.since(cut_at) > milliseconds(14_000));
    world.run(600);
    assert_eq!(world.node(2).times().lease, milliseconds(12_000), "nobody is waited for any more");
}

/// The leader is a member as any other: it holds a lease, and its successor shortens those of all.
#[test]
fn a_leader_that_is_cut_off_with_a_longer_lease_is_waited_for() {
    let mut world = with_long_times();
    world.cut_off.insert(1);
    world.elect(2);

    world.order(2, change(SHORT));
    let paused = world.run_until_it_stops(1);
    let expelled = world.run_until_it_is_expelled(1, 2);

    assert!(expelled > paused, "promise P1");
    world.run(600);
    assert_eq!(world.node(3).times().expel_after, milliseconds(4000));
}

/// What is in the snapshot counts as if it had come entry by entry, before anybody is told that it was applied.
#[test]
fn a_member_that_gets_a_snapshot_follows_what_is_in_it() {
    let mut world = with_long_times();
    world.deaf_to_log.insert(3);
    world.order(1, change(SHORT));
    world.run(100);
    assert_eq!(world.node(3).times().lease, milliseconds(12_000));

    install(&mut world, 3);
    assert_eq!(world.node(3).times().lease, milliseconds(3000), "in the middle of the change");
    assert_eq!(world.node(3).times().expel_after, milliseconds(15_000));
    assert!(world.node(3).lease_until().unwrap() <= world.now + milliseconds(3000));
    assert_eq!(world.node(1).times().expel_after, milliseconds(15_000));

    world.run(500);
    assert_eq!(world.node(1).times().expel_after, milliseconds(4000), "it has said that it knows");
    install(&mut world, 3);
    assert_eq!(world.node(3).times().expel_after, milliseconds(4000));
}

/// Its file says what was before the order, or anything else.
#[test]
fn a_process_that_is_started_with_another_file_follows_what_is_agreed() {
    let mut world = with_long_times();

    restart(&mut world, 3, |settings| settings.timing.lease = milliseconds(1000));
    assert_eq!(world.node(3).times().lease, milliseconds(1000), "it has applied nothing yet");
    world.run_until(3_000, |world| world.node(3).service() == Service::Serve);

    assert_eq!(world.node(3).times(), world.node(1).times());
    assert_eq!(world.node(3).times_of_its_file().lease, milliseconds(1000));
    world.elect(3);
    world.run(1000);
    assert_eq!(world.node(1).state().times().change(), None, "a leader proposes those of its file only once");
    assert_eq!(world.node(1).times().lease, milliseconds(12_000));
}

#[test]
fn a_node_that_joins_in_the_middle_of_a_change_is_as_cautious_as_the_others() {
    let mut world = of_later_programs(3, |_| {});
    world.deaf_to_log.insert(3);
    world.order(1, change(LONG));
    world.run(10);

    world.nodes.insert(4, Node::new(world.now, NodeSettings { versions: later(), ..settings(4) }));
    world.raft(4);
    (1..=3).for_each(|other| world.link(4, other));
    world.run_until(900, |world| world.node(4).life().is_some());
    assert_eq!(world.node(4).times().expel_after, milliseconds(15_000));
    assert_eq!(world.node(4).times().lease, milliseconds(3000));

    world.deaf_to_log.clear();
    world.run_until(3_000, |world| world.node(4).service() == Service::Serve);
    world.run(500);
    assert!(world.nodes.values().all(|node| node.times().lease == milliseconds(12_000)));
}

/// It serves no clients, but it may lead and judge the others.
#[test]
fn a_witness_is_waited_for_as_anybody() {
    let mut world = of_later_programs(3, |settings| {
        if settings.member == MemberId(3) {
            settings.role = Role::Witness;
        }
    });
    world.deaf_to_log.insert(3);

    world.order(1, change(LONG));
    world.run(500);
    assert_eq!(world.node(1).times().lease, milliseconds(3000));

    world.deaf_to_log.clear();
    world.run(500);
    assert!(world.nodes.values().all(|node| node.times().lease == milliseconds(12_000)));
}

/// They are upgraded one by one while the others serve.
#[test]
fn nothing_is_agreed_on_before_the_last_program_knows_how() {
    let mut world = World::of(3);
    for id in [1, 2] {
        restart(&mut world, id, |settings| settings.versions = later());
        world.run_until(3_000, |world| world.node(id).service() == Service::Serve);
    }
    assert_eq!((world.node(1).state().version(), world.node(1).state().times().wanted()), (1, None));
    world.order(1, change(LONG));
    assert_eq!(world.ordered, vec![Err(Refusal::NoTimes)]);

    restart(&mut world, 3, |settings| settings.versions = later());
    world.run_until(3_000, |world| world.node(3).service() == Service::Serve);
    world.run(500);

    let usual = Timing::default().times();
    assert!(world.nodes.values().all(|node| node.state().times().in_force() == Some(usual)));
}

/// Promise P11. Whoever proposes does it again until it sees that it is done; another operator has changed them since.
#[test]
fn a_proposal_that_comes_late_changes_nothing_again() {
    let mut world = with_long_times();
    let is_change = |command: &&Command| matches!(command, Command::ChangeTimes { .. });
    let late = world.log.iter().rev().find(is_change).unwrap().clone();
    world.order(2, change(SHORT));
    world.run(500);

    world.log.push(late);
    world.run(500);

    assert_eq!(world.node(3).state().times().change(), None);
    assert_eq!(world.node(3).times().lease, milliseconds(3000));
}

/// The operator's connection broke, and he says it again.
#[test]
fn an_order_that_is_under_way_already_is_done_when_the_first_one_is() {
    let mut world = of_later_programs(3, |_| {});
    world.deaf_to_log.insert(3);
    world.order(1, change(LONG));
    world.run(100);
    world.order(2, change(LONG));
    assert_eq!(world.ordered, vec![]);

    world.deaf_to_log.clear();
    world.run(500);

    assert_eq!(world.ordered, vec![Ok(()), Ok(())]);
}

/// Each member may be the one to be expelled, and each other one the one that leads.
fn assert_no_lease_outlives_a_patience(world: &World) {
    let all = || world.nodes.values();
    for (holder, judge) in all().flat_map(|holder| all().map(move |judge| (holder, judge))) {
        let (lease, patience) = (holder.times(), judge.times());
        let drift_percent = lease.drift_percent.min(patience.drift_percent);
        let both = Times { expel_after: patience.expel_after, drift_percent, ..lease };
        assert!(both.is_fencing_safe(), "{lease} of one, {patience} of another");
    }
}

fn times((heartbeat, lease, drift_percent, expel_after): (u64, u64, u32, u64)) -> Times {
    let [heartbeat, lease, expel_after] = [heartbeat, lease, expel_after].map(milliseconds);
    Times { heartbeat, lease, drift_percent, expel_after }
}

fn order(Times { heartbeat, lease, drift_percent, expel_after }: Times) -> Order {
    Order::ChangeTimes(TimesWanted {
        heartbeat: Some(heartbeat),
        lease: Some(lease),
        drift_percent: Some(drift_percent),
        expel_after: Some(expel_after),
    })
}

fn later() -> VersionRange {
    VersionRange { min: 1, max: 2 }
}

/// All that the leader has applied, in the place of entries.
fn install(world: &mut World, id: u64) {
    let state = world.node(1).state().clone();
    world.fed.insert(id, state.applied().0 as usize);
    world.handle(id, Input::Installed(Box::new(Installation::untold(state))));
}

/// Another process of the same member, with the same log.
fn restart(world: &mut World, id: u64, adjust: impl Fn(&mut NodeSettings)) {
    let mut settings = world.node(id).settings.clone();
    settings.boot = BootId(settings.boot.0 + 1000);
    adjust(&mut settings);
    world.nodes.insert(id, Node::new(world.now, settings));
    world.fed.remove(&id);
    world.raft(id);
    for other in world.nodes.keys().copied().filter(|other| *other != id).collect::<Vec<_>>() {
        world.link(id, other);
    }
}
