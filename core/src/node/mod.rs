//! The control plane of one node as one machine: what it proposes, whom it believes, when it may serve.
//!
//! ```text
//!  sessions ──Request──▶┌───────────────────────────────┐──Answer────▶ sessions
//!  links ────Control───▶│ Node                          │──Send──────▶ links
//!  links ─LinkUp, …────▶│  ClusterState   (agreed)      │──Propose───▶ Raft, if this node leads
//!  Raft ────Committed──▶│  Batches, Known (requests)    │──TakeOver──▶ Raft
//!  Raft ────Raft───────▶│  Lease, Evidence (liveness)   │──Membership▶ Raft
//!  timer ──────────────▶│  Leading        (if it leads) │──Event─────▶ read view, lanes, sessions
//!                       └───────────────────────────────┘──Service───▶ sessions
//! ```
//!
//! One `handle(now, input)`, one `poll_output()` that only pops, one `poll_timeout()`. The order of outputs is the order
//! of effects: events come before the report to others that they were applied, so "every active member has applied it"
//! means that every active member routes by it.
//!
//! The outcome of a proposal is learned from the log, never from an answer of the leader; a proposal whose fate is not
//! known is made again, which changes nothing the second time. The machine lives for one life of the member: when the
//! life is over it says [`Output::LifeOver`], and its driver makes the machine of the next one ([`Node::reborn`]).
//!
//! It does not know what a stanza is, where bytes come from, or how Raft works.

mod batches;
mod input;
mod known;
mod leading;
mod message;
mod output;
mod succession;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

pub use input::{BindRefusal, Entry, Input, Peer, RaftStatus, Request};
pub use message::{BeatAnswer, CONTROL_BYTES_MAX, ControlMessage};
pub use output::{Answer, Output, Service};

use self::batches::Batches;
use self::known::Known;
use self::leading::{Leading, Sees, UNHEARD_AFTER_HEARTBEATS};
use self::succession::Succession;
use crate::cluster::{ClusterState, Command, Event, Join, Member, MemberState, Role, VersionRange};
use crate::config::Timing;
use crate::ids::{BootId, Incarnation, Life, LogIndex, MemberId, Sequence, Term};
use crate::liveness::{Answered, Evidence, Lease, Silence, has_quorum};
use crate::time::Uptime;
use crate::{planted, sometimes};

/// How long a proposal may be without effect before it is made again. Longer than an agreement takes on a busy disk,
/// shorter than a person's patience.
const PROPOSE_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How long clients of a node that lost its lease are kept waiting before they are sent away. A change of leaders is
/// over by then; a partition is not.
const CLOSE_AFTER_PAUSE: Duration = Duration::from_millis(500);

/// What a node is, for one life.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Its member id.
    pub member: MemberId,
    /// A number drawn for this life.
    pub boot: BootId,
    /// The name that people know it by.
    pub name: String,
    /// Where other members reach it.
    pub peer_address: SocketAddr,
    /// Where clients reach it.
    pub client_addresses: Vec<SocketAddr>,
    /// What it may become.
    pub role: Role,
    /// The versions that this program understands.
    pub versions: VersionRange,
    /// Heartbeat, lease, silence.
    pub timing: Timing,
    /// Whether closed links and a refusing port count as evidence of a crash.
    pub crash_evidence: bool,
}

/// The control plane of one node, for one life.
#[derive(Debug)]
pub struct Node {
    settings: NodeSettings,
    state: ClusterState,
    raft: RaftStatus,
    stage: Stage,
    service: Service,
    paused_at: Option<Uptime>,
    lease: Lease,
    links: BTreeMap<MemberId, Link>,
    evidence: Evidence,
    silence: Silence,
    answered: Answered,
    succession: Succession,
    batches: Batches,
    known: Known,
    leading: Option<Leading>,
    /// When this life began, and whom it hears became its business.
    began: Uptime,
    next_beat: Uptime,
    propose_again: Uptime,
    output: VecDeque<Output>,
}

/// How far this life has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The join is proposed and not seen in the log yet.
    Joining,
    /// The join is in the log, the activation is proposed.
    Joined(Life),
    /// The member serves as long as it holds a lease.
    Active(Life),
    /// The leave is proposed: it serves nobody any more.
    Leaving(Life),
    /// This life is over; the machine does nothing more.
    Over,
}

