//! What each fault does, as seen from outside.

use super::*;
use cresset_sim::plan::{Stored, Way};

const BEGINS: Duration = Duration::from_secs(8);
const LASTS: Duration = Duration::from_millis(1500);

fn plan(seed: u64, fault: Fault) -> Plan {
    let plan = Plan::calm(seed).with(BEGINS, LASTS, fault).healing_at(BEGINS + LASTS);
    // Nothing that is watched here takes longer to be good again.
    Plan { silent_from: plan.heals_at + seconds(6), ends_at: plan.heals_at + seconds(9), ..plan }
}

/// One of each, whatever comes of it: when all have ended, the cluster is whole and nothing is missing.
#[test]
fn after_each_fault_the_cluster_is_whole_again() {
    let (node, other) = (Target::Node(1), Target::Node(2));
    let user = 0;
    let faults = [
        Fault::Crash { node },
        Fault::PowerLoss { node },
        Fault::Pause { node },
        Fault::RestartStorm { node, every: MILLISECOND * 400 },
        Fault::Stop { node },
        Fault::LoseDisk { node },
        Fault::Isolate { node },
        Fault::OneWay { node, way: Way::Out },
        Fault::OneWay { node, way: Way::In },
        Fault::Split { nodes: vec![node] },
        Fault::Ring,
        Fault::Bridge { node },
        Fault::Clog { nodes: [node, other] },
        Fault::Swizzle { nodes: vec![node, other] },
        Fault::Loss { percent: 30 },
        Fault::Slow { worst: MILLISECOND * 100 },
        Fault::Reset { node, times: 3 },
        Fault::HalfOpen { nodes: [node, other] },
        Fault::Shunned { nodes: [node, other] },
        Fault::FalseCrash { node },
        Fault::DiskFull { node },
        Fault::SyncFails { node },
        Fault::SlowDisk { node, delay: MILLISECOND * 50 },
        Fault::FlippedBit { node, file: Stored::Log },
        Fault::LostVote { node },
        Fault::WallClockStep { node, seconds: -3600 },
        Fault::WallClockFreeze { node },
        Fault::Rival { user },
        Fault::Storm { node, times: 2 },
        Fault::Flapping { user },
        Fault::ResumptionRace { user },
        Fault::SlowReader { user },
        Fault::StoreStalls,
    ];
    for (seed, fault) in (100..).zip(faults) {
        let report = carry_out(&plan(seed, fault));

        assert_eq!(report.count(|event| matches!(event, Event::Began { .. })), 1);
        assert_eq!(report.count(|event| matches!(event, Event::Ended { .. })), 1);
    }
}

/// Nothing that a suspended process does is seen by anybody, and afterwards it goes on where it was.
#[test]
fn a_process_that_stands_still_says_nothing() {
    let report = carry_out(&plan(201, Fault::Pause { node: Target::Node(0) }));

    let at = |kind: fn(&Event) -> bool| report.first(BEGINS, kind).expect("it happens");
    let (from, to) =
        (at(|event| matches!(event, Event::Paused { .. })), at(|event| matches!(event, Event::Continued { .. })));
    assert_eq!(to - from, LASTS);
    let speaks = |event: &Event| match event {
        Event::Delivers { node, .. } | Event::Holds { node, .. } | Event::Sees { node, .. } => node == "n1",
        _ => false,
    };
    let meanwhile = report.first(from, speaks).expect("it goes on");
    assert!(meanwhile >= to, "it spoke at {meanwhile:?}, and stood still from {from:?} to {to:?}");
}

/// A machine without power sends no resets; a process that is killed on a machine that lives does.
#[test]
fn who_loses_power_says_nothing_and_who_is_killed_is_missed_at_once() {
    let missed_after = |fault: Fault| {
        let report = carry_out(&plan(202, fault));
        let is_missed = |event: &Event| matches!(event, Event::Disconnected { node, .. } if node == "n1");
        report.first(BEGINS, is_missed).expect("its users notice some time") - BEGINS
    };

    let killed = missed_after(Fault::Crash { node: Target::Node(0) });
    let without_power = missed_after(Fault::PowerLoss { node: Target::Node(0) });

    assert!(killed < MILLISECOND * 50, "{killed:?}");
    assert!(without_power > LASTS / 2, "{without_power:?}");
}

/// The process ends itself, is started with the same disk, and what it had promised is still there.
#[test]
fn a_node_whose_sync_fails_ends_itself() {
    let plan = plan(203, Fault::SyncFails { node: Target::Node(0) });
    // Whoever logs in has to be written down.
    let report =
        carry_out(&plan.with(BEGINS + MILLISECOND * 100, LASTS / 2, Fault::Storm { node: Target::Node(2), times: 1 }));

    assert_eq!(report.count(|event| matches!(event, Event::Failed { .. })), 1);
    assert_eq!(report.count(|event| matches!(event, Event::DiskLost { .. })), 0);
}

/// Who has lost his votes must not vote: he refuses to start, and is given an empty disk.
#[test]
fn a_node_whose_votes_are_gone_does_not_start() {
    let report = carry_out(&plan(204, Fault::LostVote { node: Target::Node(0) }));

    let refuses = |event: &Event| matches!(event, Event::Failed { reason, .. } if reason.contains("does not start"));
    assert_eq!(report.count(refuses), 1);
    assert_eq!(report.count(|event| matches!(event, Event::DiskLost { .. })), 1);
}
