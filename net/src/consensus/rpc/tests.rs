//! What a peer may not do to Raft: nothing here is followed, nothing panics, and everything gets an answer.
//!
//! Members fail by crashing, not by lying (G15, G19, G23): whoever has the join secret and a member's id can say in its name what
//! that member could say, hand on what its operators order, and forward stanzas. What no member may say is refused here.

use std::collections::{BTreeMap, BTreeSet};

use cresset_core::cluster::ClusterState;
use cresset_core::ids::{MemberId, Term};
use cresset_core::wire;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{EmptyNode, EntryPayload};

use super::check::{self, Unacceptable};
use super::client::fit;
use super::message::{Answer, Chunk, Question};
use super::transfer::{Assembly, Received};
use super::*;
use crate::consensus::testing::{Member, Network, big_proposal, cluster, join, run};
use crate::consensus::types::{Entry, LogId, Membership, Proposal, SnapshotMeta, StoredMembership, Vote, log_id};
use crate::formats::{Example, joined, parts};
use crate::hostile_bytes::{Decoder, unsealed};

const FROM: MemberId = MemberId(2);
const VOTED: Term = Term(5);

#[test]
fn a_sound_question_is_followed() {
    for question in corpus() {
        assert_eq!(check::question(&question, FROM, VOTED), Ok(()), "{question:?}");
    }
}

/// G9.
#[test]
fn a_question_that_is_cut_short_is_refused_at_every_length() {
    for question in corpus() {
        let bytes = question.encode();
        for length in 0..bytes.len() {
            assert!(Question::decode(&bytes[..length]).is_err(), "{length} bytes of {question:?}");
        }
    }
}

/// G10. The links would notice; what this shows is that nothing panics and that no flipped bit becomes an absurd term.
#[test]
fn a_flipped_bit_makes_no_absurd_question() {
    for question in corpus() {
        let bytes = question.encode().to_vec();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(question @ Question::Vote(_)) = Question::decode(&flipped)
                && check::question(&question, FROM, VOTED).is_ok()
            {
                let Question::Vote(vote) = question else { unreachable!("it was one a line ago") };
                assert!(vote.vote.leader_id.term <= VOTED.0 + (1 << 32));
            }
        }
    }
}

/// G12.
#[test]
fn the_end_of_all_terms_is_refused() {
    let vote = Vote::new(u64::MAX, FROM.0);

    let question = Question::Vote(VoteRequest::new(vote, None));
    assert_eq!(check::question(&question, FROM, VOTED), Err(Unacceptable::Term(u64::MAX)));
    let question = append(Vote::new_committed(u64::MAX, FROM.0), None, vec![]);
    assert_eq!(check::question(&question, FROM, VOTED), Err(Unacceptable::Term(u64::MAX)));
    let answer = Answer::Append(AppendEntriesResponse::HigherVote(vote));
    assert_eq!(check::answer(&answer, VOTED), Err(Unacceptable::Term(u64::MAX)));
    let answer = Answer::Vote(VoteResponse::new(vote, None, false));
    assert_eq!(check::answer(&answer, VOTED), Err(Unacceptable::Term(u64::MAX)));
}

/// Entries of which a message cannot carry all are sent in parts; each one that may be proposed fits.
#[test]
fn what_does_not_fit_into_a_message_is_sent_in_parts() {
    let entries: Vec<Entry> = (8..16)
        .map(|index| Entry { log_id: log_id(5, index), payload: EntryPayload::Normal(big_proposal()) })
        .collect();
    let prev_log_id = Some(log_id(5, 7));
    let rpc = |entries| AppendEntriesRequest { vote: leader(), prev_log_id, entries, leader_commit: None };

    let (bytes, last) = fit(rpc(entries.clone()));
    assert!(last.is_some_and(|last| (8..15).contains(&last.index)), "{last:?}");
    assert!(bytes.len() <= CALL_BYTES_MAX);
    assert_eq!(fit(rpc(entries[..1].to_vec())).1, None, "all of it");

    let proposal = big_proposal();
    let bytes = wire::encode(&entries[0]).len();
    assert!(bytes <= proposal.bytes_max() && proposal.bytes_max() <= crate::consensus::log::ENTRY_BYTES_MAX);
}