/// What is known of the control link to a process of a peer.
#[derive(Clone, Copy, Debug)]
struct Link {
    boot: BootId,
    state: LinkState,
    leader: Option<MemberId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LinkState {
    Up,
    Closed,
    Refused,
}

impl Node {
    /// A node that has applied nothing yet and joins as soon as it can.
    pub fn new(now: Uptime, settings: NodeSettings) -> Self {
        let lease = Lease::new(settings.timing.lease);
        let patience = if planted!(ExpelledTooEarly) { settings.timing.lease / 2 } else { settings.timing.expel_after };
        Node {
            settings,
            state: ClusterState::new(),
            raft: RaftStatus::default(),
            stage: Stage::Joining,
            service: Service::Close,
            paused_at: None,
            lease,
            links: BTreeMap::new(),
            evidence: Evidence::new(),
            silence: Silence::new(patience),
            answered: Answered::new(now),
            succession: Succession::default(),
            batches: Batches::default(),
            known: Known::default(),
            leading: None,
            began: now,
            next_beat: now,
            propose_again: now,
            output: VecDeque::new(),
        }
    }

    /// The machine of the next life of the same process: it knows what this one knows of the log and of Raft.
    pub fn reborn(self, now: Uptime, boot: BootId) -> Node {
        let settings = NodeSettings { boot, ..self.settings };
        let leads = self.raft.leader == Some(settings.member);
        let leading = leads.then(|| Leading::new(now, self.raft.term, self.raft.log_end.1, settings.timing.clone()));
        Node {
            state: self.state,
            raft: self.raft,
            leading,
            silence: self.silence,
            answered: self.answered,
            ..Node::new(now, settings)
        }
    }

    /// The agreed state as far as this node has applied it.
    pub fn state(&self) -> &ClusterState {
        &self.state
    }

    /// The life of this member, once its join was applied and until it is over.
    pub fn life(&self) -> Option<Life> {
        match self.stage {
            Stage::Joined(life) | Stage::Active(life) | Stage::Leaving(life) => Some(life),
            Stage::Joining | Stage::Over => None,
        }
    }

    /// What Raft last said of itself: who votes in fact, which follows [`ClusterState::voters`] with some delay.
    pub fn raft(&self) -> &RaftStatus {
        &self.raft
    }

    /// Whether clients are served.
    pub fn service(&self) -> Service {
        self.service
    }

    /// When the lease ends or has ended.
    pub fn lease_until(&self) -> Option<Uptime> {
        self.lease.until()
    }

    /// The highest index that a member is known to have applied.
    pub fn applied_by(&self, member: MemberId) -> Option<LogIndex> {
        if member == self.settings.member { Some(self.state.applied()) } else { self.known.applied_by(member) }
    }

    /// The next order, in the order of effects.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// When to call with [`Input::Timeout`] unless something else happens before.
    pub fn poll_timeout(&self) -> Option<Uptime> {
        if self.stage == Stage::Over {
            return None;
        }
        let lease_end = self.lease.until().filter(|_| self.service == Service::Serve && !planted!(LeaseIgnored));
        let close = self.paused_at.map(|at| at + CLOSE_AFTER_PAUSE);
        // Without a leader there is nobody to propose to: whoever tells of one wakes the node.
        let again = (self.wants_to_propose() && self.leader().is_some()).then_some(self.propose_again);
        let leading =
            self.leading.as_ref().and_then(|leading| leading.timeout(&self.state, &self.silence, self.settings.member));
        [Some(self.next_beat), lease_end, close, again, leading, self.succession.timeout()].into_iter().flatten().min()
    }

