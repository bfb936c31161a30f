//! No node ends by itself while its disk is good (P12), and none writes to a client what its own parser would refuse
//! (architecture, section 7). A node whose disk breaks by the plan may end, or refuse to start, while it is broken,
//! and one on whose disk something was damaged until it has been given another; none starts while its disk is full, nor
//! with a program that the others have outgrown.

use std::time::Duration;

use super::found;
use super::windows::{Window, windows};
use crate::history::{Event, Record};
use crate::plan::{Fault, Plan};
use crate::report::Violation;

/// A node takes a moment to find out, and to be started again.
const AFTERWARDS: Duration = Duration::from_secs(2);

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let windows = windows(plan, history);
    let is_replaced = |node: &str, from: Duration, to: Duration| {
        let replaced = |record: &Record| matches!(&record.event, Event::DiskLost { node: of } if of == node);
        history.iter().any(|record| from <= record.at && record.at <= to && replaced(record))
    };
    let is_excused = |node: &str, at: Duration| {
        windows.iter().filter(|window| may_end_a_node(window) && window.met(node)).any(|window| {
            let is_there = window.touches(at.saturating_sub(AFTERWARDS), at);
            is_there || (does_damage(window) && window.to <= at && !is_replaced(node, window.to, at))
        })
    };
    // A process that starts has something to write before it is anybody. One that is there waits for room.
    let has_no_room = |node: &str, reason: &str, at: Duration| {
        let is_full = |window: &Window<'_>| matches!(window.fault, Fault::DiskFull { .. }) && window.met(node);
        reason.starts_with("it does not start")
            && windows.iter().any(|window| is_full(window) && window.touches(at, at))
    };
    let faults = history.iter().filter(|record| match &record.event {
        Event::Failed { node, reason } => !is_excused(node, record.at) && !has_no_room(node, reason, record.at),
        Event::UnreadableOutput { .. } => true,
        _ => false,
    });
    faults.map(|record| found("sound_nodes", record, record.event.to_string())).collect()
}

/// Whether a node may refuse to go on because of it.
fn may_end_a_node(window: &Window<'_>) -> bool {
    matches!(
        window.fault,
        Fault::SyncFails { .. }
            | Fault::FlippedBit { .. }
            | Fault::LostVote { .. }
            | Fault::ShortReads { .. }
            | Fault::OldBackup { .. }
            | Fault::OldProgram { .. }
    )
}

/// Whether what it did to the disk outlasts it.
fn does_damage(window: &Window<'_>) -> bool {
    matches!(window.fault, Fault::FlippedBit { .. } | Fault::LostVote { .. } | Fault::OldBackup { .. })
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;
    use crate::plan::Target;

    fn failed(milliseconds: u64) -> Record {
        at(milliseconds, Event::Failed { node: "n1".to_owned(), reason: "input/output error".to_owned() })
    }

    #[test]
    fn a_node_may_end_only_while_its_disk_is_broken() {
        let fault = Fault::SyncFails { node: Target::Node(0) };
        let plan = Plan::calm(1).with(Duration::from_secs(1), Duration::from_secs(1), fault);
        let began = at(1000, Event::Began { episode: 0, nodes: vec!["n1".to_owned()] });
        let ended = at(2000, Event::Ended { episode: 0 });

        assert_eq!(check(&plan, &[began.clone(), failed(1500), ended.clone()]), []);
        assert_eq!(check(&plan, &[began, ended, failed(9000)]).len(), 1);
        assert_eq!(check(&Plan::calm(1), &[failed(1500)]).len(), 1);
    }

    #[test]
    fn a_node_whose_disk_is_damaged_may_end_until_it_has_another_one() {
        let fault = Fault::LostVote { node: Target::Node(0) };
        let plan = Plan::calm(1).with(Duration::from_secs(1), Duration::from_secs(1), fault);
        let began = at(1000, Event::Began { episode: 0, nodes: vec!["n1".to_owned()] });
        let ended = at(2000, Event::Ended { episode: 0 });
        let replaced = at(5000, Event::DiskLost { node: "n1".to_owned() });

        assert_eq!(check(&plan, &[began.clone(), ended.clone(), failed(9000)]), []);
        assert_eq!(check(&plan, &[began, ended, replaced, failed(9000)]).len(), 1);
    }
}
