//! What a leader does: sends entries, counts who has them, commits.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cresset_core::cluster::Command;
use cresset_core::ids::MemberId;

use super::change::Change;
use super::log::{LogEntry, Payload};
use super::message::{Order, Question};
use super::{MESSAGE_ENTRIES_MAX, Raft, Role, payload_of};
use crate::cores::queue::Moment;

/// How long a leader may be without a first commit before what is proposed is dropped, as the nodes have it.
const FIRST_COMMIT_TIME_MAX: Duration = Duration::from_millis(500);

/// The part of a member that only a leader has.
#[derive(Debug)]
pub(super) struct Leading {
    /// Its first entry: what is before is committed with it.
    pub(super) first: u64,
    pub(super) followers: BTreeMap<MemberId, Follower>,
    beat_at: Moment,
    /// Proposals that wait for the first commit of the term, and until when.
    held: VecDeque<(Moment, Vec<Command>)>,
    pub(super) change: Option<Change>,
}

/// What a leader knows of a follower.
#[derive(Clone, Copy, Debug)]
pub(super) struct Follower {
    next: u64,
    pub(super) matched: u64,
    /// A question is under way, since then.
    asked: Option<Moment>,
    /// When the last question was asked that was answered.
    answered: Option<Moment>,
}

impl Leading {
    pub(super) fn new(now: Moment, first: u64) -> Self {
        Leading { first, followers: BTreeMap::new(), beat_at: now, held: VecDeque::new(), change: None }
    }

    pub(super) fn due(&self) -> Moment {
        self.beat_at
    }

    pub(super) fn was_answered_by(&self, id: MemberId, now: Moment, lease: Duration) -> bool {
        let answered = self.followers.get(&id).and_then(|follower| follower.answered);
        answered.is_some_and(|at| now < at.after(lease))
    }
}

impl Raft {
    pub(super) fn begin_leading(&mut self, now: Moment) {
        self.disk.append(LogEntry { term: self.disk.term, payload: Payload::Blank });
        self.advance_commit(now);
        self.lead(now);
    }

    /// A beat of the leader.
    pub(super) fn lead(&mut self, now: Moment) {
        let deadline = self.settings.timing.election_min * 3 / 4;
        let Role::Leading(leading) = &mut self.role else { return };
        leading.beat_at = now.after(self.settings.timing.heartbeat);
        leading.held.retain(|(until, _)| now < *until);
        let mut stuck = Vec::new();
        for (id, follower) in &mut leading.followers {
            if follower.asked.is_some_and(|at| now >= at.after(deadline)) {
                follower.asked = None;
                stuck.push(*id);
            }
        }
        self.orders.extend(stuck.into_iter().map(|to| Order::GiveUp { to }));
        self.advance_change(now);
        self.replicate_to_all(now);
    }

    /// Appends commands, in this order, if this member leads.
    pub(in crate::cores) fn propose(&mut self, now: Moment, commands: Vec<Command>) {
        let is_confirmed = self.is_confirmed();
        let Role::Leading(leading) = &mut self.role else { return };
        if !is_confirmed {
            leading.held.push_back((now.after(FIRST_COMMIT_TIME_MAX), commands));
            return;
        }
        for command in commands {
            self.disk.append(LogEntry { term: self.disk.term, payload: payload_of(command) });
        }
        self.advance_commit(now);
        self.replicate_to_all(now);
    }

    /// Hands leadership over, if this member leads.
    pub(in crate::cores) fn transfer(&mut self, to: MemberId) {
        if !self.leads() || to == self.me {
            return;
        }
        let (term, last) = (self.disk.term, self.disk.last());
        for other in self.others() {
            self.ask(other, Question::Transfer { term, to, last });
        }
    }

    /// The link to that member is gone, and the question that was under way with it.
    pub(in crate::cores) fn link_lost(&mut self, to: MemberId) {
        if let Role::Leading(leading) = &mut self.role
            && let Some(follower) = leading.followers.get_mut(&to)
        {
            follower.asked = None;
        }
    }