    /// Takes a fact.
    pub fn handle(&mut self, now: Uptime, input: Input) {
        if self.stage == Stage::Over {
            return self.handle_after_the_end(input);
        }
        match input {
            Input::Committed(entries) => self.committed(now, entries),
            Input::Installed(state) => self.installed(now, *state),
            Input::Raft(status) => self.raft_changed(now, status),
            Input::Control { from, message, voted } => self.control(now, from, message, voted),
            Input::LinkUp(peer) => self.link_up(now, peer),
            Input::LinkClosed(peer) => self.link_closed(peer),
            Input::PortRefused(peer) => self.port_refused(now, peer),
            Input::Over if planted!(LifeOverIgnored) => {}
            Input::Over => {
                sometimes!("a_link_is_refused_because_the_life_is_over");
                self.told_of_the_end();
            }
            Input::Request(request) => self.request(request),
            Input::Leave => self.leave(),
            Input::Timeout => {}
        }
        self.beat_if_due(now);
        self.lead(now);
        self.succeed(now);
        self.propose(now);
        self.serve_or_not(now);
        self.answer_what_is_known(now);
    }

    /// What was asked too late is refused; everything else concerns nobody any more.
    fn handle_after_the_end(&mut self, input: Input) {
        if let Input::Request(request) = input {
            let refused = Batches::refuse(request);
            self.output.extend(refused.map(|(session, answer)| Output::Answer { session, answer }));
        }
    }

    // ---- the log ----------------------------------------------------------------------------------------------------

    fn committed(&mut self, now: Uptime, entries: Vec<Entry>) {
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
        for life in proposers {
            if self.state.alive(life).is_some() {
                self.send(life.member, ControlMessage::Applied { index: self.state.applied() });
            }
        }
    }

