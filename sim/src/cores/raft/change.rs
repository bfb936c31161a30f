//! A change of the membership, step by step: who is new listens first, votes when it has caught up, and who is in neither
//! set goes last. Each step waits until the one before it is committed.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use cresset_core::ids::MemberId;

use super::log::{Config, LogEntry, Payload};
use super::{Raft, Role};
use crate::cores::queue::Moment;

/// How long a new voter may take to catch up, and how far behind it may be: as the nodes have it.
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(10);
const CATCH_UP_ENTRIES: u64 = 256;

/// What the membership is to become.
#[derive(Clone, Debug)]
pub(super) struct Change {
    voters: BTreeSet<MemberId>,
    learners: BTreeSet<MemberId>,
    until: Moment,
}

impl Raft {
    /// Makes the membership this one, if this member leads and no other change is under way.
    pub(in crate::cores) fn set_membership(
        &mut self,
        now: Moment,
        voters: BTreeSet<MemberId>,
        learners: BTreeSet<MemberId>,
    ) {
        let Role::Leading(leading) = &mut self.role else { return };
        if voters.is_empty() || leading.change.is_some() {
            return;
        }
        leading.change = Some(Change { voters, learners, until: now.after(CATCH_UP_TIME_MAX) });
        self.advance_change(now);
        self.replicate_to_all(now);
    }

    /// Takes the next step, if the last one is committed.
    pub(super) fn advance_change(&mut self, now: Moment) {
        loop {
            let is_settled = self.is_confirmed() && self.disk.config_index() <= self.commit;
            let Role::Leading(leading) = &self.role else { return };
            let Some(change) = leading.change.clone().filter(|_| is_settled) else { return };
            match self.next_step(now, &change) {
                Step::Config(config) => {
                    let payload = Payload::Config(Rc::new(config));
                    self.disk.append(LogEntry { term: self.disk.term, payload });
                    self.advance_commit(now);
                }
                Step::Wait => return,
                Step::Done => {
                    if let Role::Leading(leading) = &mut self.role {
                        leading.change = None;
                    }
                    return;
                }
            }
        }
    }

    fn next_step(&self, now: Moment, change: &Change) -> Step {
        let present = &**self.disk.config();
        let nodes: BTreeSet<MemberId> = present.sets.iter().flatten().chain(&present.learners).copied().collect();
        if let Some(new) = change.voters.iter().chain(&change.learners).find(|id| !nodes.contains(id)) {
            let mut config = present.clone();
            config.learners.insert(*new);
            return Step::Config(config);
        }
        let without = |voters: &BTreeSet<MemberId>| nodes.difference(voters).copied().collect();
        match &present.sets[..] {
            [voters] if *voters == change.voters => {}
            // Of those who vote already one may be dead, and stay so.
            [voters] if self.has_caught_up(change.voters.difference(voters)) => {
                let both = voters.union(&change.voters).copied().collect();
                let sets = vec![voters.clone(), change.voters.clone()];
                return Step::Config(Config { sets, learners: without(&both) });
            }
            [_] => return if now < change.until { Step::Wait } else { Step::Done },
            joint => {
                let voters = joint.last().cloned().unwrap_or_default();
                let learners = without(&voters);
                return Step::Config(Config { sets: vec![voters], learners });
            }
        }
        let wanted: BTreeSet<MemberId> = change.voters.union(&change.learners).copied().collect();
        if nodes.is_subset(&wanted) {
            return Step::Done;
        }
        let learners = present.learners.intersection(&wanted).copied().collect();
        Step::Config(Config { sets: present.sets.clone(), learners })
    }

    fn has_caught_up<'a>(&self, mut voters: impl Iterator<Item = &'a MemberId>) -> bool {
        let Role::Leading(leading) = &self.role else { return false };
        let end = self.disk.last_index();
        voters.all(|id| {
            *id == self.me
                || leading.followers.get(id).is_some_and(|f| f.matched > 0 && f.matched + CATCH_UP_ENTRIES >= end)
        })
    }
}

enum Step {
    Config(Config),
    Wait,
    Done,
}
