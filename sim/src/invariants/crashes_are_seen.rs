//! Nobody is expelled as crashed whose process did not go, unless its links and its port looked as if it had: to one
//! member alone they may look so. Whoever is only silent, stands still, or is cut off, and whose links break and come up
//! again, is not taken for dead before the time for silence is over (architecture, section 3: dead is faster than silent).
//! A life whose process has gone is over, however long it takes until there is a leader and that is agreed.
//!
//! Whether the reason met that very member is not asked: the fault of one is told by its name, and who is met by one that
//! ends several is not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::found;
use super::windows::{Window, windows};
use crate::history::{DirectoryFact, Event, RaftFact, Record};
use crate::plan::{Fault, Plan};
use crate::report::Violation;

/// How long after a crash it may be agreed on: what it takes to elect a leader, several times.
const AFTERWARDS: Duration = Duration::from_secs(10);

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let windows = windows(plan, history);
    let mut ended = BTreeSet::new();
    let mut lives = Lives::default();
    let mut violations = Vec::new();
    for record in history {
        lives.follow(&record.event);
        let Event::Directory { node, fact: DirectoryFact::TakenForCrashed { member, incarnation } } = &record.event
        else {
            continue;
        };
        // Whoever learns it first tells when it was.
        let life = (*member, *incarnation);
        if ended.insert(life) && !lives.gone.contains(&life) && !has_reason(&windows, record.at) {
            let text = format!("{node} sees that {member}@{incarnation} was taken for crashed, for no reason");
            violations.push(found("crashes_are_seen", record, text));
        }
    }
    violations
}

/// Which lives were those of processes that have gone.
#[derive(Default)]
struct Lives<'a> {
    of_node: BTreeMap<&'a str, u64>,
    begun: BTreeSet<(u64, u64)>,
    gone: BTreeSet<(u64, u64)>,
}

impl<'a> Lives<'a> {
    fn follow(&mut self, event: &'a Event) {
        match event {
            Event::Raft { node, fact: RaftFact::Is { member } } => drop(self.of_node.insert(node, *member)),
            Event::Directory { fact: DirectoryFact::Life { member, incarnation, .. }, .. } => {
                self.begun.insert((*member, *incarnation));
            }
            Event::Crashed { node } | Event::Stopped { node } | Event::Failed { node, .. } => {
                let Some(member) = self.of_node.get(node.as_str()) else { return };
                self.gone.extend(self.begun.range((*member, 0)..=(*member, u64::MAX)));
            }
            _ => {}
        }
    }
}

fn has_reason(windows: &[Window<'_>], at: Duration) -> bool {
    let before = || windows.iter().filter(|window| window.touches(at.saturating_sub(AFTERWARDS), at));
    // What each of them shows to two, both together may show to a quorum.
    let shunned = before().filter(|window| matches!(window.fault, Fault::Shunned { .. })).count();
    shunned > 1 || before().any(|window| looks_like_a_crash(window.fault))
}

/// Whether a port refuses by it, while links close.
fn looks_like_a_crash(fault: &Fault) -> bool {
    match fault {
        Fault::Crash { .. }
        | Fault::PowerLoss { .. }
        | Fault::RestartStorm { .. }
        | Fault::Stop { .. }
        | Fault::Upgrade { .. }
        | Fault::OldProgram { .. }
        | Fault::LoseDisk { .. }
        | Fault::Remove { .. }
        | Fault::OldBackup { .. }
        | Fault::FalseCrash { .. }
        | Fault::SyncFails { .. }
        | Fault::FlippedBit { .. }
        | Fault::LostVote { .. }
        | Fault::ShortReads { .. }
        // Who leaves without agreement ends this life and begins another one.
        | Fault::SwitchedOff => true,
        Fault::Pause { .. }
        | Fault::Isolate { .. }
        | Fault::OneWay { .. }
        | Fault::Split { .. }
        | Fault::Ring
        | Fault::Bridge { .. }
        | Fault::Clog { .. }
        | Fault::Swizzle { .. }
        | Fault::Loss { .. }
        | Fault::Slow { .. }
        | Fault::Reset { .. }
        | Fault::HalfOpen { .. }
        | Fault::Shunned { .. }
        | Fault::DiskFull { .. }
        | Fault::SlowDisk { .. }
        | Fault::WallClockStep { .. }
        | Fault::WallClockFreeze { .. }
        | Fault::Rival { .. }
        | Fault::Storm { .. }
        | Fault::Flapping { .. }
        | Fault::ResumptionRace { .. }
        | Fault::SlowReader { .. }
        | Fault::NeverAcknowledges { .. }
        | Fault::StoreStalls
        | Fault::StoreFails
        | Fault::Drain { .. }
        | Fault::TransferLeader { .. }
        | Fault::RemoveBlindly { .. }
        | Fault::ChangeTimes { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, is};
    use super::*;
    use crate::history::LifeStage;
    use crate::plan::{BEGINS, Target};

    fn taken_for_crashed(milliseconds: u64) -> Record {
        let fact = DirectoryFact::TakenForCrashed { member: 2, incarnation: 4 };
        at(milliseconds, Event::Directory { node: "n1".to_owned(), fact })
    }

    /// A history in which a fault lasts for five seconds, and a member is taken for crashed at that time of it.
    fn broken(fault: Fault, taken_at: u64) -> (Plan, Vec<Record>) {
        let plan = Plan::calm(1).with(BEGINS, Duration::from_secs(5), fault);
        let begin = u64::try_from(BEGINS.as_millis()).expect("it is soon");
        let began = at(begin, Event::Began { episode: 0, nodes: vec!["n2".to_owned()] });
        let ended = at(begin + 5000, Event::Ended { episode: 0 });
        let mut history = vec![began, ended, taken_for_crashed(begin + taken_at)];
        history.sort_by_key(|record| record.at);
        (plan, history)
    }

    #[test]
    fn a_crash_is_one_and_what_looks_like_it() {
        let node = Target::Node(1);
        for fault in [Fault::Crash { node }, Fault::FalseCrash { node }] {
            let (plan, history) = broken(fault, 100);
            assert_eq!(check(&plan, &history), []);
        }
    }

    #[test]
    fn a_life_whose_process_has_gone_is_over_however_late_that_is_agreed() {
        let fact = DirectoryFact::Life { member: 2, incarnation: 4, stage: LifeStage::Joined, index: 4 };
        let joined = at(500, Event::Directory { node: "n1".to_owned(), fact });
        let crashed = at(7000, Event::Crashed { node: "n2".to_owned() });
        let (plan, late) = broken(Fault::Crash { node: Target::Node(1) }, 16_000);
        let known = [vec![is("n2", 2), joined], late.clone()].concat();

        assert_eq!(check(&plan, &[vec![crashed.clone()], known.clone()].concat()).len(), 1);
        assert_eq!(check(&plan, &[known[..2].to_vec(), vec![crashed], late].concat()), []);
    }

    #[test]
    fn silence_one_witness_and_what_is_long_past_are_none() {
        let node = Target::Node(1);
        let nodes = [node, Target::Node(0)];
        for (fault, at) in
            [(Fault::Isolate { node }, 4900), (Fault::Shunned { nodes }, 100), (Fault::Crash { node }, 16_000)]
        {
            let (plan, history) = broken(fault, at);
            assert_eq!(check(&plan, &history).len(), 1);
        }
    }
}
