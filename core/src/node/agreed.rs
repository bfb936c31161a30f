//! What was agreed, and what it makes of this node: entries in order, or a snapshot in their place.

use std::net::SocketAddr;

use super::{ClusterOrder, ControlMessage, Entry, Node, Output, Refusal, Service, Stage};
use crate::admission::Door;
use crate::cluster::{ClusterState, Command, Event, Installation, MemberState};
use crate::ids::{Incarnation, Life, LogIndex, MemberId};
use crate::time::Uptime;
use crate::{planted, sometimes};

impl Node {
    pub(super) fn committed(&mut self, now: Uptime, entries: Vec<Entry>) {
        let mut proposers = Vec::new();
        for Entry { index, command } in entries {
            let Some(command) = command else {
                self.state.skip(index);
                continue;
            };
            if planted!(AppliedDifferently) && self.settings.member.0.is_multiple_of(2) && index.0.is_multiple_of(32) {
                self.state.skip(index);
                continue;
            }
            let applied = self.state.apply(index, &command);
            let version = self.state.version();
            if !self.settings.versions.includes(version) {
                sometimes!("a_program_is_outgrown");
                self.stage = Stage::Over;
                self.output.push_back(Output::Outgrown { version });
                return;
            }
            for event in applied.events {
                self.happened(now, index, event);
            }
            if let Command::Batch(batch) = &*command {
                if self.life() == Some(batch.life) {
                    let answers = self.batches.committed(batch.sequence, &applied.outcome);
                    self.known.await_everyone(index, answers);
                } else if !proposers.contains(&batch.life) {
                    proposers.push(batch.life);
                }
            }
        }
        self.follow_times(now);
        for life in proposers {
            if self.state.alive(life).is_some() {
                self.send(life.member, ControlMessage::Applied { index: self.state.applied() });
            }
        }
    }

    pub(super) fn happened(&mut self, now: Uptime, index: LogIndex, event: Event) {
        match &event {
            Event::Joined(life) => {
                let mine = *life == self.my_life_in_the_state(life.incarnation);
                if mine && self.stage == Stage::Joining {
                    self.stage = Stage::Joined(*life);
                    self.propose_again = now;
                }
                self.silence.heard(now, *life);
            }
            Event::Activated(life) => {
                if self.stage == Stage::Joined(*life) {
                    self.stage = Stage::Active(*life);
                }
                // It serves only once it has applied this entry itself, and so knows all that is before it.
                self.known.applied(life.member, index);
                self.silence.heard(now, *life);
            }
            Event::Ended { life, expelled } => {
                self.ended(*life, expelled.is_none());
            }
            Event::VotersChanged
            | Event::SeniorChanged(_)
            | Event::RouteAdded(_)
            | Event::RouteChanged(_)
            | Event::RouteRemoved { .. } => {}
        }
        self.output.push_back(Output::Event(event));
    }

    /// The life that the state gives this process, if the state speaks of this process at all.
    pub(super) fn my_life_in_the_state(&self, incarnation: Incarnation) -> Life {
        let known = self.state.member(self.settings.member).is_some_and(|member| member.boot == self.settings.boot);
        Life { member: if known { self.settings.member } else { MemberId(0) }, incarnation }
    }

    pub(super) fn ended(&mut self, life: Life, by_itself: bool) {
        self.known.forget(life.member);
        self.evidence.forget(life.member);
        self.evidence.forget_witness(life.member);
        self.silence.forget(life);
        if let Some(leading) = &mut self.leading {
            leading.forget(life);
        }
        if self.life() == Some(life) && (by_itself || !planted!(LifeOverIgnored)) {
            self.end_of_this_life(by_itself);
        }
    }

    /// The others know that this life is over and this node has not applied it. Who has asked to leave has left.
    pub(super) fn told_of_the_end(&mut self) {
        sometimes!(matches!(self.stage, Stage::Leaving(_)), "a_leave_is_agreed_before_the_leaver_knows");
        self.end_of_this_life(matches!(self.stage, Stage::Leaving(_)));
    }