/// G12.
#[test]
fn an_index_beyond_counting_is_refused() {
    let question = append(leader(), Some(log_id(5, u64::MAX)), vec![]);
    assert_eq!(check::question(&question, FROM, VOTED), Err(Unacceptable::Index(u64::MAX)));
}

/// G3, G23.
#[test]
fn nobody_speaks_for_another_member() {
    for question in corpus() {
        let refused = check::question(&question, MemberId(3), VOTED);
        assert_eq!(refused, Err(Unacceptable::Impersonation { claimed: FROM, from: MemberId(3) }));
    }
}

#[test]
fn entries_that_do_not_follow_each_other_are_refused() {
    let after = Some(log_id(5, 7));
    for (term, index) in [(5, 9), (5, 7), (4, 8), (6, 8)] {
        let question = append(leader(), after, vec![blank(log_id(term, index))]);
        assert_eq!(check::question(&question, FROM, VOTED), Err(Unacceptable::Gap), "{term}-{index}");
    }
    let many = (8..8 + 5000).map(|index| blank(log_id(5, index))).collect();
    assert_eq!(check::question(&append(leader(), after, many), FROM, VOTED), Err(Unacceptable::Entries(5000)));
}

/// G12.
#[test]
fn a_configuration_without_voters_or_with_a_million_is_refused() {
    let nobody = Membership::new_with_defaults(vec![BTreeSet::new()], [1]);
    let million = Membership::new_with_defaults(vec![(0..1_000_000).collect()], []);
    let nothing = Membership::from(BTreeMap::<u64, EmptyNode>::new());
    for configuration in [nobody, million, Membership::default(), nothing] {
        let entry = Entry { log_id: log_id(5, 0), payload: EntryPayload::Membership(configuration) };
        let refused = check::question(&append(leader(), None, vec![entry]), FROM, VOTED);
        assert!(matches!(refused, Err(Unacceptable::Membership { .. })), "{refused:?}");
    }
}

/// G14: an offer of ten tebibytes reserves nothing.
#[test]
fn a_snapshot_beyond_all_bounds_is_refused() {
    for (total, offset, bytes) in
        [(10 << 40, 0, 100), (100, 50, 51), (1 << 20, 0, CHUNK_BYTES_MAX + 1), (9, u64::MAX, 9)]
    {
        let part = Chunk { total, offset, bytes: vec![0; bytes].into(), ..chunk(b"", 0) };
        let refused = check::question(&Question::Chunk(part), FROM, VOTED);
        assert!(matches!(refused, Err(Unacceptable::Chunk { .. })), "{refused:?}");
    }
}

#[test]
fn a_snapshot_is_put_together_from_its_parts_in_any_order() {
    let whole = vec![7; 1000];
    let mut assembly = None;

    assert!(matches!(Assembly::receive(&mut assembly, part(&whole, 0..400)), Received::Have(400)));
    assert!(matches!(Assembly::receive(&mut assembly, part(&whole, 700..1000)), Received::Have(400)), "a gap");
    assert!(matches!(Assembly::receive(&mut assembly, part(&whole, 0..400)), Received::Have(400)), "again");
    let received = Assembly::receive(&mut assembly, part(&whole, 400..1000));

    let Received::Whole(vote, snapshot) = received else { panic!("{received:?}") };
    assert_eq!((vote, snapshot.snapshot.to_vec()), (leader(), whole));
    assert!(assembly.is_none());
}

/// G14.
#[test]
fn a_snapshot_that_was_damaged_on_the_way_is_refused_and_begun_again() {
    let whole = vec![7; 1000];
    let mut damaged = part(&whole, 400..1000);
    damaged.bytes = vec![8; 600].into();
    let mut assembly = None;

    Assembly::receive(&mut assembly, part(&whole, 0..400));
    assert!(matches!(Assembly::receive(&mut assembly, damaged), Received::Damaged));

    assert!(matches!(Assembly::receive(&mut assembly, part(&whole, 0..1000)), Received::Whole(..)));
}

