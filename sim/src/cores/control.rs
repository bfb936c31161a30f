//! The control task of a node: hands facts to the real [`Clustering`] and carries its orders out.
//!
//! What waits for it is taken in the order of the node's own task, or, if the seed says so, from any of the queues: each
//! of them keeps its order, and between them there is none. A driver may also wake the machine too early or twice, and
//! lose what cannot be sent.

use std::time::Duration;

use cresset_core::cluster::{Change, ClusterState, Command, Event, ExpelReason, STATE_VERSIONS};
use cresset_core::ids::{BootId, LogIndex, MemberId, RouteId, Term};
use cresset_core::jid::FullJid;
use cresset_core::node::{
    Answer, ClusterOrder, Clustering, ClusteringOutput, Entry, Input, Peer, ProcessEnd, RaftStatus, Request, Service,
    Source, ToRouter,
};
use cresset_core::probe;
use cresset_core::stanza::Stanza;
use cresset_core::time::Uptime;
use rand::RngExt;

use super::host::Applying;
use super::lanes::Inlet;
use super::mesh::Mesh;
use super::network::{Lane, Side, Wire};
use super::queue::Moment;
use super::raft::{Next, Order, Payload};
use super::{Part, World};
use crate::history::{self, ClusterView, DirectoryFact, EntryId, LifeStage, RaftFact};

/// How late a proposal may reach the log for the second time.
const LATE_MAX: Duration = Duration::from_secs(8);

/// Entries that are handed over at a time.
const ENTRIES_MAX: usize = 256;

/// Routes of a snapshot that are shown at a time.
const ROUTES_PER_STEP: usize = 4;

impl World {
    // ---- Raft -------------------------------------------------------------------------------------------------------

    /// Carries out what the Raft of a host wants, and tells the node what has changed.
    pub(super) fn carry_out_raft(&mut self, host: usize) {
        let now = self.now;
        loop {
            let Some(process) = &mut self.hosts[host].process else { return };
            let Some(order) = process.raft.poll_order() else { break };
            match order {
                Order::Ask { to, question } => match process.mesh.link(to, Lane::Raft, Side::Dialler) {
                    Some(id) => self.say(id, Side::Dialler, Wire::Question(question)),
                    None => process.raft.link_lost(to),
                },
                Order::GiveUp { to } => {
                    if let Some(id) = process.mesh.link(to, Lane::Raft, Side::Dialler) {
                        self.close(id, Side::Dialler, super::mesh::Fault::TimedOut);
                    }
                }
                Order::Leads { term } => self.raft_fact(host, RaftFact::Leads { term }),
            }
        }
        let chaos = self.chaos.apply_delay_max;
        let Some(process) = &mut self.hosts[host].process else { return };
        let status = process.raft.status();
        if status != *process.node().raft() && process.inlets.raft.as_ref() != Some(&status) {
            let is_news = status_differs(process.inlets.raft.as_ref().unwrap_or(process.node().raft()), &status);
            process.inlets.raft = Some(status);
            if is_news {
                self.control_soon(host);
            }
        }
        let Some(process) = &mut self.hosts[host].process else { return };
        if process.raft.has_committed() && !std::mem::replace(&mut process.apply_is_due, true) {
            let delay = draw(&mut process.random, chaos);
            self.wake(host, now.after(delay), Part::Apply);
        }
        self.wake_raft(host);
    }

    fn wake_raft(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let due = process.raft.due().max(self.now);
        if due < process.raft_wakes && due != Moment::NEVER {
            process.raft_wakes = due;
            self.wake(host, due, Part::Raft);
        }
    }

    /// A timer of Raft.
    pub(super) fn raft_turn(&mut self, host: usize) {
        let now = self.now;
        let Some(process) = &mut self.hosts[host].process else { return };
        process.raft_wakes = Moment::NEVER;
        process.raft.tick(now);
        self.carry_out_raft(host);
    }

