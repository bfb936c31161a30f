//! The times on which fencing rests, which are agreed on and changed while members serve (T10).

use super::*;

pub(super) const LONG: (u64, u64) = (12_000, 15_000);
pub(super) const SHORT: (u64, u64) = (3000, 4000);

/// The founder's file says them first.
#[test]
fn members_that_know_how_agree_on_the_times_of_the_leaders_file() {
    let world = of_later_programs(3, |settings| {
        settings.timing.lease = milliseconds(5000);
        settings.timing.expel_after = milliseconds(6000);
    });

    for node in world.nodes.values() {
        let times = node.state().times();
        assert_eq!((times.in_force(), times.change()), (Some(node.times_of_its_file()), None));
        assert_eq!(node.times().lease, milliseconds(5000));
    }
}

#[test]
fn members_of_which_one_does_not_know_how_follow_their_files() {
    let mut world = World::of(3);

    world.order(2, change(LONG));

    assert_eq!(world.node(1).state().times().wanted(), None);
    assert_eq!(world.ordered, vec![Err(Refusal::NoTimes)]);
}

#[test]
fn an_operator_changes_the_times_of_all_members() {
    let mut world = of_later_programs(3, |_| {});

    world.order(2, change(LONG));
    world.run(400);

    assert_eq!(world.ordered, vec![Ok(())]);
    for node in world.nodes.values() {
        assert_eq!((node.times().lease, node.times().expel_after), (milliseconds(12_000), milliseconds(15_000)));
        assert_eq!(node.service(), Service::Serve);
    }
    world.order(2, change(LONG));
    world.run(10);
    assert_eq!(world.ordered, vec![Ok(()), Ok(())], "they are so already");
}

/// With the later times the others expel it after four seconds; its lease of the former ones lasts for twelve.
#[test]
fn a_member_that_does_not_hear_of_shorter_times_is_waited_for_as_the_longer_ones_say() {
    let mut world = with_long_times();
    world.cut_off.insert(3);
    let cut_at = world.now;

    world.order(1, change(SHORT));
    world.run(100);
    assert_eq!(world.node(1).times().lease, milliseconds(3000), "the shorter lease");
    assert_eq!(world.node(1).times().expel_after, milliseconds(15_000), "the longer patience");
    let paused = world.run_until_it_stops(3);
    let expelled = world.run_until_it_is_expelled(3, 1);

    assert!(paused.since(cut_at) > milliseconds(11_000), "it knows of the longer lease only");
    assert!(expelled > paused, "promise P1");
    world.run(600);
    assert_eq!(world.node(1).state().times().change(), None, "nobody is waited for any more");
    assert_eq!(world.node(2).times().expel_after, milliseconds(4000));
}

#[test]
fn longer_leases_wait_until_every_member_is_more_patient() {
    let mut world = of_later_programs(3, |_| {});
    world.deaf_to_log.insert(3);

    world.order(1, change(LONG));
    world.run(500);
    let held = |world: &World| world.nodes.values().map(|node| node.times().lease).max();
    assert_eq!(held(&world), Some(milliseconds(3000)));

    world.deaf_to_log.clear();
    world.run(500);
    assert_eq!(held(&world), Some(milliseconds(12_000)));
}

/// A lease that was asked for by the former times is shorter as soon as the others may rely on that.
#[test]
fn a_lease_that_is_held_is_shortened_before_the_member_says_that_it_knows() {
    let mut world = with_long_times();
    let until = world.node(3).lease_until().unwrap();
    assert!(until.since(world.now) > milliseconds(11_000));

    world.order(1, change(SHORT));
    let is_known = |world: &World| {
        let leader = world.node(1);
        leader.state().times().change().is_some_and(|change| leader.applied_by(MemberId(3)) >= Some(change.since))
    };
    world.run_until(400, is_known);

    assert!(world.node(3).lease_until().unwrap() <= world.now + milliseconds(3000));
}

/// It may have been started a moment ago, and know the times of its file only.
#[test]
fn a_leader_that_has_not_applied_what_was_agreed_before_expels_nobody_for_silence() {
    let mut world = of_later_programs(3, |_| {});
    world.deaf_to_log.insert(2);
    world.order(1, change(LONG));
    world.run(200);
    world.cut_off.insert(3);
    let cut_at = world.now;

    world.elect(2);
    world.run(8_000);
    let is_expulsion = |command: &Command| matches!(command, Command::Expel { .. });
    assert!(!world.log.iter().any(is_expulsion), "it follows {}", world.node(2).times());
    world.deaf_to_log.clear();
    let expelled = world.run_until_it_is_expelled(3, 2);

    assert!(expelled.since(cut_at) > milliseconds(14_000));
}

#[test]
fn times_with_which_two_could_serve_one_user_are_refused_with_a_sentence() {
    let mut world = of_later_programs(3, |_| {});

    world.order(2, Order::ChangeTimes(TimesWanted { lease: Some(milliseconds(12_000)), ..TimesWanted::default() }));
    world.order(2, Order::ChangeTimes(TimesWanted { drift_percent: Some(51), ..TimesWanted::default() }));

    let refusals: Vec<_> = world.ordered.iter().map(|outcome| outcome.clone().unwrap_err().to_string()).collect();
    assert!(refusals[0].ends_with("two nodes could serve one user; expected at least 14000 ms"), "{refusals:?}");
    assert_eq!(refusals[1], "drift: expected from 0 to 50 %");
}

#[test]
fn a_change_of_the_times_outlives_the_leader_that_began_it() {
    let mut world = of_later_programs(3, |_| {});
    world.deaf_to_log.insert(3);
    world.order(2, change(LONG));
    world.run(100);
    assert!(world.node(2).state().times().change().is_some());
    world.order(2, change(SHORT));
    assert_eq!(world.ordered.len(), 1);
    assert!(matches!(world.ordered[0], Err(Refusal::TimesAreChanging { .. })), "{:?}", world.ordered);

    world.elect(2);
    world.deaf_to_log.clear();
    world.run(1000);

    assert_eq!(world.ordered.last(), Some(&Ok(())));
    assert_eq!(world.node(1).times().lease, milliseconds(12_000));
}

#[test]
fn a_process_that_begins_another_life_follows_what_is_agreed() {
    let mut world = with_long_times();

    world.reborn(3);

    assert_eq!(world.node(3).times().lease, milliseconds(12_000));
}

pub(super) fn of_later_programs(count: u64, adjust: impl Fn(&mut NodeSettings)) -> World {
    World::with(count, |settings| {
        settings.versions = VersionRange { min: 1, max: 2 };
        adjust(settings);
    })
}

/// Three members that have agreed on times longer than those of their files.
pub(super) fn with_long_times() -> World {
    let mut world = of_later_programs(3, |_| {});
    world.order(1, change(LONG));
    world.run(500);
    world
}

pub(super) fn change((lease, expel_after): (u64, u64)) -> Order {
    let (lease, expel_after) = (Some(milliseconds(lease)), Some(milliseconds(expel_after)));
    Order::ChangeTimes(TimesWanted { lease, expel_after, ..TimesWanted::default() })
}

pub(super) fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}
