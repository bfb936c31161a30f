//! The stories.

#![allow(clippy::wildcard_enum_match_arm, reason = "a story picks the few events that concern it")]

mod faults;

use std::time::Duration;

use cresset_sim::history::{Event, Record};
use cresset_sim::plan::BEGINS;
use cresset_sim::trace::{Detail, Trace};
use cresset_sim::{Fault, Plan, Report, Target, run};

const MILLISECOND: Duration = Duration::from_millis(1);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn carry_out(plan: &Plan) -> Report {
    let report = run(plan, Trace::new(Detail::Nothing, None));
    assert!(report.violations.is_empty(), "{report}\n(the same again in words: see the plan {plan})");
    report
}

/// How many messages one user received from another in that time.
fn received(report: &Report, user: &str, from: Duration, to: Duration) -> usize {
    let is_his = |event: &Event| matches!(event, Event::Received { connection, .. } if connection.user == user);
    let in_time = |record: &&Record| record.at >= from && record.at < to;
    report.history.iter().filter(in_time).filter(|record| is_his(&record.event)).count()
}

/// Which node the user is at, by his last login before then.
fn node_of(report: &Report, user: &str, before: Duration) -> String {
    let mut logins =
        report.history.iter().filter(|record| record.at < before).filter_map(|record| match &record.event {
            Event::LoggedIn { connection, node, .. } if connection.user == user => Some(node.clone()),
            _ => None,
        });
    logins.next_back().expect("the user has logged in")
}

#[test]
fn three_nodes_form_one_cluster_and_users_of_different_nodes_talk() {
    let report = carry_out(&Plan::calm(1));

    let formed =
        report.first(Duration::ZERO, |event| matches!(event, Event::Sees { view, .. } if view.active.len() == 3));
    assert!(formed.is_some_and(|at| at < seconds(5)), "formed at {formed:?}");
    assert_ne!(node_of(&report, "u1", seconds(10)), node_of(&report, "u2", seconds(10)));
    let sent = report.count(|event| matches!(event, Event::Sent { .. }));
    let received = report.count(|event| matches!(event, Event::Received { .. }));
    let bounced = report.count(|event| matches!(event, Event::Bounced { .. }));
    assert!(sent > 100 && received + bounced == sent, "{sent} sent, {received} received, {bounced} bounced");
    // Until the cluster has formed, whoever dials is sent away.
    let disconnected = report.first(BEGINS, |event| matches!(event, Event::Disconnected { .. }));
    assert_eq!(disconnected, None);
}

/// The user of a node whose process is killed is back elsewhere at once, and gets what was said to him meanwhile.
#[test]
fn a_user_whose_node_crashes_goes_on_at_another_one() {
    let crash = seconds(10);
    // At which node he is depends on which of them came up first.
    let node = node_of(&carry_out(&Plan::calm(2)), "u2", crash);
    let number = Plan::calm(2).node_names().iter().position(|name| *name == node).expect("it is a node");
    let fault = Fault::Crash { node: Target::Node(number) };
    let plan = Plan::calm(2).with(crash, seconds(6), fault).healing_at(seconds(16));

    let report = carry_out(&plan);

    assert_eq!(node_of(&report, "u2", crash), node);
    let is_back = |event: &Event| matches!(event, Event::LoggedIn { connection, .. } if connection.user == "u2");
    let back = report.first(crash, is_back).expect("he logs in again");
    assert!(back - crash < seconds(1), "back after {:?}", back - crash);
    assert_ne!(node_of(&report, "u2", plan.heals_at), node);
    assert!(received(&report, "u2", back, plan.heals_at) > 5);
}

/// The node that led serves nobody once its lease has ended, although it runs and its users reach it; the others go on
/// without it, and it comes back as one of them.
#[test]
fn a_leader_that_is_cut_off_fences_itself_and_comes_back() {
    let cut = seconds(10);
    let lease_is_over = cut + Duration::from_millis(3300);
    let plan = Plan::calm(3).with(cut, seconds(12), Fault::Isolate { node: Target::Leader }).healing_at(seconds(22));

    let report = carry_out(&plan);

    let led = report.history.iter().find_map(|record| match &record.event {
        Event::Began { nodes, .. } => nodes.first().cloned(),
        _ => None,
    });
    let led = led.expect("somebody led");
    let serves =
        |event: &Event| matches!(event, Event::Delivers { node, .. } | Event::Holds { node, .. } if *node == led);
    let served = report.first(lease_is_over, serves);
    assert!(served.is_none_or(|at| at > plan.heals_at), "{led} served at {served:?}");
    let others = |event: &Event| matches!(event, Event::Delivers { node, .. } if *node != led);
    let before_heal = report.history.iter().filter(|record| record.at > lease_is_over && record.at < plan.heals_at);
    assert!(before_heal.filter(|record| others(&record.event)).count() > 20, "the majority goes on");
}

#[test]
fn the_same_seed_is_the_same_run_to_the_last_byte() {
    for seed in 1..=4 {
        let plan = Plan::draw(seed);

        // Whether it holds is asked of swarms.
        let once = || run(&plan, Trace::new(Detail::Nothing, None));
        let (first, second) = (once(), once());

        assert_eq!((first.trace, first.records), (second.trace, second.records), "{plan}");
        assert!(first.records > 10_000 && first.history.len() > 100);
    }
}

#[test]
fn different_seeds_are_different_runs() {
    let trace =
        |seed| run(&Plan { ends_at: MILLISECOND * 3000, ..Plan::calm(seed) }, Trace::new(Detail::Nothing, None)).trace;

    assert_ne!(trace(1), trace(2));
}