/// H10. Installing it would end Raft, and the process with it.
#[test]
fn a_snapshot_of_a_later_version_is_refused_by_name_before_it_is_installed() {
    run(async {
        let [only]: [Member; 1] = cluster(&Network::default(), 1_000_000).await;
        let server = only.consensus.server();
        let mut later = ClusterState::new().encode_snapshot();
        later[4..8].copy_from_slice(&9_u32.to_be_bytes());
        let ask = async |range| {
            let question = Question::Chunk(part(&later, range)).encode();
            format!("{:?}", Answer::decode(&server.serve(FROM, &question).await).expect("an answer"))
        };

        let refused = r#"Refused("a snapshot of version 9; this program reads versions 1 to 3")"#;
        assert_eq!(ask(0..later.len()).await, refused);
        // The first part may be too short to say it.
        assert_eq!(ask(0..6).await, "Have(6)");
        assert_eq!(ask(6..later.len()).await, refused);

        only.propose(join(1, 11));
        only.kept.until(|state| state.members().count() == 1).await;
    });
}

/// G11.
#[test]
fn entries_of_a_later_version_are_refused_by_name() {
    run(async {
        let [only]: [Member; 1] = cluster(&Network::default(), 1_000_000).await;
        let mut question = append(leader(), Some(log_id(4, 7)), vec![]).encode().to_vec();
        question[0] = 9;

        let answer = Answer::decode(&only.consensus.server().serve(FROM, &question).await).expect("an answer");

        let Answer::Refused(reason) = answer else { panic!("{answer:?}") };
        assert_eq!(reason, "of format 9, and what is read here has format 3");
    });
}

#[test]
fn a_part_of_another_snapshot_begins_that_one() {
    let mut assembly = None;
    Assembly::receive(&mut assembly, part(&[7; 1000], 0..400));

    assert!(matches!(Assembly::receive(&mut assembly, part(&[9; 1000], 0..100)), Received::Have(100)));
}

/// G26, of these decoders.
#[test]
fn whatever_a_peer_says_is_answered_and_raft_goes_on() {
    run(async {
        let [only]: [Member; 1] = cluster(&Network::default(), 1_000_000).await;
        let server = only.consensus.server();
        let mut bytes = Question::Vote(VoteRequest::new(Vote::new(u64::MAX, FROM.0), None)).encode().to_vec();

        for question in [&b""[..], b"\0", b"\x01\xff\xff\xff", &[1; 5000], &bytes] {
            let answer = Answer::decode(&server.serve(FROM, question).await).expect("an answer");
            assert!(matches!(answer, Answer::Refused(_)), "{answer:?}");
        }
        bytes.push(0);
        server.serve(FROM, &bytes).await;

        only.propose(join(1, 11));
        only.kept.until(|state| state.members().count() == 1).await;
        assert_eq!(only.consensus.status().term, only.consensus.voted_term());
    });
}

/// For the attack on all decoders.
pub(in crate::consensus) fn decoders() -> Vec<Decoder> {
    let questions = corpus().iter().map(|question| question.encode().to_vec()).collect();
    let answers = [
        Answer::Append(AppendEntriesResponse::Success),
        Answer::Vote(VoteResponse::new(leader(), Some(log_id(5, 9)), true)),
        Answer::Have(1 << 40),
        Answer::Refused("no".to_owned()),
        Answer::Stopped,
    ];
    vec![
        Decoder {
            name: "question of Raft",
            sound: questions,
            seal: unsealed,
            decode: |bytes| {
                Question::decode(bytes).is_ok_and(|question| check::question(&question, FROM, VOTED).is_ok())
            },
        },
        Decoder {
            name: "answer of Raft",
            sound: answers.iter().map(|answer| answer.encode().to_vec()).collect(),
            seal: unsealed,
            decode: |bytes| Answer::decode(bytes).is_ok(),
        },
    ]
}

