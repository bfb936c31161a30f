//! What Raft promises, a file for each (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm",
//! 2014, figure 3; Ongaro, "Consensus: Bridging Theory and Practice", 2014), as openraft's own tests check it and beyond:
//! against what is on the disks, not against what the nodes say of themselves.

pub(super) mod applied_in_order;
pub(super) mod committed_immutable;
pub(super) mod committed_on_quorum;
mod disks;
pub(super) mod elected_by_quorum;
pub(super) mod election_safety;
pub(super) mod leader_completeness;
pub(super) mod log_matching;
pub(super) mod log_order;
pub(super) mod monotonic_commit;
pub(super) mod monotonic_term;
pub(super) mod monotonic_vote;
pub(super) mod no_restored_leader;
pub(super) mod purged_is_kept;
pub(super) mod snapshot_matches;
pub(super) mod state_machine_safety;

#[cfg(test)]
mod testing {
    //! What disks and nodes say, written by hand: an entry is its term, its index and its content.

    use super::super::testing::at;
    use crate::history::{EntryId, Event, RaftFact, Record};

    pub(super) fn entry(term: u64, index: u64) -> EntryId {
        EntryId { term, index }
    }

    pub(super) fn raft(node: &str, fact: RaftFact) -> Record {
        at(0, Event::Raft { node: node.to_owned(), fact })
    }

    pub(super) fn is(node: &str, member: u64) -> Record {
        raft(node, RaftFact::Is { member })
    }

    pub(super) fn voted(node: &str, term: u64, leader: u64, is_elected: bool) -> Record {
        raft(node, RaftFact::Voted { term, leader, is_elected })
    }

    pub(super) fn leads(node: &str, term: u64) -> Record {
        raft(node, RaftFact::Leads { term })
    }

    /// Entries of one term, from this index, each with its content.
    pub(super) fn appended(node: &str, term: u64, first: u64, sums: &[u32]) -> Record {
        let entries = sums.iter().zip(first..).map(|(sum, index)| (entry(term, index), *sum)).collect();
        raft(node, RaftFact::Appended { entries })
    }

    pub(super) fn configured(node: &str, term: u64, index: u64, voters: &[&[u64]]) -> Record {
        let voters = voters.iter().map(|set| set.iter().copied().collect()).collect();
        raft(node, RaftFact::Configured { entry: entry(term, index), voters })
    }

    pub(super) fn truncated_after(node: &str, index: u64) -> Record {
        raft(node, RaftFact::TruncatedAfter { index: Some(index) })
    }

    pub(super) fn applied(node: &str, term: u64, index: u64, sum: u32) -> Record {
        raft(node, RaftFact::Applied { entry: entry(term, index), sum })
    }

    pub(super) fn started(node: &str) -> Record {
        at(0, Event::Started { node: node.to_owned() })
    }

    pub(super) fn disk_lost(node: &str) -> Record {
        at(0, Event::DiskLost { node: node.to_owned() })
    }
}
