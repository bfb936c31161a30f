//! When which fault was there in fact, and whom it met.

use std::time::Duration;

use crate::history::{Event, Record};
use crate::plan::{Fault, Plan};

/// One fault, from its beginning to its end.
#[derive(Clone, Debug)]
pub(super) struct Window<'a> {
    pub(super) fault: &'a Fault,
    /// The nodes that it met.
    pub(super) nodes: &'a [String],
    pub(super) from: Duration,
    pub(super) to: Duration,
}

/// The faults of a run, in the order in which they began.
pub(super) fn windows<'a>(plan: &'a Plan, history: &'a [Record]) -> Vec<Window<'a>> {
    let end = history.last().map_or(plan.ends_at, |record| record.at);
    let mut windows: Vec<(usize, Window<'a>)> = Vec::new();
    for record in history {
        match &record.event {
            Event::Began { episode, nodes } => {
                if let Some(planned) = plan.episodes.get(*episode) {
                    let window = Window { fault: &planned.fault, nodes, from: record.at, to: end };
                    windows.push((*episode, window));
                }
            }
            Event::Ended { episode } => {
                for (_, window) in windows.iter_mut().filter(|(number, _)| number == episode) {
                    window.to = window.to.min(record.at);
                }
            }
            _ => {}
        }
    }
    windows.into_iter().map(|(_, window)| window).collect()
}

impl Window<'_> {
    /// Whether it was there at some moment of that time.
    pub(super) fn touches(&self, from: Duration, to: Duration) -> bool {
        self.from <= to && from <= self.to
    }

    /// Whether it met that node.
    pub(super) fn met(&self, node: &str) -> bool {
        self.nodes.iter().any(|met| met == node)
    }

    /// Whether it is something that clients do, which no node fails by.
    pub(super) fn is_of_clients(&self) -> bool {
        matches!(
            self.fault,
            Fault::Rival { .. }
                | Fault::Storm { .. }
                | Fault::Flapping { .. }
                | Fault::ResumptionRace { .. }
                | Fault::SlowReader { .. }
                | Fault::NeverAcknowledges { .. }
        )
    }
}