    pub(super) fn end_of_this_life(&mut self, by_itself: bool) {
        self.stage = Stage::Over;
        self.lease.give_up();
        self.leading = None;
        self.service = Service::Close;
        let refused = self.refuse_requests();
        self.output.extend(refused.into_iter().map(|(session, answer)| Output::Answer { session, answer }));
        let refused = self.orders.refuse_all();
        self.output
            .extend(refused.map(|id| Output::Cluster(ClusterOrder::Ordered { id, outcome: Err(Refusal::NoQuorum) })));
        let see_other_host = self.somewhere_else();
        self.output.push_back(if by_itself { Output::Left } else { Output::LifeOver { see_other_host } });
    }

    /// Where clients of this node may go: the youngest other member that serves and is linked, so that not all go to
    /// the senior.
    pub fn somewhere_else(&self) -> Option<SocketAddr> {
        let youngest = self.others_that_take_clients().max_by_key(|member| member.incarnation)?;
        youngest.client_addresses.first().copied()
    }

    /// What a client finds that comes at this moment.
    pub fn door(&self) -> Door {
        match self.service {
            Service::Serve if planted!(DrainEndsWithTheFirst) => Door::Open,
            Service::Serve => self.host_of_drain().map_or(Door::Open, Door::Elsewhere),
            // It may serve again in a moment.
            Service::Pause => Door::Open,
            Service::Close => {
                // Without a leader nobody else serves either.
                let is_led = self.raft.leader.is_some_and(|leader| leader != self.settings.member);
                self.somewhere_else().filter(|_| is_led).map_or(Door::Shut, Door::Elsewhere)
            }
        }
    }

    /// The read view is to follow a snapshot before its state is in place. Nobody is told that it was applied.
    pub(super) fn routes_ahead(&mut self, events: Vec<Event>) {
        self.output.extend(events.into_iter().map(Output::Event));
    }

    pub(super) fn installed(&mut self, now: Uptime, installation: Installation) {
        self.replace_state(installation);
        self.follow_times(now);
        match self.state.member(self.settings.member).filter(|member| member.boot == self.settings.boot) {
            Some(member) => {
                let life = member.life();
                match (member.state, self.stage) {
                    (MemberState::Gone { expelled, .. }, _) => self.end_of_this_life(expelled.is_none()),
                    (_, Stage::Aside) => {}
                    (MemberState::Active | MemberState::Draining, Stage::Joining | Stage::Joined(_)) => {
                        self.stage = Stage::Active(life);
                    }
                    (MemberState::Joining, Stage::Joining) => self.stage = Stage::Joined(life),
                    (
                        MemberState::Active | MemberState::Draining,
                        Stage::Active(_) | Stage::Leaving(_) | Stage::Over,
                    )
                    | (MemberState::Joining, Stage::Joined(_) | Stage::Active(_) | Stage::Leaving(_) | Stage::Over) => {
                    }
                }
            }
            None if !matches!(self.stage, Stage::Aside | Stage::Joining) => self.end_of_this_life(false),
            None => {}
        }
        sometimes!("a_snapshot_is_installed");
        sometimes!(self.stage == Stage::Over, "a_snapshot_says_that_a_life_is_over");
        sometimes!(self.batches.is_in_flight(), "a_snapshot_hides_the_fate_of_a_batch");
        let refused = self.batches.hide_in_flight();
        self.output.extend(refused.into_iter().map(|(session, answer)| Output::Answer { session, answer }));
        self.propose_again = now;
    }

    /// Tells what a snapshot changes as if it had happened entry by entry.
    pub(super) fn replace_state(&mut self, installation: Installation) {
        let (old, events) = installation.install(&mut self.state);
        self.replaced = Some(old);
        self.output.extend(events.into_iter().map(Output::Event));
    }

    /// The state that a snapshot has replaced, for whoever has the time to drop it.
    pub fn take_replaced(&mut self) -> Option<ClusterState> {
        self.replaced.take()
    }
}
