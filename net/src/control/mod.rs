//! The one task that owns the control plane: it hands facts to `core`'s [`Node`] and carries its orders out.
//!
//! ```text
//! links::LinkEvent ─────┐                    ┌──▶ router: view, sessions, whether to serve
//! consensus::ToControl ─┤                    ├──▶ links: messages, which process is current, whom to dial
//! Raft's status ────────┼──▶ Node ── order ──┤
//! sessions' requests ───┤                    └──▶ consensus: proposals, membership, take-over
//! operator ─────────────┘
//! ```
//!
//! The invariant: the read view shows an entry before anybody is told that it was applied here. No stanza passes here.
//! It decides nothing: what to do is an output of the node, how it is done is a call.

pub(crate) mod founding;
pub(crate) mod stamp;
mod status;
mod switch;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cresset_core::admission::Door;
use cresset_core::cluster::{AgreedTimes, Chronicle, Event, Happening, VersionRange};
use cresset_core::ids::{BootId, Life, LogIndex, MemberId, Term};
use cresset_core::node::{
    Amiss, ControlMessage, Input, Node, Order, OrderId, Output, Peer, RaftStatus, Refusal, Request, Service,
    Surroundings, Unready,
};
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

pub(crate) use switch::{Clustering, LEAVE_TIME_MAX, Switch};

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
    Switch(Clustering),
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
    /// The part in the cluster, which stands aside while the node is by itself.
    pub(crate) node: Node,
    pub(crate) switch: Switch,
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
    /// How far the read view is announced to be.
    pub(crate) shown: LogIndex,
    /// Whether the router follows the same machine as when the installation of a snapshot began.
    pub(crate) hears_of_routes: bool,
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
        if self.switch.clustering == Clustering::Off {
            self.begin_alone();
        }
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
        let gathers = Some(self.node.gathers_until()).filter(|until| *until > now && !self.switch.is_alone());
        let due = [self.node.poll_timeout(), self.switch.timeout(), gathers].into_iter().flatten().min();
        let pause = due.map(|due| due.since(now));
        let (mut events, mut requests) = (Vec::new(), Vec::new());
        tokio::select! {
            biased;
            () = tokio::time::sleep(pause.unwrap_or(Duration::MAX)), if pause.is_some() => self.time_passes(),
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
            () = self.switch.are_held() => self.leave_cluster(),
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
        let boot = BootId(runtime::generator().random());
        let before = self.mesh.borrow().clone();
        self.lives.clear();
        before.own_life_over();
        before.stop().await;
        let (mesh, links) = self.make_links(boot).await?;
        for member in self.node.state().members().filter(|member| member.is_alive()) {
            let peer = Peer { member: member.id, boot: member.boot };
            mesh.set_current(peer, member.incarnation);
            self.lives.insert(member.life(), peer);
        }
        mesh.agree_on_version(self.node.state().version());
        self.node.state().times().wanted().into_iter().for_each(|times| mesh.agree_on_times(times));
        self.mesh.send_replace(mesh);
        self.node = self.node.reborn(self.clock.now(), boot);
        if !self.switch.is_alone() {
            self.router.connect(Some(self.mesh.borrow().clone()));
        } else if self.switch.clustering == Clustering::Off {
            self.node = self.node.aside();
        }
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
                answer(reply, self.node.state().freeze(so_far.map(|frozen| *frozen), routes_max));
                None
            }
            ToControl::Prepare { reply } => {
                self.hears_of_routes = true;
                answer(reply, self.node.versions());
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
                let installation = if self.hears_of_routes { *installation } else { installation.not_told() };
                let end = self.handle(Input::Installed(Box::new(installation)));
                answer(reply, self.node.take_replaced().map(Box::new));
                end
            }
        }
    }

    fn question(&mut self, question: Question) -> Option<Turn> {
        match question {
            Question::Status(reply) => {
                let status = status::status(self.clock.now(), &self.node, &self.name, &self.cluster_id, &self.programs);
                let status = self.switch.in_status(status.with_amiss(self.amiss()));
                answer(reply, ClusterStatus { unready: self.unready().map(|reason| reason.to_string()), ..status });
                None
            }
            Question::Unready(reply) => {
                answer(reply, self.unready());
                None
            }
            Question::StopBegins(reply) => {
                self.stop_has_begun = true;
                answer(reply, self.node.somewhere_else().filter(|_| !self.switch.is_alone()));
                None
            }
            Question::Events(reply) => {
                answer(reply, self.chronicle.happenings().cloned().collect());
                None
            }
            Question::Order(_, reply) if self.switch.clustering == Clustering::Off => {
                answer(reply, Err(Refusal::Off));
                None
            }
            Question::Order(order, reply) => {
                self.orders += 1;
                let id = OrderId(self.orders);
                self.ordered.insert(id, reply);
                self.handle(Input::Order { id, order })
            }
            Question::Switch(clustering) => self.switched(clustering),
            Question::GivenUp => Some(Turn::End(End::Abandoned(
                "this cluster was given up by 'cresset cluster recover': remove the data directory, and the node joins the \
                 new one as a new member"
                    .to_owned(),
            ))),
            Question::ServeAlone => {
                self.serve_alone();
                None
            }
            Question::Leave => {
                self.switch.stops = true;
                self.handle(Input::Leave)
            }
        }
    }

    /// Why clients cannot log in: the cluster's reason, unless the node is by itself.
    fn unready(&self) -> Option<Unready> {
        let in_cluster = self.node.unready();
        if in_cluster == Some(Unready::Witness) {
            return in_cluster;
        }
        if self.switch.stops {
            return Some(Unready::Stopping);
        }
        if self.switch.is_alone() {
            return (self.router.gate().service() != Service::Serve).then_some(Unready::NotYetAlone);
        }
        if self.switch.is_leaving() { Some(Unready::NotYetAlone) } else { in_cluster }
    }

    /// What an operator is told besides, if waiting does not help.
    fn amiss(&self) -> Option<Amiss> {
        let Control { called, refusals, was_founded, recover, .. } = self;
        self.node.amiss(Surroundings { names: called, refusals, was_founded: *was_founded, recover })
    }

    fn link_events(&mut self, events: Vec<LinkEvent>) -> Option<Turn> {
        if let Some(namesake) = events.iter().find_map(|event| self.late_namesake(event)) {
            let reason = format!("another node is called '{}' and runs at {namesake}: {NAMES}", self.name);
            return Some(Turn::End(End::Abandoned(reason)));
        }
        let facts: Vec<Input> = events.into_iter().filter_map(|event| self.link_fact(event)).collect();
        if facts.is_empty() { None } else { self.handle_all(facts) }
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
        (is_before && self.node.life().is_none()).then_some(up.address)
    }

    fn time_passes(&mut self) -> Option<Turn> {
        let turn = self.handle(Input::Timeout);
        turn.or_else(|| self.switch_time_passes())
    }

    /// Sessions ask whoever the router follows.
    fn requests(&mut self, requests: Vec<Request>) -> Option<Turn> {
        if self.switch.is_alone() {
            self.handle_alone(requests.into_iter().map(Input::Request));
            return None;
        }
        for request in &requests {
            witness::tell(|| Fact::Asked(request.clone()));
        }
        self.handle_all(requests.into_iter().map(Input::Request))
    }

    /// Hands a fact to the node and carries out what it orders.
    fn handle(&mut self, input: Input) -> Option<Turn> {
        self.handle_all([input])
    }

    /// Hands facts to the node that have come together, and carries out what it orders.
    fn handle_all(&mut self, inputs: impl IntoIterator<Item = Input>) -> Option<Turn> {
        self.node.handle_all(self.clock.now(), inputs);
        if !self.switch.is_alone() {
            self.router.set_lease(self.node.lease_until());
        }
        witness::tell(|| Fact::Lease { until: self.node.lease_until(), now: self.clock.now() });
        let mut turn = None;
        while let Some(output) = self.node.poll_output() {
            if let Output::Event(event) = &output {
                self.happened(event);
                continue;
            }
            self.show();
            turn = turn.or(self.carry_out(output));
        }
        self.show();
        self.tell_times();
        self.tell_door();
        self.chronicle.led_by(self.clock.wall(), self.node.raft().leader);
        // The others stop as well, or are not reached: there is nobody to wait for.
        let is_done = || self.switch.stops && self.node.leaves_in_vain();
        turn.or_else(|| is_done().then_some(Turn::End(End::Left)))
    }

    /// Tells the router what clients find that come from here on.
    pub(super) fn tell_door(&self) {
        let is_in_cluster = !self.switch.is_alone() && !self.switch.is_leaving();
        self.router.set_door(match self.router.gate().service() {
            _ if is_in_cluster => self.node.door(),
            Service::Serve | Service::Pause => Door::Open,
            Service::Close => Door::Shut,
        });
    }

    /// Tells the links, the disk and the operator of times on which the members have agreed.
    fn tell_times(&mut self) {
        let agreed = *self.node.state().times();
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
        self.noted_times.send_replace(Some(Noted { wanted, followed: self.node.times() }));
    }

    /// Announces that the read view shows everything that was applied.
    fn show(&mut self) {
        if self.switch.is_alone() {
            return;
        }
        let applied = self.node.state().applied();
        if applied > self.shown {
            self.shown = applied;
            witness::tell(|| Fact::State { index: applied, digest: self.node.state().digest() });
            self.router.applied(applied);
            let version = self.node.state().version();
            if self.mesh.borrow().agree_on_version(version) {
                tracing::info!(version, "all members follow this version of the agreed state");
            }
        }
    }

    fn carry_out(&mut self, output: Output) -> Option<Turn> {
        match output {
            Output::Event(_) => {}
            Output::Dial(address) => {
                self.led_from = Some(address);
                self.dial();
            }
            Output::Propose(commands) => {
                not_proposed(self.consensus.get().map(|consensus| consensus.propose(commands)));
            }
            Output::ProposeInTerm { term, commands } => {
                not_proposed(self.consensus.get().map(|consensus| consensus.propose_in(term, commands)));
            }
            Output::Send { to, message } => {
                let sent = self.mesh.borrow().send_control(to, |format| Bytes::from(message.encode(format)));
                if let Err(error) = sent {
                    tracing::debug!(member = %to, %error, "a control message was not sent");
                }
            }
            // The router follows the node that is by itself.
            Output::Answer { .. } | Output::SendAway { .. } if self.switch.is_alone() => {}
            Output::Service(service) if self.switch.is_alone() => {
                if service == Service::Serve {
                    self.end_alone(Service::Serve);
                }
            }
            // Each would throw the other one out again and again.
            Output::LifeOver { .. } if self.node.has_namesake() => {
                let reason = format!("another node is called '{}' and has joined since: {NAMES}", self.name);
                return Some(Turn::End(End::Abandoned(reason)));
            }
            Output::LifeOver { .. } if self.switch.is_alone() => return Some(Turn::NextLife),
            // Its sessions wait, for whatever it is that comes next.
            Output::Service(Service::Pause | Service::Close) if self.switch.is_leaving() => {
                witness::tell(|| Fact::Service(Service::Pause));
                self.router.set_service(Service::Pause, None);
            }
            // Raft goes on here, and with it the lead.
            Output::TransferLeadership { .. } if self.switch.is_leaving() && !self.switch.stops => {}
            // It was about to leave in any case.
            Output::LifeOver { .. } if self.switch.is_leaving() => return Some(self.depart()),
            Output::Answer { session, answer } => {
                witness::tell(|| Fact::Answered { session, answer: answer.clone() });
                self.router.answer(session, answer);
            }
            Output::Ordered { id, outcome } => {
                if let Some(reply) = self.ordered.remove(&id) {
                    answer(reply, outcome);
                }
            }
            Output::Service(service) => self.serve(service),
            Output::TakeOver { dead, target } => {
                tracing::info!(%dead, %target, "the leader has crashed");
                self.with_consensus(|consensus| consensus.take_over(dead, target));
            }
            Output::Membership { voters, learners } => {
                tracing::info!(?voters, ?learners, "membership");
                self.with_consensus(|consensus| consensus.set_membership(voters, learners));
            }
            Output::TransferLeadership { to } => {
                tracing::info!(%to, "handing leadership over");
                self.with_consensus(|consensus| consensus.transfer_leadership(to));
            }
            Output::SendAway { sessions, see_other_host } => {
                self.router.send_some_away(sessions, &see_other_host.to_string());
            }
            Output::LifeOver { see_other_host } => {
                tracing::warn!(
                    "the others have ended this life of the member: its clients are sent away, it joins anew"
                );
                witness::tell(|| Fact::Service(Service::Close));
                self.router.life_over(see_other_host.map(|host| host.to_string()).as_deref());
                return Some(Turn::NextLife);
            }
            Output::Left if self.switch.stops => return Some(Turn::End(End::Left)),
            Output::Left => return Some(self.depart()),
            Output::Outgrown { version } => {
                let VersionRange { min, max } = self.node.versions();
                return Some(Turn::End(End::Abandoned(format!(
                    "the members follow version {version} of the agreed state, and this program versions {min} to {max}: \
                     install the program that the others have"
                ))));
            }
        }
        None
    }

    fn serve(&self, service: Service) {
        match service {
            Service::Serve => tracing::info!("serving"),
            // Whoever stops sends its clients away and gives its lease up, and so may the others.
            Service::Pause | Service::Close if self.stop_has_begun => tracing::debug!(?service, "the node stops"),
            Service::Pause => {
                tracing::warn!("the lease has ended: nobody is served until a quorum counts this node in")
            }
            Service::Close => tracing::warn!("no quorum: clients are sent away"),
        }
        witness::tell(|| Fact::Service(service));
        self.router.set_service(service, None);
    }

    fn with_consensus(&self, order: impl FnOnce(&Consensus)) {
        // What is ordered before Raft has started would be too early for Raft as well.
        if let Some(consensus) = self.consensus.get() {
            order(consensus);
        }
    }

    fn happened(&mut self, event: &Event) {
        let applied = || self.ahead.unwrap_or_else(|| self.node.state().applied());
        witness::tell(|| Fact::Changed { event: event.clone(), applied: applied() });
        if !self.switch.is_alone() {
            self.router.handle_event(event);
        }
        self.chronicle.happened(self.clock.wall(), event, self.node.state(), self.node.life());
        match event {
            Event::Joined(life) => {
                let Some(member) = self.node.state().alive(*life) else { return };
                let peer = Peer { member: life.member, boot: member.boot };
                tracing::info!(name = %member.name, life = %life, "joined");
                self.lives.insert(*life, peer);
                self.mesh.borrow().set_current(peer, life.incarnation);
                self.dial();
            }
            Event::Ended { life, expelled } => {
                tracing::info!(life = %life, ?expelled, "ended");
                if let Some(peer) = self.lives.remove(life).filter(|_| Some(*life) != self.node.life()) {
                    self.mesh.borrow().ban(peer);
                }
                self.dial();
            }
            Event::Activated(life) => tracing::info!(life = %life, "active"),
            Event::SeniorChanged(senior) => tracing::info!(?senior, "senior"),
            Event::VotersChanged => tracing::info!(voters = ?self.node.state().voters(), "voters"),
            Event::RouteAdded(_) | Event::RouteChanged(_) | Event::RouteRemoved { .. } => {}
        }
    }

    fn dial(&self) {
        let members = self.node.state().members().map(|member| member.peer_address);
        let told = self.led_from.into_iter().chain(self.callers.values().copied());
        self.mesh.borrow().set_peers(self.seeds.iter().copied().chain(members).chain(told).collect());
    }
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
