//! Who lives: beats and their answers, the lease, whether to serve, and what a leader does for all.

use std::collections::BTreeSet;
use std::time::Duration;

use super::leading::{Sees, UNHEARD_AFTER_HEARTBEATS};
use super::{BeatAnswer, CLOSE_AFTER_PAUSE, ClusterOrder, ControlMessage, Node, Output, Peer, Service, Stage};
use crate::cluster::{Command, Member, Role};
use crate::ids::{Life, LogIndex, MemberId, Sequence, Term};
use crate::time::Uptime;
use crate::{planted, sometimes};

impl Node {
    pub(super) fn beat_if_due(&mut self, now: Uptime) {
        if now < self.next_beat || self.stage == Stage::Over {
            return;
        }
        self.next_beat = now + self.times.heartbeat;
        let round = self.lease.ask(now);
        let (applied, leader) = (self.state.applied(), self.raft.leader);
        let beat = ControlMessage::Beat { round, applied, life: self.life(), leader, unheard: self.unheard(now) };
        self.send_to_linked(&beat);
        if let Some(leading) = &mut self.leading {
            leading.round(now, round);
        }
        let me = self.settings.member;
        let answer = self.answer(now, me, round, self.raft.leader, self.raft.voted);
        self.round_answered(now, me, &answer);
        if let Some(life) = self.life() {
            self.asked_by_life(now, life, round, self.state.applied());
        }
    }

    /// The active members of whom nothing was heard for a while, unless this one leads and judges them by their silence.
    pub(super) fn unheard(&self, now: Uptime) -> BTreeSet<MemberId> {
        if self.leading.is_some() || now.since(self.began) < self.unheard_after() {
            return BTreeSet::new();
        }
        self.others_that_serve().filter(|member| !self.hears(now, member)).map(|member| member.id).collect()
    }

    /// Whether this node may begin to serve: it hears everybody who does. Whoever is dead will be expelled.
    pub(super) fn hears_everybody(&self, now: Uptime) -> bool {
        self.others_that_serve().all(|member| self.reaches(member) && self.hears(now, member))
    }

    pub(super) fn others_that_serve(&self) -> impl Iterator<Item = &Member> {
        self.state.members().filter(|member| member.is_active() && member.id != self.settings.member)
    }

    pub(super) fn hears(&self, now: Uptime, member: &Member) -> bool {
        self.silence.last_heard(member.life()).is_some_and(|heard| now.since(heard) < self.unheard_after())
    }

    pub(super) fn unheard_after(&self) -> Duration {
        self.times.heartbeat * UNHEARD_AFTER_HEARTBEATS
    }

    pub(super) fn reported(&mut self, now: Uptime, from: Peer, life: Option<Life>, unheard: BTreeSet<MemberId>) {
        if life.and_then(|life| self.state.alive(life)).is_none_or(|member| member.id != from.member) {
            return;
        }
        // It judges by the rest of the node, so it is apart meanwhile.
        if let Some(mut leading) = self.leading.take() {
            leading.reported(now, from, unheard, &self.sees());
            self.leading = Some(leading);
        }
    }

    /// The answer to a beat of a member that believes this one to lead.
    pub(super) fn answer(
        &mut self,
        now: Uptime,
        from: MemberId,
        round: Sequence,
        leader: Option<MemberId>,
        voted: Term,
    ) -> BeatAnswer {
        let another_leader = (leader == Some(from)).then(|| self.answered.answer(now, from, voted));
        BeatAnswer { round, voted, applied: self.state.applied(), leader: self.leader(), another_leader }
    }

    pub(super) fn asked(&mut self, now: Uptime, from: Peer, round: Sequence, life: Option<Life>, applied: LogIndex) {
        let Some(life) = life.filter(|life| life.member == from.member) else { return };
        if self.leading.is_none() {
            // It may have to lead soon, and knows then who was silent before.
            if self.state.alive(life).is_some() {
                self.silence.heard(now, life);
            }
            return;
        }
        match self.state.alive(life) {
            Some(_) => self.asked_by_life(now, life, round, applied),
            None if life.incarnation.0 <= self.state.applied().0 => {
                sometimes!("an_ended_life_asks_for_a_lease");
                self.send(from.member, ControlMessage::Over { life });
            }
            None => {}
        }
    }

    pub(super) fn asked_by_life(&mut self, now: Uptime, life: Life, round: Sequence, applied: LogIndex) {
        let active = self.state.alive(life).is_some_and(Member::is_active);
        let newest = self.state.applied();
        if let Some(leading) = &mut self.leading
            && leading.asked(now, life, round, active.then_some((applied, newest)))
        {
            self.silence.heard(now, life);
        }
    }

