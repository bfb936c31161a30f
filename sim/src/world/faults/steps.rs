//! What an episode does later than at its beginning, in the order of time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Ways;
use crate::plan::{Fault, Plan};

/// What is still to be done.
#[derive(Default)]
pub(super) struct Steps {
    due: BTreeMap<(Duration, u64), Step>,
    count: u64,
}

/// Something that an episode does, or that an operator does afterwards.
pub(super) struct Step {
    /// For which episode; absent if the operator does it.
    pub(super) episode: Option<usize>,
    /// What.
    pub(super) action: Action,
}

pub(super) enum Action {
    Kill(usize),
    Start(usize),
    /// An operator finds a process dead that nobody was to kill.
    Rescue(usize),
    Reset(usize),
    Storm(usize),
    Hold(Ways),
    Release(Ways),
    /// All disks are copied for an episode to come.
    Copy(usize),
}

impl Steps {
    /// The copies of disks that the plan will need.
    pub(super) fn backups_of(plan: &Plan) -> Self {
        let mut steps = Steps::default();
        for (number, episode) in plan.episodes.iter().enumerate() {
            if let Fault::OldBackup { age, .. } = episode.fault {
                steps.add(episode.at.saturating_sub(age), None, Action::Copy(number));
            }
        }
        steps
    }

    pub(super) fn add(&mut self, at: Duration, episode: Option<usize>, action: Action) {
        self.count += 1;
        self.due.insert((at, self.count), Step { episode, action });
    }

    /// The next that is due.
    pub(super) fn next(&mut self, now: Duration) -> Option<Step> {
        let first = self.due.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// Nothing more is done for this episode.
    pub(super) fn forget(&mut self, episode: usize) {
        self.due.retain(|_, step| step.episode != Some(episode));
    }

    /// Nothing more is done.
    pub(super) fn forget_all(&mut self) {
        self.due.clear();
    }
}
