//! A model of Raft as the nodes see it: small, in one thread, with everything that Raft allows to happen.
//!
//! ```text
//! propose, set_membership, take_over, transfer ─▶┌──────┐──Ask──▶ links ──▶ answer() of another one
//!                                due() ─▶ tick() ─▶│ Raft │◀─────── heard()
//!                                                └──────┘──next_committed()──▶ the node, a snapshot first if need be
//! ```
//!
//! It is a Raft and not an oracle: terms, votes, logs and quorums are real, so leaders are deposed without knowing it,
//! entries are lost and come back, and followers learn of commits late, for the reasons for which that happens. Its
//! times and its manners are those of openraft as the nodes set it up: the lease of a leader, PreVote, leadership that
//! is handed over, membership by joint sets, one question at a time to each follower. It has a perfect disk.

mod change;
mod leading;
mod log;
mod message;
mod voting;

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cresset_core::cluster::Command;
use cresset_core::config::Timing;
use cresset_core::ids::{LogIndex, MemberId, Term};
use cresset_core::liveness::has_quorum;
use cresset_core::node::RaftStatus;
use rand::RngExt;
use rand::rngs::StdRng;

use super::queue::Moment;

use leading::Leading;
pub(super) use log::{Config, Disk, Payload, Position, Snapshot};
pub(super) use message::{Answer, Order, Question};

/// Entries of one message, as the nodes set it up.
const MESSAGE_ENTRIES_MAX: usize = 256;

/// What the model is told once.
#[derive(Clone, Debug)]
pub(super) struct RaftSettings {
    pub(super) timing: Timing,
    /// Entries after which a snapshot is taken.
    pub(super) snapshot_entries: u64,
}

/// One member.
#[derive(Debug)]
pub(super) struct Raft {
    me: MemberId,
    settings: RaftSettings,
    random: StdRng,
    disk: Disk,
    role: Role,
    /// The last index that is known to be committed.
    commit: u64,
    /// The last index that the node was given.
    given: u64,
    /// When the vote was cast or the leader heard.
    vote_touched: Moment,
    /// Whether the leader's lease counts.
    has_lease: bool,
    election_timeout: Duration,
    orders: VecDeque<Order>,
}

#[derive(Debug)]
enum Role {
    Following,
    Asking(Asking),
    Leading(Box<Leading>),
}

/// A round of votes.
#[derive(Debug)]
struct Asking {
    since: Moment,
    is_trial: bool,
    granted: BTreeSet<MemberId>,
}

/// What the node is to be given next.
#[derive(Debug)]
pub(super) enum Next {
    Entry { position: Position, payload: Payload },
    Snapshot(Rc<Snapshot>),
}

impl Raft {
    /// A member that starts with this disk.
    pub(super) fn new(now: Moment, me: MemberId, settings: RaftSettings, disk: Disk, random: StdRng) -> Raft {
        let mut raft = Raft {
            me,
            settings,
            random,
            commit: 0,
            given: 0,
            disk,
            role: Role::Following,
            vote_touched: now,
            has_lease: false,
            election_timeout: Duration::ZERO,
            orders: VecDeque::new(),
        };
        raft.draw_election_timeout();
        raft.commit = raft.disk.snapshot.as_ref().map_or(0, |snapshot| snapshot.last.1);
        raft
    }

    /// Founds a cluster of this member alone.
    pub(super) fn found(&mut self, now: Moment) {
        if self.disk.last_index() > 0 || self.disk.term > 0 {
            return;
        }
        let config = Config { sets: vec![[self.me].into()], learners: BTreeSet::new() };
        self.disk.append(log::LogEntry { term: 0, payload: Payload::Config(Rc::new(config)) });
        self.elect(now, false);
    }

    /// What it leaves when its process dies.
    pub(super) fn into_disk(self) -> Disk {
        self.disk
    }

    /// What it wants done.
    pub(super) fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// The term of the last vote.
    pub(super) fn voted(&self) -> Term {
        Term(self.disk.term)
    }