/// For the examples of formats. The first byte says which entries there are.
pub(in crate::consensus) fn examples() -> Vec<Example> {
    let mut examples: Vec<Example> = [("raft-questions.1", 1), ("raft-questions.2", 2)]
        .map(|(file, version)| {
            let bytes: Vec<_> = questions_of(version).iter().map(|question| question.encode().to_vec()).collect();
            Example::new(file, joined(&bytes), move |bytes| {
                let read = parts(bytes).into_iter().map(|part| Question::decode(&part).ok());
                said(read) == said(questions_of(version).into_iter().map(Some))
            })
        })
        .into();
    let bytes: Vec<_> = answers().iter().map(|answer| answer.encode().to_vec()).collect();
    examples.push(Example::new("raft-answers.1", joined(&bytes), |bytes| {
        let read = parts(bytes).into_iter().map(|part| Answer::decode(&part).ok());
        said(read) == said(answers().into_iter().map(Some))
    }));
    examples
}

/// Openraft's messages cannot be compared, but shown.
fn said<T: std::fmt::Debug>(messages: impl Iterator<Item = Option<T>>) -> Vec<String> {
    messages.map(|message| format!("{message:?}")).collect()
}

fn questions_of(version: u32) -> Vec<Question> {
    let [_, vote, pre_vote, transfer, chunk] = <[Question; 5]>::try_from(corpus()).expect("one of each kind");
    let entries = crate::consensus::examples::entries(version);
    vec![append(leader(), Some(log_id(4, 7)), entries), vote, pre_vote, transfer, chunk]
}

fn answers() -> Vec<Answer> {
    vec![
        Answer::Append(AppendEntriesResponse::Success),
        Answer::Append(AppendEntriesResponse::PartialSuccess(Some(log_id(5, 70_000)))),
        Answer::Append(AppendEntriesResponse::Conflict),
        Answer::Append(AppendEntriesResponse::HigherVote(leader())),
        Answer::Vote(VoteResponse::new(leader(), Some(log_id(5, 9)), true)),
        Answer::TransferLeader(Ok(())),
        Answer::Have(1 << 40),
        Answer::Installed(SnapshotResponse::new(leader())),
        Answer::Refused("no".to_owned()),
        Answer::Stopped,
    ]
}

fn leader() -> Vote {
    Vote::new_committed(5, FROM.0)
}

fn blank(id: LogId) -> Entry {
    Entry { log_id: id, payload: EntryPayload::Blank }
}

fn append(vote: Vote, prev_log_id: Option<LogId>, entries: Vec<Entry>) -> Question {
    Question::Append(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit: prev_log_id })
}

fn chunk(whole: &[u8], offset: u64) -> Chunk {
    let membership = Membership::new_with_defaults(vec![BTreeSet::from([1, 2])], [3]);
    let last_membership = StoredMembership::new(Some(log_id(4, 3)), membership);
    let meta = SnapshotMeta { last_log_id: Some(log_id(5, 70)), last_membership };
    let checksum = crc32fast::hash(whole);
    Chunk { vote: leader(), meta, total: whole.len() as u64, checksum, offset, bytes: Bytes::new() }
}

fn part(whole: &[u8], range: std::ops::Range<usize>) -> Chunk {
    Chunk { bytes: whole[range.clone()].to_vec().into(), ..chunk(whole, range.start as u64) }
}

/// One sound question of each kind.
fn corpus() -> Vec<Question> {
    let proposal = Proposal(std::sync::Arc::new(join(2, 22)));
    let command = Entry { log_id: log_id(5, 8), payload: EntryPayload::Normal(proposal) };
    let voters = Membership::new_with_defaults(vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])], []);
    let change = Entry { log_id: log_id(5, 9), payload: EntryPayload::Membership(voters) };
    let candidate = VoteRequest::new(Vote::new(6, FROM.0), Some(log_id(5, 9)));
    vec![
        append(leader(), Some(log_id(4, 7)), vec![command, change]),
        Question::Vote(candidate.clone()),
        Question::PreVote(candidate),
        Question::TransferLeader(openraft::raft::TransferLeaderRequest::new(leader(), 1, Some(log_id(5, 9)))),
        Question::Chunk(part(&[7; 100], 0..100)),
    ]
}
