//! A snapshot holds what the entries up to its last one lead to: the state after it is installed has the digest that
//! others have who applied them (Raft, section 7).

use std::collections::BTreeMap;

use super::super::found;
use crate::history::{Event, RaftFact, Record};
use crate::report::Violation;

pub(in super::super) fn check(history: &[Record]) -> Vec<Violation> {
    let mut digests: BTreeMap<u64, BTreeMap<u64, &str>> = BTreeMap::new();
    let mut installed: BTreeMap<&str, u64> = BTreeMap::new();
    let mut from_snapshots = Vec::new();
    for record in history {
        let Event::Raft { node, fact } = &record.event else { continue };
        match fact {
            RaftFact::Installed { entry } => {
                installed.insert(node, entry.index);
            }
            RaftFact::State { index, digest } if installed.get(node.as_str()) == Some(index) => {
                from_snapshots.push((record, node, *index, *digest));
            }
            RaftFact::State { index, digest } => {
                digests.entry(*index).or_default().insert(*digest, node);
            }
            _ => {}
        }
    }
    let differs = |(record, node, index, digest): (&Record, &String, u64, u64)| {
        let applied = digests.get(&index).filter(|applied| !applied.contains_key(&digest))?;
        let others: Vec<_> = applied.values().collect();
        let text = format!("{node} installed a snapshot up to {index} that is not what {others:?} have");
        Some(found("snapshot_matches", record, text))
    };
    from_snapshots.into_iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{entry, raft};
    use super::*;

    fn state(node: &str, index: u64, digest: u64) -> Record {
        raft(node, RaftFact::State { index, digest })
    }

    #[test]
    fn a_snapshot_is_compared_with_what_the_log_leads_to() {
        let installed = raft("n2", RaftFact::Installed { entry: entry(1, 5) });

        assert_eq!(check(&[state("n1", 5, 77), installed.clone(), state("n2", 5, 77)]), []);
        assert_eq!(check(&[installed, state("n2", 5, 78), state("n1", 5, 77)]).len(), 1);
    }
}
