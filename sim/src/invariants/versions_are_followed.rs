//! The version of the agreed state is one that all members follow: no node serves under a version that its program does not
//! understand, on no node does it fall, and at the end it is the latest one that all programs understand (architecture,
//! section 6).

use std::collections::BTreeMap;

use super::found;
use crate::history::{Event, Record};
use crate::plan::{Fault, Level, Plan};
use crate::report::Violation;

/// A node's programs.
#[derive(Clone, Copy)]
struct Program {
    /// That which runs.
    runs: u32,
    /// That which is started next, and whether it is that of the beginning for a while.
    installed: u32,
    is_old: bool,
    /// Under which version it last served.
    served: u32,
}

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    if plan.level == Level::Cores {
        return Vec::new();
    }
    let first = plan.first_program();
    let begins = || Program { runs: first, installed: first, is_old: false, served: 0 };
    let mut programs: BTreeMap<&str, Program> = BTreeMap::new();
    let mut met: BTreeMap<usize, &str> = BTreeMap::new();
    let mut violations = Vec::new();
    let mut last = None;
    for record in history {
        match &record.event {
            Event::Began { episode, nodes } => {
                let (Some(planned), Some(node)) = (plan.episodes.get(*episode), nodes.first()) else { continue };
                let program = programs.entry(node).or_insert_with(begins);
                match planned.fault {
                    Fault::Upgrade { .. } => program.installed += 1,
                    Fault::OldProgram { .. } => program.is_old = true,
                    _ => continue,
                }
                met.insert(*episode, node);
            }
            Event::Ended { episode } => {
                let is_old = plan.episodes.get(*episode).is_some_and(|it| matches!(it.fault, Fault::OldProgram { .. }));
                if let Some(node) = met.get(episode).filter(|_| is_old) {
                    programs.entry(node).or_insert_with(begins).is_old = false;
                }
            }
            Event::Started { node } => {
                let program = programs.entry(node).or_insert_with(begins);
                program.runs = if program.is_old { first } else { program.installed };
                program.served = 0;
            }
            Event::Sees { node, view } if view.serving && !view.alone => {
                let program = programs.entry(node).or_insert_with(begins);
                let (runs, served) = (program.runs, program.served);
                if view.version > runs {
                    let text = format!("{node} serves under version {}, and follows {runs} at most", view.version);
                    violations.push(found("versions_are_followed", record, text));
                }
                if view.version < served {
                    let text = format!("{node} serves under version {}, after {served}", view.version);
                    violations.push(found("versions_are_followed", record, text));
                }
                program.served = view.version;
                last = Some(record);
            }
            _ => {}
        }
    }
    let newest = programs.values().map(|program| program.runs).min().unwrap_or(first);
    let behind = programs.iter().find(|(_, program)| program.served != newest);
    if let (Some((node, program)), Some(last)) = (behind, last) {
        let text = format!("{node} ends under version {}, and all follow {newest}", program.served);
        violations.push(found("versions_are_followed", last, text));
    }
    violations
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::at;
    use super::*;
    use crate::history::ClusterView;
    use crate::plan::{BEGINS, Target};

    fn run(before: u32, after: u32) -> Vec<Violation> {
        let upgrade = Fault::Upgrade { node: Target::Node(0) };
        let plan = Plan { nodes: 1, ..Plan::calm(1) }.with(BEGINS, Duration::from_secs(1), upgrade);
        let node = || "n1".to_owned();
        let sees = |milliseconds, version| {
            let view = ClusterView { serving: true, version, ..ClusterView::default() };
            at(milliseconds, Event::Sees { node: node(), view })
        };
        let history = [
            at(0, Event::Started { node: node() }),
            sees(1_000, before),
            at(6_000, Event::Began { episode: 0, nodes: vec![node()] }),
            at(7_000, Event::Started { node: node() }),
            sees(8_000, after),
        ];
        check(&plan, &history)
    }

    #[test]
    fn a_version_that_rises_with_the_last_program_is_followed() {
        assert_eq!(run(1, 2), []);
    }

    #[test]
    fn a_version_that_nobody_understands_or_that_stays_behind_is_caught() {
        assert!(run(2, 2)[0].text.contains("serves under version 2, and follows 1 at most"));
        assert!(run(1, 1)[0].text.contains("ends under version 1, and all follow 2"));
    }
}