    /// What is committed reaches the control task.
    pub(super) fn apply_turn(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.apply_is_due = false;
        let mut entries = Vec::new();
        while entries.len() < ENTRIES_MAX {
            match process.raft.next_committed() {
                None => break,
                Some(Next::Snapshot(snapshot)) => {
                    if !entries.is_empty() {
                        process.inlets.committed.push_back(Applying::Entries(std::mem::take(&mut entries)));
                    }
                    let state = ClusterState::decode_snapshot(&snapshot.bytes, STATE_VERSIONS)
                        .expect("a node of this world wrote it");
                    process.inlets.committed.push_back(Applying::Snapshot(snapshot.last.0, Box::new(state)));
                }
                Some(Next::Entry { position: (term, index), payload }) => {
                    let command = match payload {
                        Payload::Command(command) => Some(command),
                        Payload::Blank | Payload::Config(_) => None,
                    };
                    entries.push((term, Entry { index: LogIndex(index), command }));
                }
            }
        }
        if !entries.is_empty() {
            process.inlets.committed.push_back(Applying::Entries(entries));
        }
        self.control_soon(host);
        self.carry_out_raft(host);
    }

    // ---- turns ------------------------------------------------------------------------------------------------------

    pub(super) fn control_soon(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        if !std::mem::replace(&mut process.control_is_due, true) {
            self.turn_soon(host, Part::Control);
        }
    }