    /// There is a link to that member.
    pub(in crate::cores) fn link_made(&mut self, now: Moment, to: MemberId) {
        if self.leads() && self.others().contains(&to) {
            self.replicate(now, to);
        }
    }

    /// Whether something of this term is committed.
    pub(super) fn is_confirmed(&self) -> bool {
        matches!(&self.role, Role::Leading(leading) if self.commit >= leading.first)
    }

    fn others(&self) -> Vec<MemberId> {
        let config = self.disk.config();
        let all = config.sets.iter().flatten().chain(&config.learners).copied();
        let others: std::collections::BTreeSet<_> = all.filter(|id| *id != self.me).collect();
        others.into_iter().collect()
    }

    pub(super) fn replicate_to_all(&mut self, now: Moment) {
        for to in self.others() {
            self.replicate(now, to);
        }
    }

    /// Sends a follower what it lacks, or a sign of life, unless a question is under way.
    fn replicate(&mut self, now: Moment, to: MemberId) {
        let end = self.disk.last_index();
        let Role::Leading(leading) = &mut self.role else { return };
        let fresh = Follower { next: end + 1, matched: 0, asked: None, answered: None };
        let follower = leading.followers.entry(to).or_insert(fresh);
        if follower.asked.is_some() {
            return;
        }
        follower.asked = Some(now);
        let next = follower.next;
        let (term, commit) = (self.disk.term, self.commit);
        let question = match self.disk.term_at(next - 1) {
            Some(before) => Question::Append {
                term,
                previous: (before, next - 1),
                entries: self.disk.entries_from(next, MESSAGE_ENTRIES_MAX),
                commit,
            },
            None => {
                let snapshot = self.disk.snapshot.clone().expect("what is purged is in a snapshot");
                Question::Snapshot { term, snapshot }
            }
        };
        self.ask(to, question);
    }

    pub(super) fn appended(&mut self, now: Moment, from: MemberId, term: u64, agrees: Result<u64, u64>) {
        if term > self.disk.term {
            return self.seen(now, term);
        }
        let end = self.disk.last_index();
        let commit = self.commit;
        let Role::Leading(leading) = &mut self.role else { return };
        let Some(follower) = leading.followers.get_mut(&from) else { return };
        follower.answered = follower.asked.take().or(follower.answered);
        let is_new = match agrees {
            Ok(index) if index > follower.matched => {
                follower.matched = index.min(end);
                true
            }
            Ok(_) | Err(_) => false,
        };
        follower.next = match agrees {
            Ok(_) => follower.matched + 1,
            Err(last) => follower.next.saturating_sub(1).min(last + 1).max(follower.matched + 1),
        };
        let (lags, refused) = (follower.next <= end, agrees.is_err());
        if is_new {
            self.advance_commit(now);
        }
        if self.commit > commit {
            self.advance_change(now);
            self.replicate_to_all(now);
        } else if lags || refused {
            self.replicate(now, from);
        }
    }

    /// What a quorum has is committed, if it is of this term.
    pub(super) fn advance_commit(&mut self, now: Moment) {
        let Role::Leading(leading) = &self.role else { return };
        let end = self.disk.last_index();
        let has = |id: MemberId, index: u64| {
            if id == self.me { true } else { leading.followers.get(&id).is_some_and(|f| f.matched >= index) }
        };
        let newest = (self.commit.max(leading.first.saturating_sub(1)) + 1..=end)
            .rev()
            .find(|index| self.has_quorum(|id| has(id, *index)));
        let Some(newest) = newest else { return };
        self.commit = newest;
        self.retire();
        if let Role::Leading(leading) = &mut self.role {
            let held = std::mem::take(&mut leading.held);
            held.into_iter().for_each(|(_, commands)| self.propose(now, commands));
        }
    }

    /// Whoever leads and votes no more, by what is committed, leads no more.
    fn retire(&mut self) {
        let is_settled = self.disk.config_index() <= self.commit;
        if is_settled && !self.is_voter() {
            self.role = Role::Following;
            self.disk.is_elected = false;
        }
    }
}
