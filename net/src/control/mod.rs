//! The one task that owns the control plane: it hands facts to `core`'s [`Clustering`] and carries its orders out.
//!
//! ```text
//! links::LinkEvent ─────┐                          ┌──▶ router: view, sessions, whether to serve
//! consensus::ToControl ─┤                          ├──▶ links: messages, which process is current, whom to dial
//! Raft's status ────────┼──▶ Clustering ── order ──┤
//! sessions' requests ───┤                          └──▶ consensus: proposals, membership, take-over
//! operator ─────────────┘
//! ```
//!
//! The invariant: the read view shows an entry before anybody is told that it was applied here. No stanza passes here.
//! It decides nothing: what to do is an output of the machine, how it is done is a call.

pub(crate) mod founding;
pub(crate) mod stamp;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cresset_core::cluster::{AgreedTimes, Chronicle, Event, Happening, VersionRange};
use cresset_core::ids::{BootId, Life, LogIndex, MemberId, Term};
use cresset_core::node::{
    Amiss, ClusterOrder, Clustering, ClusteringOutput, ControlMessage, Input, Mode, Notice, Order, OrderId, Peer,
    ProcessEnd, RaftStatus, Refusal, Request, Service, Source, Surroundings, ToRouter, Unready,
};
use cresset_core::time::Uptime;
use cresset_core::{planted, sometimes};
use futures_util::future::BoxFuture;
use rand::RngExt;
use tokio::sync::{mpsc, oneshot, watch};

use crate::admin::ClusterStatus;
use crate::clock::Clock;
use crate::consensus::apply::ToControl;
use crate::consensus::{Consensus, ProposeError};
use crate::descriptors;
use crate::discovery::Search;
use crate::links::{Direction, HelloRefusal, Lane, LinkEvent, Mesh};
use crate::router::Router;
use crate::run::Noted;
use crate::runtime;
use crate::witness::{self, Fact};

/// For the attack on all decoders.
#[cfg(test)]
pub(crate) fn decoders() -> Vec<crate::hostile_bytes::Decoder> {
    vec![founding::tests::decoder(), stamp::tests::decoder()]
}

/// Of what a directory keeps.
#[cfg(test)]
pub(crate) fn examples() -> Vec<crate::formats::Example> {
    vec![founding::tests::example(), stamp::tests::example()]
}

/// What helps if two nodes have one name.
const NAMES: &str = "give each node a name and a directory of its own";

/// Addresses of which it is remembered that they refuse this node. Of more an operator is not told.
const REFUSALS_MAX: usize = 16;

/// Requests of sessions that are taken in one turn, so that the timer is never late for long.
const REQUESTS_PER_TURN_MAX: usize = 1024;

/// The same for what happens on the links.
const LINK_EVENTS_PER_TURN_MAX: usize = 64;

/// How long to wait before the port for other members is opened again if there was no file descriptor for it.
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(200);

/// Where facts come from.
pub(crate) struct Inlets {
    pub(crate) committed: mpsc::Receiver<ToControl>,
    pub(crate) links: mpsc::Receiver<LinkEvent>,
    pub(crate) raft: watch::Receiver<RaftStatus>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) questions: mpsc::Receiver<Question>,
    pub(crate) search: Search,
}

/// What the rest of the node asks of the control plane.
pub(crate) enum Question {
    /// How the cluster is.
    Status(oneshot::Sender<ClusterStatus>),
    /// Why clients cannot log in, as far as the cluster is concerned.
    Unready(oneshot::Sender<Option<Unready>>),
    /// The node begins to stop: where its clients may go.
    StopBegins(oneshot::Sender<Option<SocketAddr>>),
    /// What happened to the members, the oldest first.
    Events(oneshot::Sender<Vec<Happening>>),
    /// An operator wants something.
    Order(Order, oneshot::Sender<Result<(), Refusal>>),
    /// Whether the node is to be in the cluster or by itself, as operators have said for all.
    Switch(Mode),
    /// Operators have given this cluster up and founded another one with the same accounts.
    GivenUp,
    /// The node has not found its cluster, and is to serve alone until it has.
    ServeAlone,
    /// Leave the cluster in good order, because the node is about to stop.
    Leave,
}

