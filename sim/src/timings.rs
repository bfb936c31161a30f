//! How long things took, in simulated time: P6 as a distribution over many runs.

#![allow(clippy::wildcard_enum_match_arm, reason = "a measurement picks the few events that concern it")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::history::{Event, Record};
use crate::plan::Plan;

/// Of one run, or of many.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Timings {
    /// From the moment at which everything is whole until every node serves and sees all others, in milliseconds.
    pub converged_ms: Vec<u32>,
    /// From the moment at which a user loses his connection until he is logged in again, in milliseconds.
    pub back_ms: Vec<u32>,
}

impl Timings {
    /// Those of one run.
    pub fn of(plan: &Plan, history: &[Record]) -> Timings {
        let converged = converged(plan, history).map(milliseconds);
        Timings { converged_ms: converged.into_iter().collect(), back_ms: back(history) }
    }

    /// Adds those of another run.
    pub fn merge(&mut self, others: Timings) {
        self.converged_ms.extend(others.converged_ms);
        self.back_ms.extend(others.back_ms);
    }
}

/// Median, 99th of a hundred and greatest, in words.
pub fn distribution(times_ms: &[u32]) -> String {
    let mut sorted = times_ms.to_vec();
    sorted.sort_unstable();
    let of = |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
    match (of(50), of(99), sorted.last()) {
        (Some(median), Some(most), Some(worst)) => {
            format!("p50 {median} ms, p99 {most} ms, max {worst} ms ({} times)", sorted.len())
        }
        _ => "never".to_owned(),
    }
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

fn converged(plan: &Plan, history: &[Record]) -> Option<Duration> {
    let names = plan.node_names();
    let mut whole: BTreeMap<&str, bool> = BTreeMap::new();
    let mut since = None;
    for record in history {
        match &record.event {
            Event::Sees { node, view } => {
                whole.insert(node, view.serving && view.leader.is_some() && view.active == names);
            }
            Event::Crashed { node } | Event::Failed { node, .. } | Event::Stopped { node } => {
                whole.insert(node, false);
            }
            Event::Healed => {}
            _ => continue,
        }
        let is_whole = whole.len() == names.len() && whole.values().all(|whole| *whole);
        since = if is_whole { since.or(Some(record.at)) } else { None };
    }
    since.map(|since| since.saturating_sub(plan.heals_at))
}

fn back(history: &[Record]) -> Vec<u32> {
    let mut online: BTreeMap<&str, bool> = BTreeMap::new();
    let mut lost: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut times = Vec::new();
    for record in history {
        match &record.event {
            Event::LoggedIn { connection, .. } | Event::Resumed { connection, .. } => {
                online.insert(&connection.user, true);
                let since = lost.remove(connection.user.as_str());
                times.extend(since.map(|since| milliseconds(record.at.saturating_sub(since))));
            }
            Event::LoggedOut { connection, .. } => {
                online.insert(&connection.user, false);
            }
            Event::Disconnected { connection, .. } if online.insert(&connection.user, false) == Some(true) => {
                lost.insert(&connection.user, record.at);
            }
            _ => {}
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{ClusterView, Connection};

    #[test]
    fn the_time_to_converge_counts_from_the_heal_to_the_last_node() {
        let plan = Plan { nodes: 1, ..Plan::calm(1) };
        let at = |milliseconds: u64| plan.heals_at + Duration::from_millis(milliseconds);
        let view = |serving| ClusterView {
            serving,
            leader: Some("n1".to_owned()),
            active: plan.node_names(),
            ..ClusterView::default()
        };
        let sees = |milliseconds, serving| Record {
            at: at(milliseconds),
            event: Event::Sees { node: "n1".to_owned(), view: view(serving) },
        };

        let timings = Timings::of(&plan, &[sees(0, true), sees(5, false), sees(40, true)]);

        assert_eq!(timings.converged_ms, [40]);
        assert_eq!(Timings::of(&plan, &[sees(0, true), sees(5, false)]).converged_ms, [0; 0]);
    }

    #[test]
    fn a_user_is_back_when_he_is_logged_in_again() {
        let record = |at, event| Record { at: Duration::from_millis(at), event };
        let connection = |number| Connection { user: "u1".to_owned(), number };
        let in_at = |number| {
            let (node, jid) = ("n1".to_owned(), "u1@d/sim".to_owned());
            Event::LoggedIn { connection: connection(number), node, jid }
        };
        let off = |number| {
            let (node, reason) = ("n1".to_owned(), String::new());
            Event::Disconnected { connection: connection(number), node, reason }
        };

        let history =
            [record(0, off(1)), record(5, in_at(2)), record(10, off(2)), record(12, off(3)), record(90, in_at(4))];

        assert_eq!(back(&history), [80]);
        assert_eq!(distribution(&[3, 1, 2]), "p50 2 ms, p99 3 ms, max 3 ms (3 times)");
    }
}