    pub(super) fn round_answered(&mut self, now: Uptime, voter: MemberId, answer: &BeatAnswer) {
        let applied = self.state.applied();
        let Some(leading) = self.leading.as_mut().filter(|leading| leading.may_grant(applied)) else { return };
        for (life, ask) in leading.answered(now, voter, answer, &self.raft.voter_sets) {
            if life.member != self.settings.member {
                self.output.push_back(Output::Cluster(ClusterOrder::Send {
                    to: life.member,
                    message: ControlMessage::Granted { ask, life },
                }));
            } else if self.life() == Some(life) {
                self.lease.granted(ask);
            }
        }
    }

    /// Something was said about a crash: is it enough to act on?
    pub(super) fn believe(&mut self, now: Uptime, suspect: Peer) {
        let is_leader = self.raft.leader == Some(suspect.member);
        if is_leader && self.evidence.is_conclusive(suspect.member, suspect.boot, &self.raft.voter_sets) {
            let witnesses = self.state.members().filter(|member| member.role == Role::Witness);
            let witnesses = witnesses.map(|member| member.id).collect();
            let order = self.evidence.successors(suspect.member, suspect.boot, &self.raft.voter_sets, &witnesses);
            sometimes!("the_crash_of_the_leader_is_believed");
            self.succession.begin(now, suspect.member, order);
        }
    }

    pub(super) fn succeed(&mut self, now: Uptime) {
        if let Some((dead, target)) = self.succession.next(now) {
            self.output.push_back(Output::Cluster(ClusterOrder::TakeOver { dead, target }));
        }
    }

    pub(super) fn serve_or_not(&mut self, now: Uptime) {
        // Once its leave is agreed, nobody waits for who leaves, and it is the last to know.
        let active = matches!(self.stage, Stage::Active(_));
        let may_serve = self.lease.is_held(now) || (planted!(LeaseIgnored) && self.service == Service::Serve);
        let service = match (active && may_serve, self.service) {
            (true, _) => Service::Serve,
            (false, Service::Serve) => Service::Pause,
            (false, Service::Pause) if self.paused_at.is_some_and(|at| now >= at + CLOSE_AFTER_PAUSE) => Service::Close,
            (false, service) => service,
        };
        if service != self.service {
            sometimes!(service == Service::Pause, "a_lease_runs_out");
            sometimes!(service == Service::Serve && self.service == Service::Pause, "a_lease_comes_back_in_time");
            sometimes!(service == Service::Serve && self.service == Service::Close, "a_node_serves_again");
            sometimes!(service == Service::Close, "a_node_sends_its_clients_away");
            self.service = service;
            self.paused_at = (service == Service::Pause).then_some(now);
            self.output.push_back(Output::Service(service));
        }
    }

    pub(super) fn lead(&mut self, now: Uptime) {
        let Some(mut leading) = self.leading.take() else { return };
        self.output.extend(leading.duties(now, &self.sees()));
        self.leading = Some(leading);
    }

    /// What a leader judges by.
    pub(super) fn sees(&self) -> Sees<'_> {
        Sees {
            state: &self.state,
            raft: &self.raft,
            evidence: &self.evidence,
            silence: &self.silence,
            me: self.settings.member,
            replace_after: self.settings.replace_voter_after,
        }
    }

    /// Followers propose through the leader. Each member proposes for itself only; nobody but a leader expels.
    pub(super) fn proposed_by(&mut self, from: MemberId, commands: Vec<Command>) {
        if self.leading.is_none() {
            return self.say_who_leads(from, &commands);
        }
        let own = commands.into_iter().filter(|command| match command {
            Command::Join(join) => join.member == from,
            Command::Activate(life) | Command::Leave(life) => life.member == from,
            Command::Batch(batch) => batch.life.member == from,
            Command::Expel { .. }
            | Command::Forget(_)
            | Command::Drain(_)
            | Command::Undrain(_)
            | Command::ChangeTimes { .. }
            | Command::TimesInForce { .. } => false,
        });
        let commands: Vec<_> = own.collect();
        if !commands.is_empty() {
            self.output.push_back(Output::Cluster(ClusterOrder::Propose(commands)));
        }
    }

    /// Who wants to join may have found nobody but followers. Everybody else knows where the leader is.
    fn say_who_leads(&mut self, from: MemberId, commands: &[Command]) {
        let wants_to_join = commands.iter().any(|command| matches!(command, Command::Join(_)));
        let leader = self.raft.leader.filter(|leader| *leader != from && *leader != self.settings.member);
        let leader = leader.and_then(|leader| self.state.member(leader));
        if let Some(address) = leader.filter(|_| wants_to_join).map(|leader| leader.peer_address) {
            self.send(from, ControlMessage::LedFrom { address });
        }
    }
}