/// Why the task has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The node has left as it was asked to.
    Left,
    /// Something that it needs has ended.
    Abandoned(String),
}

/// What an order leads to for the task itself.
enum Turn {
    End(End),
    /// The life is over although the process lives.
    NextLife,
}

/// Makes the links of a life of which this is the boot id.
pub(crate) type MeshMaker =
    Box<dyn Fn(BootId) -> BoxFuture<'static, io::Result<(Mesh<Router>, mpsc::Receiver<LinkEvent>)>> + Send + Sync>;

/// The links of the present life, for those who outlive it.
pub(crate) type PresentMesh = watch::Sender<Mesh<Router>>;

/// The control plane with the means that it commands.
pub(crate) struct Control<C: Clock> {
    pub(crate) clustering: Clustering,
    /// Hears that there is no sender any more when all sessions have settled what they have, if they were told to.
    pub(crate) held: Option<mpsc::Receiver<()>>,
    pub(crate) clock: C,
    /// Filled once Raft has started, for which the log must be taken already.
    pub(crate) consensus: Arc<OnceLock<Consensus>>,
    pub(crate) mesh: Arc<PresentMesh>,
    pub(crate) make_mesh: MeshMaker,
    pub(crate) router: Arc<Router>,
    pub(crate) name: String,
    pub(crate) cluster_id: String,
    /// Addresses at which members may be found besides those that the state knows.
    pub(crate) seeds: BTreeSet<SocketAddr>,
    /// Where the leader is, as somebody said whom this node found before it.
    pub(crate) led_from: Option<SocketAddr>,
    /// Those who call this node, and where they are: who is called back need not have been found.
    pub(crate) callers: BTreeMap<MemberId, SocketAddr>,
    /// The process of each life that goes on.
    pub(crate) lives: BTreeMap<Life, Peer>,
    /// The process that each member's control link last led to.
    pub(crate) linked: BTreeMap<MemberId, BootId>,
    /// The version of the program of each member to which there was a link.
    pub(crate) programs: BTreeMap<MemberId, String>,
    /// What those to whom there was a link call themselves.
    pub(crate) called: BTreeMap<MemberId, String>,
    /// Who refused to be linked with this node, where, and why.
    pub(crate) refusals: BTreeMap<SocketAddr, String>,
    /// Whether the cluster was founded before this process started.
    pub(crate) was_founded: bool,
    /// The command by which an operator founds another cluster from this directory.
    pub(crate) recover: String,
    /// What happened to the members.
    pub(crate) chronicle: Chronicle,
    /// Who waits for the outcome of an order.
    pub(crate) ordered: BTreeMap<OrderId, oneshot::Sender<Result<(), Refusal>>>,
    /// How many orders there were.
    pub(crate) orders: u64,
    /// Whether the node is being stopped.
    pub(crate) stop_has_begun: bool,
    /// The position of the snapshot whose routes are being shown before its state is in place.
    pub(crate) ahead: Option<LogIndex>,
    /// The agreed times, as they were told last.
    pub(crate) times: AgreedTimes,
    /// Who notes them on the disk listens here.
    pub(crate) noted_times: watch::Sender<Option<Noted>>,
}

impl<C: Clock> Control<C> {
    /// Runs until the node has left or cannot go on.
    pub(crate) async fn run(mut self, mut inlets: Inlets) -> End {
        self.dial();
        self.clustering.begin(self.clock.now());
        drop(self.carry_out_all());
        loop {
            match self.turn(&mut inlets).await {
                None => {}
                Some(Turn::End(end)) => {
                    runtime::spawn(apply_in_vain(inlets.committed));
                    return end;
                }
                Some(Turn::NextLife) => match self.begin_next_life().await {
                    Ok((next, links)) => {
                        self = next;
                        inlets.links = links;
                    }
                    Err(error) => return End::Abandoned(format!("the links cannot be made anew: {error}")),
                },
            }
        }
    }