    pub(super) fn leads(&self) -> bool {
        matches!(self.role, Role::Leading(_))
    }

    /// What the node is told.
    pub(super) fn status(&self) -> RaftStatus {
        let config = self.disk.config();
        let (term, index) = self.disk.last();
        RaftStatus {
            term: Term(self.disk.term),
            voted: Term(self.disk.term),
            leader: self.leader(),
            voter_sets: config.sets.clone(),
            learners: config.learners.clone(),
            log_end: (Term(term), LogIndex(index)),
        }
    }

    fn leader(&self) -> Option<MemberId> {
        let elected = self.disk.voted_for.filter(|_| self.disk.is_elected)?;
        // It may have led in this term before it crashed.
        (elected != self.me || self.leads()).then_some(elected)
    }

    /// The next thing that the node has not seen.
    pub(super) fn next_committed(&mut self) -> Option<Next> {
        if self.given + 1 < self.disk.first_index() {
            let snapshot = self.disk.snapshot.clone().expect("what is purged is in a snapshot");
            self.given = snapshot.last.1;
            return Some(Next::Snapshot(snapshot));
        }
        if self.given >= self.commit {
            return None;
        }
        let index = self.given + 1;
        let entry = self.disk.entry(index)?.clone();
        self.given = index;
        Some(Next::Entry { position: (entry.term, index), payload: entry.payload })
    }

    /// Whether there is something that the node has not seen.
    pub(super) fn has_committed(&self) -> bool {
        self.given < self.commit
    }

    /// The index that the node has seen last.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// Whether a snapshot is due of what the node has applied.
    pub(super) fn wants_snapshot(&self) -> bool {
        let before = self.disk.snapshot.as_ref().map_or(0, |snapshot| snapshot.last.1);
        self.given >= before + self.settings.snapshot_entries
    }

    /// The node's state at what it was given last.
    pub(super) fn keep_snapshot(&mut self, bytes: Vec<u8>) {
        let Some(term) = self.disk.term_at(self.given) else { return };
        let config = self.disk.config_at(self.given).clone();
        self.disk.snapshot = Some(Rc::new(Snapshot { last: (term, self.given), config, bytes }));
        self.disk.purge(self.given.saturating_sub(self.settings.snapshot_entries / 2));
    }

