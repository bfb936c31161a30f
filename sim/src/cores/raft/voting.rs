//! Elections: asking around first, then for votes; granting them; handing leadership over.

use cresset_core::ids::MemberId;

use super::leading::Leading;
use super::log::Position;
use super::message::{Answer, Order, Question};
use super::{Asking, Raft, Role};
use crate::cores::queue::Moment;

impl Raft {
    /// Asks whether an election would be worth it (PreVote).
    pub(super) fn ask_around(&mut self, now: Moment) {
        self.begin_asking(now, true);
        self.ask_all(Question::Vote {
            term: self.disk.term + 1,
            last: self.disk.last(),
            is_trial: true,
            is_transfer: false,
        });
    }

    /// Stands for election.
    pub(super) fn elect(&mut self, now: Moment, is_transfer: bool) {
        if !self.is_voter() {
            return;
        }
        self.disk.term += 1;
        self.disk.voted_for = Some(self.me);
        self.disk.is_elected = false;
        self.vote_touched = now;
        self.has_lease = false;
        self.begin_asking(now, false);
        if self.has_quorum(|id| id == self.me) {
            return self.elected(now);
        }
        let (term, last) = (self.disk.term, self.disk.last());
        self.ask_all(Question::Vote { term, last, is_trial: false, is_transfer });
    }

    fn begin_asking(&mut self, now: Moment, is_trial: bool) {
        self.role = Role::Asking(Asking { since: now, is_trial, granted: [self.me].into() });
    }

    fn ask_all(&mut self, question: Question) {
        let config = self.disk.config().clone();
        let others: std::collections::BTreeSet<MemberId> =
            config.sets.iter().flatten().copied().filter(|id| *id != self.me).collect();
        for to in others {
            self.ask(to, question.clone());
        }
    }

    pub(super) fn vote(
        &mut self,
        now: Moment,
        from: MemberId,
        (term, last): (u64, Position),
        is_trial: bool,
        is_transfer: bool,
    ) -> Answer {
        let has_leader = match &self.role {
            Role::Leading(leading) => {
                let lease = self.settings.timing.election_max;
                self.has_quorum(|id| id == self.me || leading.was_answered_by(id, now, lease))
            }
            Role::Following | Role::Asking(_) => self.disk.is_elected && now < self.lease_until(),
        };
        let is_free = term > self.disk.term || (term == self.disk.term && self.disk.voted_for == Some(from));
        let is_granted = is_free && (is_transfer || !has_leader) && last >= self.disk.last();
        if is_granted && !is_trial && term > self.disk.term {
            self.disk.term = term;
            self.disk.voted_for = Some(from);
            self.disk.is_elected = false;
            self.role = Role::Following;
            self.vote_touched = now;
            self.has_lease = false;
        }
        Answer::Voted { term: self.disk.term, asked: term, is_trial, is_granted }
    }

    pub(super) fn voted_by(
        &mut self,
        now: Moment,
        from: MemberId,
        (term, asked): (u64, u64),
        is_trial: bool,
        is_granted: bool,
    ) {
        if !is_granted {
            return self.seen(now, term);
        }
        let Role::Asking(asking) = &mut self.role else { return };
        let expected = if is_trial { self.disk.term + 1 } else { self.disk.term };
        if asking.is_trial != is_trial || asked != expected {
            return;
        }
        asking.granted.insert(from);
        let granted = asking.granted.clone();
        if !self.has_quorum(|id| granted.contains(&id)) {
            return;
        }
        if is_trial {
            self.elect(now, false);
        } else {
            self.elected(now);
        }
    }

    /// There is a later term.
    pub(super) fn seen(&mut self, now: Moment, term: u64) {
        if term > self.disk.term {
            self.disk.term = term;
            self.disk.voted_for = None;
            self.disk.is_elected = false;
            self.role = Role::Following;
            self.vote_touched = now;
            self.has_lease = false;
        }
    }

    fn elected(&mut self, now: Moment) {
        self.disk.is_elected = true;
        self.orders.push_back(Order::Leads { term: self.disk.term });
        self.role = Role::Leading(Box::new(Leading::new(now, self.disk.last_index() + 1)));
        self.begin_leading(now);
    }

    /// The leader of this term is gone, or wants `to` to lead.
    pub(super) fn transferred(&mut self, now: Moment, of: (u64, MemberId), to: MemberId, last: Position) {
        let is_present = self.disk.is_elected && (self.disk.term, self.disk.voted_for) == (of.0, Some(of.1));
        if !is_present {
            return;
        }
        self.has_lease = false;
        if to == self.me && last <= self.disk.last() {
            self.elect(now, true);
        }
    }
}