    async fn turn(&mut self, inlets: &mut Inlets) -> Option<Turn> {
        let gone = |what: &str| Some(Turn::End(End::Abandoned(format!("{what} has ended"))));
        let now = self.clock.now();
        let gathers = self.clustering.gathers_until(now);
        let due = [self.clustering.poll_timeout(), gathers].into_iter().flatten().min();
        let pause = due.map(|due| due.since(now));
        let (mut events, mut requests) = (Vec::new(), Vec::new());
        tokio::select! {
            biased;
            () = tokio::time::sleep(pause.unwrap_or(Duration::MAX)), if pause.is_some() => {
                self.with(Clustering::handle_timeout)
            }
            count = inlets.links.recv_many(&mut events, LINK_EVENTS_PER_TURN_MAX) => match count {
                0 => gone("the mesh of links"),
                _ => self.link_events(events),
            },
            changed = inlets.raft.changed() => match changed {
                Ok(()) => {
                    let status = inlets.raft.borrow_and_update().clone();
                    self.handle(Input::Raft(status))
                }
                Err(_) => gone("Raft"),
            },
            asked = inlets.committed.recv() => match asked {
                Some(asked) => self.log(asked),
                None => gone("the log"),
            },
            Some(question) = inlets.questions.recv() => self.question(question),
            () = are_held(&mut self.held), if self.clustering.awaits_held() => self.with(Clustering::handle_held),
            () = inlets.search.changed() => {
                self.seeds = inlets.search.candidates();
                self.dial();
                None
            }
            // Nobody wakes this task for what can wait.
            _ = inlets.requests.recv_many(&mut requests, REQUESTS_PER_TURN_MAX), if gathers.is_none() => {
                self.requests(requests)
            }
        }
    }

    /// Another life of the same member in the same process: other links, the same log.
    async fn begin_next_life(mut self) -> io::Result<(Self, mpsc::Receiver<LinkEvent>)> {
        sometimes!("a_process_begins_another_life");
        let boot = draw_boot();
        let before = self.mesh.borrow().clone();
        self.lives.clear();
        before.own_life_over();
        before.stop().await;
        let (mesh, links) = self.make_links(boot).await?;
        for member in self.clustering.node().state().members().filter(|member| member.is_alive()) {
            let peer = Peer { member: member.id, boot: member.boot };
            mesh.set_current(peer, member.incarnation);
            self.lives.insert(member.life(), peer);
        }
        let state = self.clustering.node().state();
        mesh.agree_on_version(state.version());
        state.times().wanted().into_iter().for_each(|times| mesh.agree_on_times(times));
        self.mesh.send_replace(mesh);
        self.clustering = self.clustering.reborn(self.clock.now(), boot);
        drop(self.carry_out_all());
        self.linked.clear();
        self.callers.clear();
        self.dial();
        Ok((self, links))
    }

    /// Makes links, as soon as there is a file descriptor for their port.
    async fn make_links(&self, boot: BootId) -> io::Result<(Mesh<Router>, mpsc::Receiver<LinkEvent>)> {
        loop {
            match (self.make_mesh)(boot).await {
                Err(error) if descriptors::are_used_up(&error) => {
                    tracing::warn!(%error, "the links wait for a file descriptor");
                    tokio::time::sleep(DESCRIPTOR_PAUSE).await;
                }
                made => return made,
            }
        }
    }

    fn log(&mut self, asked: ToControl) -> Option<Turn> {
        match asked {
            ToControl::Committed { entries, reply } => {
                let end = self.handle(Input::Committed(entries));
                answer(reply, ());
                end
            }
            ToControl::Freeze { so_far, routes_max, reply } => {
                answer(reply, self.clustering.node().state().freeze(so_far.map(|frozen| *frozen), routes_max));
                None
            }
            ToControl::Prepare { reply } => {
                self.clustering.prepare_installation();
                answer(reply, self.clustering.node().versions());
                None
            }
            ToControl::RoutesAhead { applied, events, reply } => {
                self.ahead = Some(applied);
                let end = self.handle(Input::RoutesAhead(events));
                self.ahead = None;
                answer(reply, ());
                end
            }
            ToControl::Install { installation, reply } => {
                let end = self.with(|clustering, now| clustering.handle_installed(now, *installation));
                answer(reply, self.clustering.take_replaced().map(Box::new));
                end
            }
        }
    }

