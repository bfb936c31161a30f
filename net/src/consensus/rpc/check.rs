//! What a peer may say. A peer is authenticated, but its program or its memory may be broken; what it says must not
//! break Raft on the others.

use cresset_core::cluster::SNAPSHOT_BYTES_MAX;
use cresset_core::ids::{MemberId, Term};
use cresset_core::limits::MEMBERS_MAX;
use openraft::EntryPayload;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};

use super::CHUNK_BYTES_MAX;
use super::message::{Answer, Chunk, Question};
use crate::consensus::types::{Entry, LogId, Membership, TypeConfig, Vote, candidate_of, entry_term, term_of};

/// By how much a term may be greater than ours. No cluster has had this many elections; a greater step would bring the
/// end of all terms within reach of one bad message.
const TERM_STEP_MAX: u64 = 1 << 32;

/// The greatest position. At a million entries a second it lasts for 146 thousand years.
const INDEX_MAX: u64 = 1 << 62;

/// Entries of one message.
const ENTRIES_MAX: usize = 4096;

/// The sets of voters of one configuration: two while the voters change.
const VOTER_SETS_MAX: usize = 2;

/// Why a message is not followed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Unacceptable {
    #[error("term {0} is beyond reach of ours")]
    Term(u64),
    #[error("index {0} is beyond the end of counting")]
    Index(u64),
    #[error("it speaks for member {claimed} and comes from member {from}")]
    Impersonation { claimed: MemberId, from: MemberId },
    #[error("{0} entries")]
    Entries(usize),
    #[error("the entries do not follow each other")]
    Gap,
    #[error("a configuration of {voters} voters in {sets} sets and {nodes} members")]
    Membership { sets: usize, voters: usize, nodes: usize },
    #[error("a part of {bytes} bytes at {offset} of {total}")]
    Chunk { offset: u64, bytes: usize, total: u64 },
    #[error("the answer to another question")]
    Answer,
}

/// Checks a question from `from`. `voted` is the term of our last vote.
pub(super) fn question(question: &Question, from: MemberId, voted: Term) -> Result<(), Unacceptable> {
    match question {
        Question::Append(append) => {
            speaker(&append.vote, from)?;
            append_request(append, voted)
        }
        Question::Vote(vote) | Question::PreVote(vote) => {
            speaker(&vote.vote, from)?;
            term(&vote.vote, voted)?;
            position(vote.last_log_id.as_ref(), voted)
        }
        Question::TransferLeader(transfer) => {
            speaker(transfer.from_leader(), from)?;
            term(transfer.from_leader(), voted)?;
            position(transfer.last_log_id(), voted)
        }
        Question::Chunk(part) => {
            speaker(&part.vote, from)?;
            term(&part.vote, voted)?;
            chunk(part, voted)
        }
    }
}

/// Checks an answer. `voted` is the term of our last vote.
pub(super) fn answer(answer: &Answer, voted: Term) -> Result<(), Unacceptable> {
    match answer {
        Answer::Append(AppendEntriesResponse::HigherVote(vote)) => term(vote, voted),
        Answer::Append(AppendEntriesResponse::PartialSuccess(id)) => position(id.as_ref(), voted),
        Answer::Append(AppendEntriesResponse::Success | AppendEntriesResponse::Conflict) => Ok(()),
        Answer::Vote(response) => {
            term(&response.vote, voted)?;
            position(response.last_log_id.as_ref(), voted)
        }
        Answer::Installed(response) => term(&response.vote, voted),
        Answer::TransferLeader(_) | Answer::Have(_) | Answer::Refused(_) | Answer::Stopped => Ok(()),
    }
}

fn append_request(append: &AppendEntriesRequest<TypeConfig>, voted: Term) -> Result<(), Unacceptable> {
    term(&append.vote, voted)?;
    position(append.prev_log_id.as_ref(), voted)?;
    position(append.leader_commit.as_ref(), voted)?;
    if append.entries.len() > ENTRIES_MAX {
        return Err(Unacceptable::Entries(append.entries.len()));
    }
    let mut next = append.prev_log_id.map_or(0, |id| id.index + 1);
    let mut term_min = append.prev_log_id.map_or(Term(0), |id| entry_term(&id));
    for entry in &append.entries {
        position(Some(&entry.log_id), voted)?;
        let term = entry_term(&entry.log_id);
        if entry.log_id.index != next || term < term_min || term > term_of(&append.vote) {
            return Err(Unacceptable::Gap);
        }
        (next, term_min) = (next + 1, term);
        content(entry)?;
    }
    Ok(())
}

fn content(entry: &Entry) -> Result<(), Unacceptable> {
    match &entry.payload {
        EntryPayload::Blank | EntryPayload::Normal(_) => Ok(()),
        EntryPayload::Membership(configuration) => membership(configuration),
    }
}

/// A configuration has one or two sets of voters, none of them empty, and no more members than a cluster can have.
fn membership(membership: &Membership) -> Result<(), Unacceptable> {
    let sets = membership.get_joint_config();
    let nodes = membership.nodes().count();
    let is_sound = (1..=VOTER_SETS_MAX).contains(&sets.len())
        && sets.iter().all(|set| !set.is_empty() && set.iter().all(|id| membership.get_node(id).is_some()))
        && nodes <= MEMBERS_MAX;
    let voters = sets.iter().map(|set| set.len()).sum();
    if is_sound { Ok(()) } else { Err(Unacceptable::Membership { sets: sets.len(), voters, nodes }) }
}

fn chunk(part: &Chunk, voted: Term) -> Result<(), Unacceptable> {
    position(part.meta.last_log_id.as_ref(), voted)?;
    membership(part.meta.last_membership.membership())?;
    let end = part.offset.saturating_add(part.bytes.len() as u64);
    if part.total > SNAPSHOT_BYTES_MAX as u64 || part.bytes.len() > CHUNK_BYTES_MAX || end > part.total {
        let (offset, bytes, total) = (part.offset, part.bytes.len(), part.total);
        return Err(Unacceptable::Chunk { offset, bytes, total });
    }
    Ok(())
}

fn speaker(vote: &Vote, from: MemberId) -> Result<(), Unacceptable> {
    let claimed = candidate_of(vote);
    if claimed == from { Ok(()) } else { Err(Unacceptable::Impersonation { claimed, from }) }
}

fn term(vote: &Vote, voted: Term) -> Result<(), Unacceptable> {
    within_reach(term_of(vote), voted)
}

fn within_reach(term: Term, voted: Term) -> Result<(), Unacceptable> {
    if term.0 > voted.0.saturating_add(TERM_STEP_MAX) { Err(Unacceptable::Term(term.0)) } else { Ok(()) }
}

fn position(id: Option<&LogId>, voted: Term) -> Result<(), Unacceptable> {
    let Some(id) = id else { return Ok(()) };
    if id.index > INDEX_MAX {
        return Err(Unacceptable::Index(id.index));
    }
    within_reach(entry_term(id), voted)
}
