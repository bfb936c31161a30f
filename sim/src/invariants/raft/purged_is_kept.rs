//! What is purged from a log is in a snapshot on the same disk (Raft, section 7: a server discards the log up to the last
//! entry of a snapshot that is on stable storage), and there always is one as long as anything is purged.

use std::collections::{BTreeMap, BTreeSet};

use super::super::found;
use crate::history::{EntryId, Event, RaftFact, Record};
use crate::report::Violation;

#[derive(Default)]
struct Disk {
    kept: BTreeSet<EntryId>,
    purged: Option<EntryId>,
}

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut disks: BTreeMap<&str, Disk> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        let Event::Raft { node, fact } = &record.event else {
            if let Event::DiskLost { node } = &record.event {
                disks.remove(node.as_str());
            }
            continue;
        };
        let disk = disks.entry(node).or_default();
        match fact {
            RaftFact::Kept { entry } => {
                disk.kept.insert(*entry);
                continue;
            }
            RaftFact::Dropped { entry } => disk.kept.remove(entry),
            RaftFact::PurgedUpTo { entry } => disk.purged.replace(*entry).is_none(),
            _ => continue,
        };
        if let Some(purged) = disk.purged
            && disk.kept.last().is_none_or(|kept| kept.index < purged.index)
        {
            let text = format!("{node} has purged its log up to {purged} and keeps no such snapshot");
            violations.push(found("purged_is_kept", record, text));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::testing::{entry, raft};
    use super::*;

    fn kept(index: u64) -> Record {
        raft("n1", RaftFact::Kept { entry: entry(1, index) })
    }

    fn dropped(index: u64) -> Record {
        raft("n1", RaftFact::Dropped { entry: entry(1, index) })
    }

    fn purged(index: u64) -> Record {
        raft("n1", RaftFact::PurgedUpTo { entry: entry(1, index) })
    }

    #[test]
    fn a_log_that_begins_behind_a_snapshot_is_right() {
        assert_eq!(check(&[kept(5), purged(5), kept(9), dropped(5), purged(8)]), []);
    }

    #[test]
    fn a_log_without_its_beginning_is_caught() {
        assert_eq!(check(&[kept(5), purged(6)]).len(), 1);
        assert_eq!(check(&[kept(5), purged(5), dropped(5)]).len(), 1);
    }
}