    fn question(&mut self, question: Question) -> Option<Turn> {
        match question {
            Question::Status(reply) => {
                let (clustering, now) = (&self.clustering, self.clock.now());
                let status = status::status(now, clustering.node(), &self.name, &self.cluster_id, &self.programs);
                let status = status::by_itself(clustering, status.with_amiss(self.amiss()));
                let unready = clustering.unready().map(|reason| reason.to_string());
                answer(reply, ClusterStatus { unready, ..status });
                None
            }
            Question::Unready(reply) => {
                answer(reply, self.clustering.unready());
                None
            }
            Question::StopBegins(reply) => {
                self.stop_has_begun = true;
                answer(reply, self.clustering.somewhere_else());
                None
            }
            Question::Events(reply) => {
                answer(reply, self.chronicle.happenings().cloned().collect());
                None
            }
            Question::Order(order, reply) => {
                self.orders += 1;
                let id = OrderId(self.orders);
                self.ordered.insert(id, reply);
                self.with(|clustering, now| clustering.handle_order(now, id, order))
            }
            Question::Switch(mode) => self.with(|clustering, now| clustering.handle_mode(now, mode)),
            Question::GivenUp => Some(Turn::End(End::Abandoned(
                "this cluster was given up by 'cresset cluster recover': remove the data directory, and the node joins the \
                 new one as a new member"
                    .to_owned(),
            ))),
            Question::ServeAlone => self.with(Clustering::handle_not_found),
            Question::Leave => self.with(Clustering::handle_stop),
        }
    }

    /// What an operator is told besides, if waiting does not help.
    fn amiss(&self) -> Option<Amiss> {
        let Control { called, refusals, was_founded, recover, .. } = self;
        self.clustering.node().amiss(Surroundings { names: called, refusals, was_founded: *was_founded, recover })
    }

    fn link_events(&mut self, events: Vec<LinkEvent>) -> Option<Turn> {
        if let Some(namesake) = events.iter().find_map(|event| self.late_namesake(event)) {
            let reason = format!("another node is called '{}' and runs at {namesake}: {NAMES}", self.name);
            return Some(Turn::End(End::Abandoned(reason)));
        }
        let facts: Vec<Input> = events.into_iter().filter_map(|event| self.link_fact(event)).collect();
        if facts.is_empty() { None } else { self.with(|clustering, now| clustering.handle_all(now, facts)) }
    }

    /// What is to be told to the node of what happened on the links.
    fn link_fact(&mut self, event: LinkEvent) -> Option<Input> {
        match event {
            LinkEvent::Up(up) if up.lane == Lane::Control && up.direction == Direction::Dialled => {
                tracing::info!(peer = %up.name, member = %up.peer.member, address = %up.address, "linked");
                self.linked.insert(up.peer.member, up.peer.boot);
                self.refusals.remove(&up.address);
                self.called.insert(up.peer.member, up.name);
                self.programs.insert(up.peer.member, up.program);
                Some(Input::LinkUp(up.peer))
            }
            LinkEvent::Closed { peer, lane: Lane::Control, direction: Direction::Dialled, fault, .. } => {
                tracing::info!(member = %peer.member, %fault, "link closed");
                let is_evidence = fault.is_evidence() || planted!(SilenceCountsAsCrash);
                Some(if is_evidence { Input::LinkClosed(peer) } else { Input::LinkSilent(peer) })
            }
            LinkEvent::Refused { member: Some(member), .. } => {
                let boot = *self.linked.get(&member)?;
                Some(Input::PortRefused(Peer { member, boot }))
            }
            LinkEvent::Control { peer, format, message } => match ControlMessage::decode(&message, format) {
                Ok(message) => {
                    let voted = self.consensus.get().map_or(Term(0), Consensus::voted_term);
                    Some(Input::Control { from: peer, message, voted })
                }
                Err(error) => {
                    tracing::warn!(member = %peer.member, %error, "passed over a control message that is none, or of a later version");
                    None
                }
            },
            LinkEvent::HelloRefused { refusal: HelloRefusal::Over, .. } => Some(Input::Over),
            // The links have logged it.
            LinkEvent::HelloRefused { address, refusal, direction: Direction::Dialled } => {
                if self.refusals.len() < REFUSALS_MAX || self.refusals.contains_key(&address) {
                    self.refusals.insert(address, refusal.to_string());
                }
                None
            }
            LinkEvent::HelloRefused { .. } => None,
            LinkEvent::Up(up) if up.lane == Lane::Control && up.direction == Direction::Accepted => {
                self.callers.insert(up.peer.member, up.address);
                self.dial();
                None
            }
            LinkEvent::Closed { peer, lane, direction, fault, .. } => {
                if lane == Lane::Control && direction == Direction::Accepted {
                    self.callers.remove(&peer.member);
                    self.dial();
                }
                fault.is_evidence().then_some(Input::LaneClosed(peer))
            }
            LinkEvent::Up(_) | LinkEvent::Refused { member: None, .. } => None,
        }
    }

