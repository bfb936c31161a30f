//! What a member of the model has on its disk: its vote, its log, its last snapshot. All of it is there at once, because
//! what a disk does wrong is the business of the other level.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use cresset_core::cluster::Command;
use cresset_core::ids::MemberId;

/// A position with its term. The order is that of Raft: the later term first, then the longer log.
pub(in crate::cores) type Position = (u64, u64);

/// One entry.
#[derive(Clone, Debug)]
pub(in crate::cores) struct LogEntry {
    pub(in crate::cores) term: u64,
    pub(in crate::cores) payload: Payload,
}

/// What it says.
#[derive(Clone, Debug)]
pub(in crate::cores) enum Payload {
    /// The first of a term.
    Blank,
    Command(Arc<Command>),
    Config(Rc<Config>),
}

/// Who votes and who follows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::cores) struct Config {
    /// One set, or two while it changes.
    pub(in crate::cores) sets: Vec<BTreeSet<MemberId>>,
    pub(in crate::cores) learners: BTreeSet<MemberId>,
}

/// The state up to a position.
#[derive(Debug)]
pub(in crate::cores) struct Snapshot {
    pub(in crate::cores) last: Position,
    pub(in crate::cores) config: Rc<Config>,
    pub(in crate::cores) bytes: Vec<u8>,
}

/// The disk of one member.
#[derive(Clone, Debug, Default)]
pub(in crate::cores) struct Disk {
    pub(super) term: u64,
    pub(super) voted_for: Option<MemberId>,
    /// The one that was voted for is known to be elected.
    pub(super) is_elected: bool,
    /// What is before the first entry that is kept.
    base: Position,
    base_config: Rc<Config>,
    entries: Vec<LogEntry>,
    /// The positions of entries that change the membership, kept ones only.
    configs: Vec<(u64, Rc<Config>)>,
    pub(super) snapshot: Option<Rc<Snapshot>>,
}

impl Disk {
    pub(super) fn last(&self) -> Position {
        (self.entries.last().map_or(self.base.0, |entry| entry.term), self.last_index())
    }

    pub(super) fn last_index(&self) -> u64 {
        self.base.1 + self.entries.len() as u64
    }

    /// The first index that is kept.
    pub(super) fn first_index(&self) -> u64 {
        self.base.1 + 1
    }

    /// The term at an index; nothing if it is not kept.
    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.base.1 {
            return Some(self.base.0);
        }
        self.entry(index).map(|entry| entry.term)
    }

    pub(super) fn entry(&self, index: u64) -> Option<&LogEntry> {
        let at = index.checked_sub(self.first_index())?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// Entries from an index on, at most so many.
    pub(super) fn entries_from(&self, index: u64, max: usize) -> Vec<LogEntry> {
        let at = usize::try_from(index.saturating_sub(self.first_index())).unwrap_or(usize::MAX);
        self.entries.iter().skip(at).take(max).cloned().collect()
    }

    /// The last membership in the log, committed or not: it counts as soon as it is there.
    pub(super) fn config(&self) -> &Rc<Config> {
        self.configs.last().map_or(&self.base_config, |(_, config)| config)
    }

    pub(super) fn config_index(&self) -> u64 {
        self.configs.last().map_or(self.base.1, |(index, _)| *index)
    }

    pub(super) fn config_at(&self, index: u64) -> &Rc<Config> {
        let before = self.configs.iter().rev().find(|(at, _)| *at <= index);
        before.map_or(&self.base_config, |(_, config)| config)
    }

    pub(super) fn append(&mut self, entry: LogEntry) {
        if let Payload::Config(config) = &entry.payload {
            self.configs.push((self.last_index() + 1, config.clone()));
        }
        self.entries.push(entry);
    }

    pub(super) fn truncate_after(&mut self, index: u64) {
        let kept = usize::try_from(index.saturating_sub(self.base.1)).unwrap_or(usize::MAX);
        self.entries.truncate(kept);
        self.configs.retain(|(at, _)| *at <= index);
    }

    /// Forgets entries up to an index.
    pub(super) fn purge(&mut self, upto: u64) {
        let Some(term) = self.term_at(upto).filter(|_| upto > self.base.1) else { return };
        self.base_config = self.config_at(upto).clone();
        let gone = usize::try_from(upto - self.base.1).expect("a log fits into memory");
        self.entries.drain(..gone);
        self.base = (term, upto);
        self.configs.retain(|(at, _)| *at > upto);
    }

    /// A snapshot from somebody else takes the place of everything up to its position; what follows that is kept if it
    /// does follow, because it may be what a quorum counts on.
    pub(super) fn install(&mut self, snapshot: Rc<Snapshot>) {
        let (term, index) = snapshot.last;
        if self.term_at(index) == Some(term) {
            self.purge(index);
        } else {
            self.entries.clear();
            self.configs.clear();
            self.base = snapshot.last;
            self.base_config = snapshot.config.clone();
        }
        self.snapshot = Some(snapshot);
    }
}