    /// When [`tick`](Raft::tick) is to be called.
    pub(super) fn due(&self) -> Moment {
        match &self.role {
            Role::Leading(leading) => leading.due(),
            Role::Following if !self.is_voter() => Moment::NEVER,
            Role::Following => self.election_at(),
            Role::Asking(asking) => self.election_at().max(asking.since.after(self.election_timeout)),
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Moment) {
        if now < self.due() {
            return;
        }
        match self.role {
            Role::Leading(_) => self.lead(now),
            Role::Following | Role::Asking(_) => {
                self.draw_election_timeout();
                let is_alone = self.disk.config().sets.iter().all(|set| set.len() == 1);
                if is_alone { self.elect(now, false) } else { self.ask_around(now) }
            }
        }
    }

    /// Answers another member.
    pub(super) fn answer(&mut self, now: Moment, from: MemberId, question: Question) -> Answer {
        match question {
            Question::Append { term, previous, entries, commit } => {
                self.append(now, from, term, previous, entries, commit)
            }
            Question::Snapshot { term, snapshot } => self.install(now, from, term, snapshot),
            Question::Vote { term, last, is_trial, is_transfer } => {
                self.vote(now, from, (term, last), is_trial, is_transfer)
            }
            Question::Transfer { term, to, last } => {
                self.transferred(now, (term, from), to, last);
                Answer::Heard
            }
        }
    }

    /// Another member has answered.
    pub(super) fn heard(&mut self, now: Moment, from: MemberId, answer: Answer) {
        match answer {
            Answer::Appended { term, agrees } => self.appended(now, from, term, agrees),
            Answer::Voted { term, asked, is_trial, is_granted } => {
                self.voted_by(now, from, (term, asked), is_trial, is_granted);
            }
            Answer::Heard => {}
        }
    }

    /// The leader whose crash is beyond doubt is to be followed by `target`.
    pub(super) fn take_over(&mut self, now: Moment, dead: MemberId, target: MemberId) {
        if dead != self.me && self.leader() == Some(dead) {
            self.transferred(now, (self.disk.term, dead), target, self.disk.last());
        }
    }

    fn append(
        &mut self,
        now: Moment,
        from: MemberId,
        term: u64,
        previous: Position,
        entries: Vec<log::LogEntry>,
        commit: u64,
    ) -> Answer {
        if !self.follow(now, from, term) {
            return Answer::Appended { term: self.disk.term, agrees: Err(self.disk.last_index()) };
        }
        let kept = self.disk.term_at(previous.1);
        // What is before the first entry that is kept is in a snapshot, hence committed, hence the same.
        let fits = kept == Some(previous.0) || previous.1 < self.disk.first_index().saturating_sub(1);
        if !fits {
            let end = self.disk.last_index().min(previous.1.saturating_sub(1));
            return Answer::Appended { term: self.disk.term, agrees: Err(end) };
        }
        let agreed = previous.1 + entries.len() as u64;
        for (entry, index) in entries.into_iter().zip(previous.1 + 1..) {
            if index < self.disk.first_index() {
                continue;
            }
            match self.disk.term_at(index) {
                Some(term) if term == entry.term => {}
                Some(_) => {
                    assert!(index > self.commit, "the model of Raft cuts off what is committed");
                    self.disk.truncate_after(index - 1);
                    self.disk.append(entry);
                }
                None => self.disk.append(entry),
            }
        }
        self.commit = self.commit.max(commit.min(agreed));
        Answer::Appended { term: self.disk.term, agrees: Ok(agreed) }
    }

    fn install(&mut self, now: Moment, from: MemberId, term: u64, snapshot: Rc<Snapshot>) -> Answer {
        if !self.follow(now, from, term) {
            return Answer::Appended { term: self.disk.term, agrees: Err(self.disk.last_index()) };
        }
        let index = snapshot.last.1;
        if index > self.commit {
            self.disk.install(snapshot);
            self.commit = index;
            // The node is given it as a whole.
            self.disk.purge(index);
        }
        Answer::Appended { term: self.disk.term, agrees: Ok(index) }
    }

    /// Whether this one leads as far as this member is concerned, which follows it then.
    fn follow(&mut self, now: Moment, leader: MemberId, term: u64) -> bool {
        if term < self.disk.term {
            return false;
        }
        assert!(
            term > self.disk.term || self.disk.voted_for == Some(leader) || !self.disk.is_elected,
            "the model of Raft has two leaders in term {term}"
        );
        if term > self.disk.term || self.disk.voted_for != Some(leader) || !self.disk.is_elected {
            self.disk.term = term;
            self.disk.voted_for = Some(leader);
            self.disk.is_elected = true;
        }
        self.role = Role::Following;
        self.vote_touched = now;
        self.has_lease = true;
        true
    }

    fn is_voter(&self) -> bool {
        self.disk.config().sets.iter().any(|set| set.contains(&self.me))
    }

    fn has_quorum(&self, members: impl Fn(MemberId) -> bool) -> bool {
        has_quorum(&self.disk.config().sets, members)
    }

    fn ask(&mut self, to: MemberId, question: Question) {
        self.orders.push_back(Order::Ask { to, question });
    }

    fn draw_election_timeout(&mut self) {
        let (min, max) = (self.settings.timing.election_min, self.settings.timing.election_max);
        self.election_timeout = self.random.random_range(min..=max);
    }

    fn election_at(&self) -> Moment {
        self.lease_until().after(self.election_timeout)
    }

    fn lease_until(&self) -> Moment {
        let lease = if self.has_lease { self.settings.timing.election_max } else { Duration::ZERO };
        self.vote_touched.after(lease)
    }
}

/// A command as an entry carries it.
pub(super) fn payload_of(command: Command) -> Payload {
    Payload::Command(Arc::new(command))
}