    /// Where the one is whose name this node has and which was there before, and goes on. One whose disk was lost is gone
    /// when another one has its name.
    fn late_namesake(&self, event: &LinkEvent) -> Option<SocketAddr> {
        let LinkEvent::Up(up) = event else { return None };
        let is_before = up.name == self.name && up.peer.member < self.mesh.borrow().identity().member;
        (is_before && self.clustering.node().life().is_none()).then_some(up.address)
    }

    /// Sessions ask whoever the router follows.
    fn requests(&mut self, requests: Vec<Request>) -> Option<Turn> {
        if !self.clustering.is_alone() {
            for request in &requests {
                witness::tell(|| Fact::Asked(request.clone()));
            }
        }
        self.with(|clustering, now| clustering.handle_requests(now, requests))
    }

    /// Hands a fact of the cluster to the machine and carries out what it orders.
    fn handle(&mut self, input: Input) -> Option<Turn> {
        self.with(|clustering, now| clustering.handle(now, input))
    }

    /// Hands facts to the machine, and carries out what it orders.
    fn with(&mut self, hand: impl FnOnce(&mut Clustering, Uptime)) -> Option<Turn> {
        hand(&mut self.clustering, self.clock.now());
        witness::tell(|| Fact::Lease { until: self.clustering.node().lease_until(), now: self.clock.now() });
        self.carry_out_all()
    }

    fn carry_out_all(&mut self) -> Option<Turn> {
        let mut turn = None;
        while let Some(output) = self.clustering.poll_output() {
            turn = turn.or(self.carry_out(output));
        }
        self.tell_times();
        self.chronicle.led_by(self.clock.wall(), self.clustering.node().raft().leader);
        turn
    }

    /// Tells the links, the disk and the operator of times on which the members have agreed.
    fn tell_times(&mut self) {
        let agreed = *self.clustering.node().state().times();
        let Some(wanted) = agreed.wanted().filter(|_| agreed != self.times) else { return };
        match (agreed.change(), agreed.in_force()) {
            (Some(change), Some(present)) => {
                tracing::info!(%present, to = %change.to, "the times on which fencing rests are being changed");
            }
            (Some(_), None) => {}
            (None, _) => tracing::info!(times = %wanted, "the members have agreed on the times on which fencing rests"),
        }
        self.times = agreed;
        self.mesh.borrow().agree_on_times(wanted);
        self.noted_times.send_replace(Some(Noted { wanted, followed: self.clustering.node().times() }));
    }

    fn carry_out(&mut self, output: ClusteringOutput) -> Option<Turn> {
        match output {
            ClusteringOutput::Router(told) => self.tell_router(told),
            ClusteringOutput::Happened(event) => self.happened(&event),
            ClusteringOutput::Shown(applied) => self.shown(applied),
            ClusteringOutput::Alone(is_alone) => witness::tell(|| Fact::Alone(is_alone)),
            ClusteringOutput::Cluster(order) => self.tell_cluster(order),
            ClusteringOutput::Notice(notice) => log(notice),
            ClusteringOutput::NextLife => return Some(Turn::NextLife),
            ClusteringOutput::End(why) => return Some(Turn::End(self.why_it_ends(why))),
        }
        None
    }