    /// A request of a session.
    pub(super) fn request(&mut self, host: usize, request: Request) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.inlets.requests.push_back(request);
        self.control_soon(host);
    }

    /// The timer of the node.
    pub(super) fn node_turn(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.node_wakes = Moment::NEVER;
        process.inlets.timeout = true;
        self.control_turn(host);
    }

    /// The control task takes what waits for it.
    pub(super) fn control_turn(&mut self, host: usize) {
        let (is_shuffled, spurious) = (self.chaos.shuffles, self.chaos.spurious);
        if let Some(process) = &mut self.hosts[host].process {
            process.control_is_due = false;
        }
        loop {
            let now = self.now;
            let Some(process) = self.hosts[host].process.as_mut().filter(|process| !process.is_between_lives) else {
                break;
            };
            if process.random.random_bool(spurious) {
                process.inlets.timeout = true;
            }
            let uptime = process.uptime(now);
            let first = if is_shuffled { process.random.random_range(0..5) } else { 0 };
            let inlets = &mut process.inlets;
            let mut taken = None;
            for turn in 0..5 {
                taken = match (first + turn) % 5 {
                    0 if std::mem::take(&mut inlets.timeout) => Some(Taken::Timeout),
                    1 => inlets.links.pop_front().map(Taken::Link),
                    2 => inlets.raft.take().map(Taken::Raft),
                    3 => inlets.committed.pop_front().map(Taken::Log),
                    4 if std::mem::take(&mut inlets.leave) => Some(Taken::Stop),
                    4 => inlets.requests.pop_front().map(Taken::Request),
                    _ => None,
                };
                if taken.is_some() {
                    break;
                }
            }
            match taken {
                None => break,
                Some(Taken::Timeout) => self.with(host, Clustering::handle_timeout),
                Some(Taken::Stop) => self.with(host, Clustering::handle_stop),
                Some(Taken::Raft(status)) => self.handle(host, Input::Raft(status)),
                Some(Taken::Request(request)) => {
                    self.asked(host, &request);
                    self.with(host, |clustering, now| clustering.handle_requests(now, [request]));
                }
                Some(Taken::Link(inlet)) => self.link_event(host, inlet),
                Some(Taken::Log(Applying::Entries(entries))) => self.apply(host, entries),
                Some(Taken::Log(Applying::Snapshot(term, state))) => {
                    let entry = EntryId { term, index: state.applied().0 };
                    self.raft_fact(host, RaftFact::Installed { entry });
                    self.install(host, *state);
                }
            }
            debug_assert!(uptime.since_start() >= Duration::ZERO, "time has begun");
        }
        self.after_control(host);
    }

    /// A session asks for something of the cluster.
    fn asked(&mut self, host: usize, request: &Request) {
        if self.hosts[host].process.as_ref().is_none_or(|process| process.clustering.is_alone()) {
            return;
        }
        match request {
            Request::Bind { session, jid } => {
                self.directory(host, DirectoryFact::BindAsked { session: session.0, jid: jid.to_string() });
            }
            Request::Unbind { route } => self.directory(host, DirectoryFact::UnbindAsked { route: *route }),
            Request::Announce { .. } => {}
        }
    }

    /// A snapshot takes the place of the state, a few routes at a time.
    fn install(&mut self, host: usize, state: ClusterState) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.clustering.prepare_installation();
        process.ahead = Some(state.applied());
        let mut change = Change::new(process.node().state().freeze(None, usize::MAX), state);
        while let Some(events) = change.step(ROUTES_PER_STEP) {
            self.handle(host, Input::RoutesAhead(events));
        }
        if let Some(process) = &mut self.hosts[host].process {
            process.ahead = None;
        }
        let installation = change.into_installation();
        self.with(host, |clustering, now| clustering.handle_installed(now, installation));
    }

    pub(super) fn after_control(&mut self, host: usize) {
        self.see(host);
        let now = self.now;
        let Some(process) = &mut self.hosts[host].process else { return };
        if process.is_between_lives {
            return;
        }
        if let Some(due) = process.clustering.poll_timeout() {
            let due = process.moment(due).max(now);
            if due < process.node_wakes {
                process.node_wakes = due;
                self.wake(host, due, Part::Node);
            }
        }
    }

    fn apply(&mut self, host: usize, entries: Vec<(u64, Entry)>) {
        for (term, entry) in &entries {
            let command = entry.command.as_deref();
            let sum = command.map_or(0, |command| crc(&cresset_core::wire::encode(command)));
            let entry = EntryId { term: *term, index: entry.index.0 };
            self.raft_fact(host, RaftFact::Applied { entry, sum });
        }
        let entries = entries.into_iter().map(|(_, entry)| entry).collect();
        self.handle(host, Input::Committed(entries));
        let Some(process) = &self.hosts[host].process else { return };
        let applied = process.node().state().applied().0;
        let Some(process) = &mut self.hosts[host].process else { return };
        if process.raft.wants_snapshot() && process.raft.given() == applied {
            let bytes = process.node().state().encode_snapshot();
            process.raft.keep_snapshot(bytes);
        }
    }

    fn link_event(&mut self, host: usize, inlet: Inlet) {
        let Some(process) = &mut self.hosts[host].process else { return };
        match inlet {
            Inlet::Up(peer) => {
                process.linked.insert(peer.member, peer.boot);
                self.handle(host, Input::LinkUp(peer));
            }
            Inlet::Closed { peer, is_evidence: true } => self.handle(host, Input::LinkClosed(peer)),
            Inlet::Closed { peer, is_evidence: false } => self.handle(host, Input::LinkSilent(peer)),
            Inlet::Refused(member) => {
                if let Some(boot) = process.linked.get(&member).copied() {
                    self.handle(host, Input::PortRefused(Peer { member, boot }));
                }
            }
            Inlet::Control((from, message)) => {
                let voted = process.voted();
                self.handle(host, Input::Control { from, message, voted });
            }
            Inlet::Over => self.handle(host, Input::Over),
        }
    }

    /// Hands a fact of the cluster to the machine and carries out what it orders.
    fn handle(&mut self, host: usize, input: Input) {
        self.with(host, |clustering, now| clustering.handle(now, input));
    }

    /// Hands something to the machine and carries out what it orders.
    pub(super) fn with(&mut self, host: usize, hand: impl FnOnce(&mut Clustering, Uptime)) {
        let now = self.now;
        let Some(process) = &mut self.hosts[host].process else { return };
        let uptime = process.uptime(now);
        probe::enter(part_of(process));
        hand(&mut process.clustering, uptime);
        self.carry_out_all(host);
    }

    fn carry_out_all(&mut self, host: usize) {
        while let Some(process) = &mut self.hosts[host].process
            && let Some(output) = process.clustering.poll_output()
        {
            self.carry_out(host, output);
        }
    }

    fn carry_out(&mut self, host: usize, output: ClusteringOutput) {
        let Some(process) = &mut self.hosts[host].process else { return };
        match output {
            ClusteringOutput::Router(told) => self.tell_router(host, told),
            ClusteringOutput::Happened(event) => self.happened(host, &event),
            ClusteringOutput::Shown(applied) => {
                let digest = process.node().state().digest();
                self.raft_fact(host, RaftFact::State { index: applied.0, digest });
            }
            ClusteringOutput::Cluster(order) => self.tell_cluster(host, order),
            ClusteringOutput::Alone(is_alone) => self.directory(host, DirectoryFact::Alone { is_alone }),
            ClusteringOutput::Notice(_) => {}
            ClusteringOutput::NextLife => self.end_this_life(host),
            ClusteringOutput::End(ProcessEnd::Left) => self.has_left(host),
            ClusteringOutput::End(why) => {
                unreachable!("all programs are the same, and have names of their own: {why:?}")
            }
        }
    }

    fn tell_cluster(&mut self, host: usize, order: ClusterOrder) {
        let now = self.now;
        let drops_control = self.chaos.drops_control;
        let Some(process) = &mut self.hosts[host].process else { return };
        match order {
            // Here everybody dials everybody anyway, and there are no operators.
            ClusterOrder::Dial(_) | ClusterOrder::Ordered { .. } => {}
            ClusterOrder::Propose(commands) => self.propose(host, None, commands),
            ClusterOrder::ProposeInTerm { term, commands } => self.propose(host, Some(term), commands),
            ClusterOrder::Send { to, message } => {
                if process.random.random_bool(drops_control) {
                    return;
                }
                if let Some(id) = process.mesh.link(to, Lane::Control, Side::Dialler) {
                    self.say(id, Side::Dialler, Wire::Control(message));
                }
            }
            ClusterOrder::TakeOver { dead, target } => {
                process.raft.take_over(now, dead, target);
                self.carry_out_raft(host);
            }
            ClusterOrder::Membership { voters, learners } => {
                process.raft.set_membership(now, voters, learners);
                self.carry_out_raft(host);
            }
            ClusterOrder::TransferLeadership { to } => {
                process.raft.transfer(to);
                self.carry_out_raft(host);
            }
        }
    }

    fn tell_router(&mut self, host: usize, told: ToRouter) {
        let Some(process) = &mut self.hosts[host].process else { return };
        match told {
            ToRouter::Lease(lease) => {
                if process.router.lease_until != lease {
                    let uptime = process.uptime(self.now);
                    process.router.lease_until = lease;
                    let left = lease.map(|until| until.since(uptime));
                    if !process.clustering.is_alone() {
                        self.directory(host, DirectoryFact::Lease { left });
                    }
                }
            }
            ToRouter::Event(event) => self.router_event(host, &event),
            ToRouter::Applied(applied) => self.router_applied(host, applied),
            ToRouter::Answer { source, session, answer } => {
                if source == Source::Cluster {
                    self.answered(host, session.0, &answer);
                }
                self.router_answer(host, session, answer);
            }
            ToRouter::Service { source, service } => {
                let told = match service {
                    Service::Serve => history::Service::Serve,
                    Service::Pause => history::Service::Pause,
                    Service::Close => history::Service::Close,
                };
                if source != Source::Itself {
                    self.directory(host, DirectoryFact::Service(told));
                }
                self.set_service(host, service, None);
            }
            ToRouter::LifeOver { see_other_host } => {
                self.directory(host, DirectoryFact::Service(history::Service::Close));
                self.life_over(host, see_other_host);
            }
            ToRouter::Connect => process.router.is_connected = true,
            ToRouter::Door(door) => process.router.door = door,
            ToRouter::Hold => self.hold(host),
            ToRouter::MoveOn { begin } => self.move_on(host, begin),
            ToRouter::AllRoutes => self.show_all_routes(host),
            ToRouter::StoredAlone { look_again_after } => self.tell_of_what_was_stored_alone(host, look_again_after),
            ToRouter::SendAway { .. } => unreachable!("nobody drains a node here: {told:?}"),
        }
    }

    fn propose(&mut self, host: usize, term: Option<Term>, commands: Vec<Command>) {
        let now = self.now;
        let (drops, doubles) = (self.chaos.drops_proposals, self.chaos.doubles_proposals);
        // A login takes a moment from then on, and a proposal is made again every half second.
        let is_settled = now >= Moment::from(self.plan.settled_at());
        let Some(process) = &mut self.hosts[host].process else { return };
        if process.random.random_bool(drops) && !is_settled {
            return;
        }
        if process.random.random_bool(doubles) {
            // Somebody proposes it again who does not know its fate, and that takes its time. Not so for a join, which comes
            // from a process that is there.
            let delay = draw(&mut process.random, LATE_MAX);
            let fenced = commands.iter().filter(|command| !matches!(command, Command::Join(_)));
            process.late_proposals.push_back((term, fenced.cloned().collect()));
            // Or it is that late for the first time.
            let is_late = process.random.random_bool(0.3) && !is_settled;
            self.wake(host, now.after(delay), Part::LateProposal);
            if is_late {
                return;
            }
        }
        self.propose_now(host, term, commands);
    }

    fn propose_now(&mut self, host: usize, term: Option<Term>, commands: Vec<Command>) {
        let now = self.now;
        let Some(process) = &mut self.hosts[host].process else { return };
        if term.is_none_or(|term| process.raft.leads() && process.raft.voted() == term) {
            process.raft.propose(now, commands);
            self.carry_out_raft(host);
        }
    }

    /// A proposal that was made before reaches the log once more.
    pub(super) fn late_proposal(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        if let Some((term, commands)) = process.late_proposals.pop_front() {
            self.propose_now(host, term, commands);
        }
    }

    fn answered(&mut self, host: usize, session: u64, answer: &Answer) {
        let route = match answer {
            Answer::Bound { route } => Some(*route),
            Answer::Refused(_) => None,
            Answer::Announced { .. } => return,
        };
        self.directory(host, DirectoryFact::BindAnswered { session, route });
        if let Some(route) = route {
            self.look_up_everywhere(host, route);
        }
    }

    /// After the answer to a bind every node knows it.
    fn look_up_everywhere(&mut self, host: usize, route: RouteId) {
        let Some(process) = &self.hosts[host].process else { return };
        let jid = process.node().state().routes().find(|held| held.id == route).map(|held| held.jid.clone());
        let Some(jid) = jid else { return };
        for other in 0..self.hosts.len() {
            self.look_up_at(other, &jid);
        }
    }

    /// A session looks up where its stanza is to go.
    pub(super) fn look_up(&mut self, host: usize, stanza: &Stanza) {
        let Some(to) = stanza.to.as_ref().and_then(|to| to.node()).map(|node| node.to_string()) else { return };
        if let Some(jid) = self.users.iter().find(|user| user.name == to).map(|user| user.jid.clone()) {
            self.look_up_at(host, &jid);
        }
    }

    fn look_up_at(&mut self, host: usize, jid: &FullJid) {
        if self.hosts[host].pauses > 0 {
            return;
        }
        let Some(process) = &self.hosts[host].process else { return };
        // A node by itself shows nothing of the cluster.
        let shows_cluster = process.router.view.applied.is_in_the_log_of(LogIndex(0));
        if !process.router.may_serve(process.uptime(self.now)) || !shows_cluster {
            return;
        }
        let (route, index) = (process.router.view.holder(jid), process.router.view.applied.0);
        self.directory(host, DirectoryFact::LookedUp { jid: jid.to_string(), route, index });
    }

    fn happened(&mut self, host: usize, event: &Event) {
        self.tell_event(host, event);
        let Some(process) = &mut self.hosts[host].process else { return };
        match event {
            Event::Joined(life) => {
                let Some(member) = process.node().state().alive(*life) else { return };
                let peer = Peer { member: life.member, boot: member.boot };
                process.lives.insert(*life, peer);
                self.set_current(host, peer, life.incarnation);
            }
            Event::Ended { life, .. } => {
                let own = process.node().life();
                if let Some(peer) = process.lives.remove(life).filter(|_| Some(*life) != own) {
                    self.ban(host, peer);
                }
            }
            Event::Activated(_)
            | Event::SeniorChanged(_)
            | Event::VotersChanged
            | Event::RouteAdded(_)
            | Event::RouteChanged(_)
            | Event::RouteRemoved { .. } => {}
        }
    }

    fn tell_event(&mut self, host: usize, event: &Event) {
        let Some(process) = &self.hosts[host].process else { return };
        let index = process.ahead.unwrap_or_else(|| process.node().state().applied()).0;
        let life = |life: &cresset_core::ids::Life, stage| DirectoryFact::Life {
            member: life.member.0,
            incarnation: life.incarnation.0,
            stage,
            index,
        };
        let fact = match event {
            Event::RouteAdded(route) => {
                DirectoryFact::Added { jid: route.jid.to_string(), route: route.id, member: route.member.0, index }
            }
            Event::RouteRemoved { route, .. } => {
                DirectoryFact::Removed { jid: route.jid.to_string(), route: route.id, index }
            }
            Event::Joined(of) => life(of, LifeStage::Joined),
            Event::Activated(of) => life(of, LifeStage::Activated),
            Event::Ended { life: of, .. } => life(of, LifeStage::Ended),
            Event::RouteChanged(_) | Event::VotersChanged | Event::SeniorChanged(_) => return,
        };
        self.directory(host, fact);
        if let Event::Ended { life, expelled: Some(ExpelReason::Crashed) } = event {
            let (member, incarnation) = (life.member.0, life.incarnation.0);
            self.directory(host, DirectoryFact::TakenForCrashed { member, incarnation });
        }
    }

    // ---- lives ------------------------------------------------------------------------------------------------------

    /// The life is over although the process lives.
    fn end_this_life(&mut self, host: usize) {
        let delay = self.chaos.turn_delay_max;
        let Some(process) = &mut self.hosts[host].process else { return };
        process.is_between_lives = true;
        let delay = draw(&mut process.random, delay);
        self.wake(host, self.now.after(delay), Part::NextLife);
    }

    /// Another life of the same member in the same process: other links, the same log.
    pub(super) fn next_life(&mut self, host: usize) {
        let now = self.now;
        let hosts = self.hosts.len();
        let Some(process) = &mut self.hosts[host].process else { return };
        for peer in std::mem::take(&mut process.lives).into_values() {
            // What this node had taken charge of is decided again: the others do not take it from a life that is over.
            self.ban(host, peer);
        }
        self.stop_links(host);
        self.meshes += 1;
        let Some(process) = &mut self.hosts[host].process else { return };
        let boot = BootId(process.random.random());
        let peer = Peer { member: process.mesh.peer.member, boot };
        process.inlets.links.clear();
        process.mesh = Mesh::new(self.meshes, peer, hosts);
        let alive: Vec<_> = process.node().state().members().filter(|member| member.is_alive()).cloned().collect();
        let uptime = process.uptime(now);
        for member in alive {
            let peer = Peer { member: member.id, boot: member.boot };
            self.set_current(host, peer, member.incarnation);
            if let Some(process) = &mut self.hosts[host].process {
                process.lives.insert(member.life(), peer);
            }
        }
        if let Some(process) = self.hosts[host].process.take() {
            self.hosts[host].process = Some(process.reborn(uptime, boot));
        }
        self.carry_out_all(host);
        if let Some(process) = &mut self.hosts[host].process {
            process.linked.clear();
            process.node_wakes = Moment::NEVER;
        }
        self.dial_all(host);
        self.control_turn(host);
    }

    // ---- how it sees the cluster ------------------------------------------------------------------------------------

    fn see(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let node = process.node();
        let state = node.state();
        let own = node.life();
        let members = state.members().filter(|member| member.is_active());
        let seen = members.filter(|member| own == Some(member.life()) || node.reaches(member));
        let leader = node.raft().leader;
        let alone = process.clustering.by_itself();
        let sessions = alone.map_or(state.sessions(), |alone| alone.state().sessions()) as u64;
        let serving = alone.unwrap_or(node).service() == Service::Serve;
        let alone = alone.is_some();
        let before = &process.seen;
        let key = (
            serving,
            leader,
            node.raft().term.0,
            seen.map(|member| member.id).collect::<Vec<MemberId>>(),
            sessions,
            alone,
        );
        if before.as_ref() == Some(&key) {
            return;
        }
        let name_of = |id| state.member(id).map(|member| member.name.clone());
        let mut active: Vec<String> = key.3.iter().filter_map(|id| name_of(*id)).collect();
        active.sort();
        let view =
            ClusterView { serving, alone, version: 0, leader: leader.and_then(name_of), term: key.2, active, sessions };
        process.seen = Some(key);
        let node = self.hosts[host].name.clone();
        self.note_at(host, history::Event::Sees { node, view });
    }
}

enum Taken {
    Timeout,
    Stop,
    Raft(RaftStatus),
    Request(Request),
    Link(Inlet),
    Log(Applying),
}

/// The log's end alone wakes nobody, as in the node.
fn status_differs(before: &RaftStatus, after: &RaftStatus) -> bool {
    let key = |status: &RaftStatus| (status.term, status.leader, status.voted);
    key(before) != key(after) || before.voter_sets != after.voter_sets || before.learners != after.learners
}

fn part_of(process: &super::host::Process) -> probe::Part {
    let status = process.node().raft();
    let me = process.router.member;
    if status.leader == Some(me) {
        probe::Part::Leader
    } else if status.voter_sets.iter().any(|set| set.contains(&me)) {
        probe::Part::Follower
    } else if status.learners.contains(&me) {
        probe::Part::Learner
    } else {
        probe::Part::Outside
    }
}

/// A sum of bytes: what matters is that it is the same for the same bytes.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

pub(super) fn draw(random: &mut rand::rngs::StdRng, max: Duration) -> Duration {
    if max.is_zero() { Duration::ZERO } else { random.random_range(Duration::ZERO..=max) }
}
