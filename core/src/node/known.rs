//! Answers that wait until every active member has applied what they are about (promise P5).

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{LogIndex, MemberId};
use crate::node::batches::Answered;
use crate::sometimes;

#[derive(Debug, Default)]
pub(super) struct Known {
    applied: BTreeMap<MemberId, LogIndex>,
    waiting: VecDeque<(LogIndex, Vec<Answered>)>,
}

impl Known {
    /// A member has applied everything up to `index`. What it says never takes anything back.
    pub(super) fn applied(&mut self, member: MemberId, index: LogIndex) {
        let last = self.applied.entry(member).or_default();
        *last = (*last).max(index);
    }

    pub(super) fn applied_by(&self, member: MemberId) -> Option<LogIndex> {
        self.applied.get(&member).copied()
    }

    /// The life of the member is over: its next one begins from nothing.
    pub(super) fn forget(&mut self, member: MemberId) {
        self.applied.remove(&member);
    }

    /// These answers may be given once everybody has applied `index`, which is beyond that of all answers before.
    pub(super) fn await_everyone(&mut self, index: LogIndex, answers: Vec<Answered>) {
        if !answers.is_empty() {
            self.waiting.push_back((index, answers));
        }
    }

    /// Whether any answer waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The answers that may be given, in the order of the log. `others` are the active members but this one.
    pub(super) fn by_all(&mut self, others: impl Iterator<Item = MemberId>) -> impl Iterator<Item = Answered> {
        let known = if self.waiting.is_empty() {
            LogIndex(0)
        } else {
            others.map(|id| self.applied.get(&id).copied().unwrap_or_default()).min().unwrap_or(LogIndex(u64::MAX))
        };
        sometimes!(self.waiting.front().is_some_and(|(index, _)| *index > known), "a_bind_waits_for_a_slow_member");
        let ready = self.waiting.iter().take_while(|(index, _)| *index <= known).count();
        self.waiting.drain(..ready).flat_map(|(_, answers)| answers)
    }
}