    fn tell_cluster(&mut self, order: ClusterOrder) {
        match order {
            ClusterOrder::Dial(address) => {
                self.led_from = Some(address);
                self.dial();
            }
            ClusterOrder::Propose(commands) => {
                not_proposed(self.consensus.get().map(|consensus| consensus.propose(commands)));
            }
            ClusterOrder::ProposeInTerm { term, commands } => {
                not_proposed(self.consensus.get().map(|consensus| consensus.propose_in(term, commands)));
            }
            ClusterOrder::Send { to, message } => {
                let sent = self.mesh.borrow().send_control(to, |format| Bytes::from(message.encode(format)));
                if let Err(error) = sent {
                    tracing::debug!(member = %to, %error, "a control message was not sent");
                }
            }
            ClusterOrder::Ordered { id, outcome } => {
                if let Some(reply) = self.ordered.remove(&id) {
                    answer(reply, outcome);
                }
            }
            ClusterOrder::TakeOver { dead, target } => {
                tracing::info!(%dead, %target, "the leader has crashed");
                self.with_consensus(|consensus| consensus.take_over(dead, target));
            }
            ClusterOrder::Membership { voters, learners } => {
                tracing::info!(?voters, ?learners, "membership");
                self.with_consensus(|consensus| consensus.set_membership(voters, learners));
            }
            ClusterOrder::TransferLeadership { to } => {
                tracing::info!(%to, "handing leadership over");
                self.with_consensus(|consensus| consensus.transfer_leadership(to));
            }
        }
    }

    fn tell_router(&mut self, told: ToRouter) {
        match told {
            ToRouter::Lease(until) => self.router.set_lease(until),
            ToRouter::Event(event) => self.router.handle_event(&event),
            ToRouter::Applied(applied) => self.router.applied(applied),
            ToRouter::Answer { source, session, answer } => {
                if source == Source::Cluster {
                    witness::tell(|| Fact::Answered { session, answer: answer.clone() });
                }
                self.router.answer(session, answer);
            }
            ToRouter::Service { source, service } => self.serve(source, service),
            ToRouter::Door(door) => self.router.set_door(door),
            ToRouter::SendAway { sessions, see_other_host } => {
                self.router.send_some_away(sessions, &see_other_host.to_string());
            }
            ToRouter::LifeOver { see_other_host } => {
                tracing::warn!(
                    "the others have ended this life of the member: its clients are sent away, it joins anew"
                );
                witness::tell(|| Fact::Service(Service::Close));
                self.router.life_over(see_other_host.map(|host| host.to_string()).as_deref());
            }
            ToRouter::Hold => {
                let (guard, held) = mpsc::channel(1);
                self.router.hold(guard);
                self.held = Some(held);
            }
            ToRouter::MoveOn { begin } => self.router.move_on(begin),
            ToRouter::Connect => self.router.connect(Some(self.mesh.borrow().clone())),
            ToRouter::AllRoutes => {
                for route in self.clustering.node().state().routes() {
                    self.router.handle_event(&Event::RouteAdded(route.clone()));
                }
            }
            ToRouter::StoredAlone { look_again_after } => {
                self.router.tell_of_what_was_stored_alone();
                self.router.look_again_later(look_again_after);
            }
        }
    }

    fn serve(&self, source: Source, service: Service) {
        match (source, service) {
            (Source::Itself, _) => tracing::info!(?service, "by itself"),
            (Source::Leaving, _) => {}
            (Source::Cluster, Service::Serve) => tracing::info!("serving"),
            // Whoever stops sends its clients away and gives its lease up, and so may the others.
            (Source::Cluster, Service::Pause | Service::Close) if self.stop_has_begun => {
                tracing::debug!(?service, "the node stops");
            }
            (Source::Cluster, Service::Pause) => {
                tracing::warn!("the lease has ended: nobody is served until a quorum counts this node in");
            }
            (Source::Cluster, Service::Close) => tracing::warn!("no quorum: clients are sent away"),
        }
        if source != Source::Itself {
            witness::tell(|| Fact::Service(service));
        }
        self.router.set_service(service, None);
    }

    /// The read view shows everything that was applied.
    fn shown(&self, applied: LogIndex) {
        let state = self.clustering.node().state();
        witness::tell(|| Fact::State { index: applied, digest: state.digest() });
        if self.mesh.borrow().agree_on_version(state.version()) {
            tracing::info!(version = state.version(), "all members follow this version of the agreed state");
        }
    }