    fn happened(&mut self, now: Uptime, index: LogIndex, event: Event) {
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
    fn my_life_in_the_state(&self, incarnation: Incarnation) -> Life {
        let known = self.state.member(self.settings.member).is_some_and(|member| member.boot == self.settings.boot);
        Life { member: if known { self.settings.member } else { MemberId(0) }, incarnation }
    }

    fn ended(&mut self, life: Life, by_itself: bool) {
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
    fn told_of_the_end(&mut self) {
        sometimes!(matches!(self.stage, Stage::Leaving(_)), "a_leave_is_agreed_before_the_leaver_knows");
        self.end_of_this_life(matches!(self.stage, Stage::Leaving(_)));
    }

    fn end_of_this_life(&mut self, by_itself: bool) {
        self.stage = Stage::Over;
        self.lease.give_up();
        self.leading = None;
        self.service = Service::Close;
        let refused = self.batches.refuse_all();
        self.output.extend(refused.into_iter().map(|(session, answer)| Output::Answer { session, answer }));
        let see_other_host = self.somewhere_else();
        self.output.push_back(if by_itself { Output::Left } else { Output::LifeOver { see_other_host } });
    }

    /// Where clients of this node may go: the youngest other member that serves and is linked, so that not all go to
    /// the senior.
    pub fn somewhere_else(&self) -> Option<SocketAddr> {
        let serves = |member: &&Member| {
            member.is_active()
                && member.id != self.settings.member
                && member.role == Role::Server
                && self.reaches(member)
        };
        self.state.members().filter(serves).max_by_key(|member| member.incarnation)?.client_addresses.first().copied()
    }

    fn installed(&mut self, now: Uptime, state: ClusterState) {
        self.replace_state(state);
        match self.state.member(self.settings.member).filter(|member| member.boot == self.settings.boot) {
            Some(member) => {
                let life = member.life();
                match (member.state, self.stage) {
                    (MemberState::Gone { expelled, .. }, _) => self.end_of_this_life(expelled.is_none()),
                    (MemberState::Active, Stage::Joining | Stage::Joined(_)) => self.stage = Stage::Active(life),
                    (MemberState::Joining, Stage::Joining) => self.stage = Stage::Joined(life),
                    (MemberState::Active, Stage::Active(_) | Stage::Leaving(_) | Stage::Over)
                    | (MemberState::Joining, Stage::Joined(_) | Stage::Active(_) | Stage::Leaving(_) | Stage::Over) => {
                    }
                }
            }
            None if self.stage != Stage::Joining => self.end_of_this_life(false),
            None => {}
        }
        sometimes!("a_snapshot_is_installed");
        sometimes!(self.stage == Stage::Over, "a_snapshot_says_that_a_life_is_over");
        sometimes!(self.batches.is_in_flight(), "a_snapshot_hides_the_fate_of_a_batch");
        // What became of a batch that was in flight cannot be seen in a snapshot: its sessions are told that it failed,
        // and what did take effect is released by them.
        let refused = self.batches.refuse_in_flight();
        self.output.extend(refused.into_iter().map(|(session, answer)| Output::Answer { session, answer }));
        self.propose_again = now;
    }

    /// Tells what a snapshot changes as if it had happened entry by entry.
    fn replace_state(&mut self, state: ClusterState) {
        let old = std::mem::replace(&mut self.state, state);
        self.output.extend(Output::difference(&old, &self.state));
    }

    // ---- Raft -------------------------------------------------------------------------------------------------------

    fn raft_changed(&mut self, now: Uptime, status: RaftStatus) {
        let new_leader = status.leader != self.raft.leader || status.term != self.raft.term;
        if status.voter_sets != self.raft.voter_sets {
            self.answered.voters_changed(now);
        }
        self.raft = status;
        if new_leader {
            self.succession.leader_changed();
            // What was sent to the leader before may have been lost with it.
            self.propose_again = now;
            let leads = self.raft.leader == Some(self.settings.member);
            sometimes!(leads, "a_node_begins_to_lead");
            sometimes!(self.leading.is_some() && !leads, "a_leader_is_deposed");
            sometimes!(self.batches.is_in_flight(), "the_leader_changes_while_a_batch_is_in_flight");
            let log_end = self.raft.log_end.1;
            self.leading = leads.then(|| Leading::new(now, self.raft.term, log_end, self.settings.timing.clone()));
            if leads {
                self.next_beat = now;
            }
        }
    }

    /// Who leads, as far as is known. The Raft of a node that is no member of the group knows of no leader, or of one
    /// that was there when the node was a member; its peers know better.
    fn leader(&self) -> Option<MemberId> {
        let (me, known) = (self.settings.member, self.raft.leader);
        let says =
            |id: MemberId| self.links.get(&id).filter(|link| link.state == LinkState::Up).map(|link| link.leader);
        if known
            .is_some_and(|known| known == me || says(known).is_some_and(|said| said.is_none_or(|said| said == known)))
        {
            return known;
        }
        let linked = || self.links.iter().filter(|(_, link)| link.state == LinkState::Up);
        let itself = linked().find(|(id, link)| link.leader == Some(**id)).map(|(id, _)| *id);
        sometimes!(known.is_some() && itself.is_some(), "the_raft_of_a_node_knows_of_an_earlier_leader_only");
        itself.or(known).or_else(|| linked().find_map(|(_, link)| link.leader))
    }

    // ---- links ------------------------------------------------------------------------------------------------------

    /// Whether there is a control link to the present process of a member.
    pub fn reaches(&self, member: &Member) -> bool {
        self.links.get(&member.id).is_some_and(|link| link.boot == member.boot && link.state == LinkState::Up)
    }

    fn send(&mut self, to: MemberId, message: ControlMessage) {
        self.output.push_back(Output::Send { to, message });
    }

    fn send_to_linked(&mut self, message: &ControlMessage) {
        let linked = self.links.iter().filter(|(_, link)| link.state == LinkState::Up);
        self.output.extend(linked.map(|(to, _)| Output::Send { to: *to, message: message.clone() }));
    }

    fn link_up(&mut self, now: Uptime, peer: Peer) {
        let before = self.links.insert(peer.member, Link { boot: peer.boot, state: LinkState::Up, leader: None });
        if before.is_some_and(|link| link.boot == peer.boot && link.state == LinkState::Refused) {
            sometimes!("evidence_of_a_crash_is_taken_back");
            self.evidence.taken_back(self.settings.member, peer.member, peer.boot);
            self.send_to_linked(&ControlMessage::TakenBack { member: peer.member, boot: peer.boot });
        }
        // The peer learns at once who leads and that this node lives.
        self.next_beat = now;
    }

    fn link_closed(&mut self, peer: Peer) {
        if let Some(link) = self.links.get_mut(&peer.member).filter(|link| link.boot == peer.boot) {
            link.state = LinkState::Closed;
            self.stop_if_taken_for_dead();
        }
    }

    /// If as many links closed as could tell of a crash, the others may be about to end this life, without waiting for
    /// its lease. It serves again once the leader counts it in anew.
    fn stop_if_taken_for_dead(&mut self) {
        let me = self.settings.member;
        let lost = |id| id != me && self.links.get(&id).is_some_and(|link| link.state != LinkState::Up);
        let evident = self.settings.crash_evidence && has_quorum(&self.raft.voter_sets, lost);
        if evident && !planted!(TakenForDeadServesOn) {
            sometimes!(self.service == Service::Serve, "a_node_that_serves_may_be_taken_for_dead");
            self.lease.give_up();
        }
    }

    /// The port of a process whose link closed refuses: that is what a crash looks like from here.
    fn port_refused(&mut self, now: Uptime, peer: Peer) {
        let Some(link) = self.links.get_mut(&peer.member).filter(|link| link.boot == peer.boot) else { return };
        if link.state != LinkState::Closed || !self.settings.crash_evidence {
            return;
        }
        sometimes!("a_port_refuses_after_its_link_closed");
        link.state = LinkState::Refused;
        let log_end = self.raft.log_end;
        self.evidence.seen(self.settings.member, peer.member, peer.boot, log_end);
        self.send_to_linked(&ControlMessage::Crashed { member: peer.member, boot: peer.boot, log_end });
        self.believe(now, peer);
    }

    fn control(&mut self, now: Uptime, from: Peer, message: ControlMessage, voted: Term) {
        let Some(link) = self.links.get_mut(&from.member).filter(|link| link.boot == from.boot) else { return };
        match message {
            ControlMessage::Beat { round, applied, life, leader, unheard } => {
                link.leader = leader;
                self.peer_applied(from, applied);
                self.reported(now, from, life, unheard);
                let answer = self.answer(now, from.member, round, leader, voted);
                self.send(from.member, ControlMessage::BeatAnswer(answer));
                self.asked(now, from, round, life, applied);
            }
            ControlMessage::BeatAnswer(answer) => {
                link.leader = answer.leader;
                self.peer_applied(from, answer.applied);
                self.round_answered(now, from.member, &answer);
            }
            ControlMessage::Granted { ask, life } => {
                if self.life() == Some(life) {
                    let ask = if planted!(LeaseFromArrival) { self.lease.ask(now) } else { ask };
                    self.lease.granted(ask);
                }
            }
            ControlMessage::Over { life } => {
                if self.life() == Some(life) && !planted!(LifeOverIgnored) {
                    sometimes!("the_leader_says_that_a_life_is_over");
                    self.told_of_the_end();
                }
            }
            ControlMessage::Applied { index } => self.peer_applied(from, index),
            ControlMessage::Crashed { member, boot, log_end } => {
                if self.settings.crash_evidence {
                    self.evidence.seen(from.member, member, boot, log_end);
                    self.believe(now, Peer { member, boot });
                }
            }
            ControlMessage::TakenBack { member, boot } => self.evidence.taken_back(from.member, member, boot),
            ControlMessage::Propose { commands } => self.proposed_by(from.member, commands),
        }
    }

    fn peer_applied(&mut self, from: Peer, index: LogIndex) {
        // A process that the state does not know yet, or no more, has no say in what everybody knows.
        if self.state.member(from.member).is_some_and(|member| member.boot == from.boot && member.is_alive()) {
            self.known.applied(from.member, index);
        }
    }

    // ---- liveness ---------------------------------------------------------------------------------------------------

    fn beat_if_due(&mut self, now: Uptime) {
        if now < self.next_beat || self.stage == Stage::Over {
            return;
        }
        self.next_beat = now + self.settings.timing.heartbeat;
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
    fn unheard(&self, now: Uptime) -> BTreeSet<MemberId> {
        if self.leading.is_some() || now.since(self.began) < self.unheard_after() {
            return BTreeSet::new();
        }
        self.others_that_serve().filter(|member| !self.hears(now, member)).map(|member| member.id).collect()
    }

    /// Whether this node may begin to serve: it hears everybody who does. Whoever is dead will be expelled.
    fn hears_everybody(&self, now: Uptime) -> bool {
        self.others_that_serve().all(|member| self.reaches(member) && self.hears(now, member))
    }

    fn others_that_serve(&self) -> impl Iterator<Item = &Member> {
        self.state.members().filter(|member| member.is_active() && member.id != self.settings.member)
    }

    fn hears(&self, now: Uptime, member: &Member) -> bool {
        self.silence.last_heard(member.life()).is_some_and(|heard| now.since(heard) < self.unheard_after())
    }

    fn unheard_after(&self) -> Duration {
        self.settings.timing.heartbeat * UNHEARD_AFTER_HEARTBEATS
    }

    fn reported(&mut self, now: Uptime, from: Peer, life: Option<Life>, unheard: BTreeSet<MemberId>) {
        if life.and_then(|life| self.state.alive(life)).is_none_or(|member| member.id != from.member) {
            return;
        }
        let Node { state, raft, evidence, silence, settings, leading, .. } = self;
        let sees = Sees { state, raft, evidence, silence, me: settings.member };
        if let Some(leading) = leading {
            leading.reported(now, from, unheard, &sees);
        }
    }

    /// The answer to a beat of a member that believes this one to lead.
    fn answer(
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

    fn asked(&mut self, now: Uptime, from: Peer, round: Sequence, life: Option<Life>, applied: LogIndex) {
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

    fn asked_by_life(&mut self, now: Uptime, life: Life, round: Sequence, applied: LogIndex) {
        let active = self.state.alive(life).is_some_and(Member::is_active);
        let newest = self.state.applied();
        if let Some(leading) = &mut self.leading
            && leading.asked(now, life, round, active.then_some((applied, newest)))
        {
            self.silence.heard(now, life);
        }
    }

    fn round_answered(&mut self, now: Uptime, voter: MemberId, answer: &BeatAnswer) {
        let applied = self.state.applied();
        let Some(leading) = self.leading.as_mut().filter(|leading| leading.may_grant(applied)) else { return };
        for (life, ask) in leading.answered(now, voter, answer, &self.raft.voter_sets) {
            if life.member != self.settings.member {
                self.output.push_back(Output::Send { to: life.member, message: ControlMessage::Granted { ask, life } });
            } else if self.life() == Some(life) {
                self.lease.granted(ask);
            }
        }
    }

    /// Something was said about a crash: is it enough to act on?
    fn believe(&mut self, now: Uptime, suspect: Peer) {
        let is_leader = self.raft.leader == Some(suspect.member);
        if is_leader && self.evidence.is_conclusive(suspect.member, suspect.boot, &self.raft.voter_sets) {
            let order = self.evidence.successors(suspect.member, suspect.boot, &self.raft.voter_sets);
            sometimes!("the_crash_of_the_leader_is_believed");
            self.succession.begin(now, suspect.member, order);
        }
    }

    fn succeed(&mut self, now: Uptime) {
        if let Some((dead, target)) = self.succession.next(now) {
            self.output.push_back(Output::TakeOver { dead, target });
        }
    }

    fn serve_or_not(&mut self, now: Uptime) {
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

    // ---- leading ----------------------------------------------------------------------------------------------------

    fn lead(&mut self, now: Uptime) {
        let Some(leading) = &mut self.leading else { return };
        let sees = Sees {
            state: &self.state,
            raft: &self.raft,
            evidence: &self.evidence,
            silence: &self.silence,
            me: self.settings.member,
        };
        let orders = leading.duties(now, &sees);
        self.output.extend(orders);
    }

    /// Followers propose through the leader. Each member proposes for itself only; nobody but a leader expels.
    fn proposed_by(&mut self, from: MemberId, commands: Vec<Command>) {
        if self.leading.is_none() {
            return;
        }
        let own = commands.into_iter().filter(|command| match command {
            Command::Join(join) => join.member == from,
            Command::Activate(life) | Command::Leave(life) => life.member == from,
            Command::Batch(batch) => batch.life.member == from,
            Command::Expel { .. } => false,
        });
        let commands: Vec<_> = own.collect();
        if !commands.is_empty() {
            self.output.push_back(Output::Propose(commands));
        }
    }

    // ---- requests ---------------------------------------------------------------------------------------------------

    fn request(&mut self, request: Request) {
        let refused = match self.stage {
            Stage::Active(_) if self.service == Service::Serve => self.batches.request(request),
            Stage::Active(_) | Stage::Leaving(_) => match request {
                Request::Bind { .. } => Batches::refuse(request),
                Request::Announce { .. } | Request::Unbind { .. } => self.batches.request(request),
            },
            Stage::Joining | Stage::Joined(_) | Stage::Over => Batches::refuse(request),
        };
        self.output.extend(refused.map(|(session, answer)| Output::Answer { session, answer }));
    }

    fn leave(&mut self) {
        sometimes!("a_node_is_asked_to_leave");
        sometimes!(self.leading.is_some(), "the_leader_is_asked_to_leave");
        match self.stage {
            Stage::Active(life) | Stage::Joined(life) => {
                self.stage = Stage::Leaving(life);
                self.propose_again = Uptime::ZERO;
                if self.leading.is_some() {
                    self.output.extend(self.heir().map(|to| Output::TransferLeadership { to }));
                }
            }
            Stage::Joining => {
                self.stage = Stage::Over;
                self.output.push_back(Output::Left);
            }
            Stage::Leaving(_) | Stage::Over => {}
        }
    }

    /// Who should lead after this node: of the voters that are linked, the one that has applied most.
    fn heir(&self) -> Option<MemberId> {
        let linked = |member: &&Member| member.id != self.settings.member && self.reaches(member);
        let voters = self.state.members().filter(|member| self.state.voters().contains(&member.id));
        voters.filter(linked).max_by_key(|member| (self.known.applied_by(member.id), member.id)).map(|member| member.id)
    }

    fn wants_to_propose(&self) -> bool {
        match self.stage {
            Stage::Joining | Stage::Joined(_) | Stage::Leaving(_) => true,
            Stage::Active(_) => self.batches.is_in_flight(),
            Stage::Over => false,
        }
    }

    fn propose(&mut self, now: Uptime) {
        let Some(leader) = self.leader() else { return };
        let again = now >= self.propose_again && !(planted!(ProposalNotRepeated) && self.batches.is_in_flight());
        let mut commands = Vec::new();
        match self.stage {
            Stage::Joining if again => commands.push(Command::Join(self.join())),
            Stage::Joined(life) if again && self.hears_everybody(now) => commands.push(Command::Activate(life)),
            Stage::Joined(_) if again => {
                sometimes!("a_node_waits_until_it_hears_everybody");
                self.propose_again = now + self.settings.timing.heartbeat;
            }
            Stage::Leaving(life) if again => {
                commands.extend(self.batches.next(life, true).map(Command::Batch));
                commands.push(Command::Leave(life));
            }
            Stage::Active(life) => commands.extend(self.batches.next(life, again).map(Command::Batch)),
            Stage::Joining | Stage::Joined(_) | Stage::Leaving(_) | Stage::Over => {}
        }
        if commands.is_empty() {
            return;
        }
        sometimes!(again && self.batches.is_in_flight(), "a_batch_is_proposed_again");
        sometimes!(commands.iter().any(|command| matches!(command, Command::Join(_))), "a_join_is_proposed");
        self.propose_again = now + PROPOSE_AGAIN_AFTER;
        if self.leading.is_some() {
            self.output.push_back(Output::Propose(commands));
        } else if leader != self.settings.member {
            self.send(leader, ControlMessage::Propose { commands });
        }
    }

    fn join(&self) -> Join {
        let NodeSettings { member, boot, name, peer_address, client_addresses, role, versions, .. } = &self.settings;
        Join {
            member: *member,
            boot: *boot,
            name: name.clone(),
            peer_address: *peer_address,
            client_addresses: client_addresses.clone(),
            role: *role,
            versions: *versions,
        }
    }

    /// A bind is answered when every active member has applied it, and only while this node may serve.
    fn answer_what_is_known(&mut self, now: Uptime) {
        let is_going = matches!(self.stage, Stage::Leaving(_) | Stage::Over);
        if !(self.lease.is_held(now) || planted!(LeaseIgnored)) || is_going {
            sometimes!(self.known.is_waiting(), "an_answer_waits_for_the_lease");
            return;
        }
        let me = self.settings.member;
        let is_awaited = |member: &&Member| member.is_active() && member.id != me && !planted!(BindAnsweredEarly);
        let others = self.state.members().filter(is_awaited).map(|member| member.id);
        let answers = self.known.by_all(others);
        self.output.extend(answers.map(|(session, answer)| Output::Answer { session, answer }));
    }
}

#[cfg(test)]
mod tests;
