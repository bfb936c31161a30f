//! What is on every node's disk at one moment of a history. A disk that was lost is empty, and another member's. What the
//! former member has said before it was lost counts all the same: it never comes back to say something else.

use std::collections::BTreeMap;

use crate::history::{EntryId, Event, RaftFact, Voters};

/// A vote: its term, for whom, and whether that one is elected.
pub(super) type Ballot = (u64, u64, bool);

/// One node's disk.
#[derive(Debug, Default)]
pub(super) struct Disk<'a> {
    pub(super) member: Option<u64>,
    pub(super) vote: Option<Ballot>,
    /// By index: the term and the sum of each entry.
    pub(super) entries: BTreeMap<u64, (u64, u32)>,
    /// By index: who votes from that entry on.
    pub(super) configured: BTreeMap<u64, &'a Voters>,
    pub(super) purged: Option<EntryId>,
}

/// The disks of all nodes, by name.
#[derive(Debug, Default)]
pub(super) struct Disks<'a> {
    nodes: BTreeMap<&'a str, Disk<'a>>,
    lost: Vec<Disk<'a>>,
}

impl<'a> Disks<'a> {
    /// Takes the next event of the history.
    pub(super) fn follow(&mut self, event: &'a Event) {
        match event {
            Event::DiskLost { node } => {
                self.lost.extend(self.nodes.remove(node.as_str()));
            }
            Event::Raft { node, fact } => self.nodes.entry(node).or_default().follow(fact),
            _ => {}
        }
    }

    /// A node's disk, if anything is on it.
    pub(super) fn of(&self, node: &str) -> Option<&Disk<'a>> {
        self.nodes.get(node)
    }

    /// All disks, by the names of their nodes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&&'a str, &Disk<'a>)> {
        self.nodes.iter()
    }

    /// Whether of each set of voters more than half have, or had, disks of which this is true.
    pub(super) fn quorum(&self, voters: &Voters, is_true: impl Fn(&Disk<'a>) -> bool) -> bool {
        let all = || self.nodes.values().chain(&self.lost);
        let agree = |member: &&u64| all().any(|disk| disk.member == Some(**member) && is_true(disk));
        voters.iter().all(|set| set.iter().filter(agree).count() * 2 > set.len())
    }
}

impl<'a> Disk<'a> {
    fn follow(&mut self, fact: &'a RaftFact) {
        match fact {
            RaftFact::Is { member } => self.member = Some(*member),
            RaftFact::Voted { term, leader, is_elected } => self.vote = Some((*term, *leader, *is_elected)),
            RaftFact::Appended { entries } => {
                self.entries.extend(entries.iter().map(|(entry, sum)| (entry.index, (entry.term, *sum))));
            }
            RaftFact::Configured { entry, voters } => {
                self.configured.insert(entry.index, voters);
            }
            RaftFact::TruncatedAfter { index } => {
                let first = index.map_or(0, |index| index + 1);
                self.entries.split_off(&first);
                self.configured.split_off(&first);
            }
            RaftFact::PurgedUpTo { entry } => {
                self.entries = self.entries.split_off(&(entry.index + 1));
                self.purged = Some(*entry);
            }
            _ => {}
        }
    }

    /// Whether it holds the entry, by itself or in a snapshot.
    pub(super) fn holds(&self, entry: EntryId) -> bool {
        self.purged.is_some_and(|purged| entry.index <= purged.index)
            || self.entries.get(&entry.index).is_some_and(|(term, _)| *term == entry.term)
    }
}