    fn why_it_ends(&self, why: ProcessEnd) -> End {
        End::Abandoned(match why {
            ProcessEnd::Left => return End::Left,
            ProcessEnd::Namesake => format!("another node is called '{}' and has joined since: {NAMES}", self.name),
            ProcessEnd::Outgrown { version } => {
                let VersionRange { min, max } = self.clustering.node().versions();
                format!(
                    "the members follow version {version} of the agreed state, and this program versions {min} to {max}: \
                     install the program that the others have"
                )
            }
        })
    }

    fn with_consensus(&self, order: impl FnOnce(&Consensus)) {
        // What is ordered before Raft has started would be too early for Raft as well.
        if let Some(consensus) = self.consensus.get() {
            order(consensus);
        }
    }

    fn happened(&mut self, event: &Event) {
        let node = self.clustering.node();
        let applied = || self.ahead.unwrap_or_else(|| node.state().applied());
        witness::tell(|| Fact::Changed { event: event.clone(), applied: applied() });
        self.chronicle.happened(self.clock.wall(), event, node.state(), node.life());
        match event {
            Event::Joined(life) => {
                let Some(member) = node.state().alive(*life) else { return };
                let peer = Peer { member: life.member, boot: member.boot };
                tracing::info!(name = %member.name, life = %life, "joined");
                self.lives.insert(*life, peer);
                self.mesh.borrow().set_current(peer, life.incarnation);
                self.dial();
            }
            Event::Ended { life, expelled } => {
                tracing::info!(life = %life, ?expelled, "ended");
                if let Some(peer) = self.lives.remove(life).filter(|_| Some(*life) != node.life()) {
                    self.mesh.borrow().ban(peer);
                }
                self.dial();
            }
            Event::Activated(life) => tracing::info!(life = %life, "active"),
            Event::SeniorChanged(senior) => tracing::info!(?senior, "senior"),
            Event::VotersChanged => tracing::info!(voters = ?node.state().voters(), "voters"),
            Event::RouteAdded(_) | Event::RouteChanged(_) | Event::RouteRemoved { .. } => {}
        }
    }

    fn dial(&self) {
        let members = self.clustering.node().state().members().map(|member| member.peer_address);
        let told = self.led_from.into_iter().chain(self.callers.values().copied());
        self.mesh.borrow().set_peers(self.seeds.iter().copied().chain(members).chain(told).collect());
    }
}

/// A number for a life or a log of this process, which nobody else has.
pub(crate) fn draw_boot() -> BootId {
    BootId(runtime::generator().random())
}

/// What is committed after the end of this task is applied by the next process, from the log. Raft, which ends after it,
/// would call it an error that nobody takes it.
async fn apply_in_vain(mut committed: mpsc::Receiver<ToControl>) {
    while let Some(asked) = committed.recv().await {
        if let ToControl::Committed { reply, .. } = asked {
            answer(reply, ());
        }
    }
}

/// Waits until the sessions have settled what they have.
async fn are_held(held: &mut Option<mpsc::Receiver<()>>) {
    match held {
        Some(held) => drop(held.recv().await),
        None => std::future::pending().await,
    }
}

fn log(notice: Notice) {
    match notice {
        Notice::Switched(Mode::Clustered) => tracing::info!("clustering is switched on"),
        Notice::Switched(Mode::Standalone) => {
            tracing::warn!("clustering is switched off: this node is to serve its own clients alone");
        }
        Notice::ServesAlone => tracing::warn!(
            "THIS NODE SERVES ALONE, as the property 'cluster.start.alone' allows: if other nodes serve, the same user \
             may be served twice and nobody reaches all; it joins its cluster when it finds it"
        ),
        Notice::AloneForTooLong => {
            tracing::warn!("the node is not in the cluster and stops serving: clustering is on");
        }
        Notice::LeavesUnnoticed => {
            tracing::warn!("the others did not agree in time that this node leaves: they will find it silent");
        }
    }
}

/// Whoever proposes does so again, so it is no more than worth a line.
fn not_proposed(proposed: Option<Result<(), ProposeError>>) {
    if let Some(Err(error)) = proposed {
        tracing::debug!(%error, "not proposed");
    }
}

fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    if reply.send(value).is_err() {
        tracing::debug!("nobody waits for the answer any more");
    }
}
