//! The control plane of a node that is in the cluster or by itself, and the switch between the two.
//!
//! ```text
//!            off                     held                left, or in vain
//! clustered ─────▶ sessions hold ─────────────▶ leaving ─────────────────▶ by itself, the cluster's machine stands aside
//!     ▲                                                                        │ on
//!     └── the cluster's machine serves: sessions move to it ◀── it joins ◀─────┘
//! ```
//!
//! [`Clustering`] has a [`Node`], which is the part in the cluster, and while the node is by itself another one, which agrees with nobody. The router
//! follows one of them at a time, and what it is told is [`ToRouter`]: it never hears the other one. When clustering is
//! switched off the machine of the cluster stands aside: it takes part in Raft, so that the agreement outlasts the time in
//! which nobody uses it, and has no life, so that nobody counts on its sessions. When clustering is on again it joins behind
//! the back of the sessions, which move to it in the moment in which it serves.
//!
//! Its contract is that of [`Node`]: facts by `handle_*`, orders by [`poll_output`](Clustering::poll_output), the time by
//! [`poll_timeout`](Clustering::poll_timeout). After [`ClusteringOutput::NextLife`] the driver takes no fact until it has made the
//! machine of the [next life](Clustering::reborn).
//!
//! The invariant: a session that is served by the machine of the cluster has its route from it.

mod output;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use output::{ClusteringOutput, Notice, ProcessEnd, Source, ToRouter};

use super::{
    Alone, AloneOutput, ClusterOrder, Input, Node, NodeSettings, Order, OrderId, Output, Refusal, Request, Service,
    Unready,
};
use crate::admission::Door;
use crate::cluster::{ClusterState, Installation};
use crate::config::properties::Agreed;
use crate::ids::{BootId, LogIndex};
use crate::time::Uptime;
use crate::{planted, sometimes};

/// How long sessions may take to settle what they have. Those that take longer may be told something twice.
const HOLD_TIME_MAX: Duration = Duration::from_millis(300);

/// How long the others have to agree that this node leaves: longer than an election takes. If they cannot, they will find
/// it silent. Without a quorum they never do, and where all nodes stop at once a quorum may have gone before the last ones
/// have asked.
pub const LEAVE_TIME_MAX: Duration = Duration::from_millis(1500);

/// How long a node goes on by itself when clustering is on and it does not get into the cluster. As long as a node that
/// starts looks for its cluster before it says that there is none.
const JOIN_TIME_MAX: Duration = Duration::from_secs(20);

/// How long after no node can be by itself any more the sessions look into the store once more.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What operators have said for all nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// They are one cluster.
    Clustered,
    /// Each serves its own clients.
    Standalone,
}

impl Mode {
    /// What the agreed properties say.
    pub fn of(agreed: &Agreed) -> Mode {
        if agreed.is_clustered { Mode::Clustered } else { Mode::Standalone }
    }
}

/// Draws a number for a log that is nobody else's.
pub type DrawBoot = Box<dyn Fn() -> BootId + Send + Sync>;

/// The control plane of one process, in the cluster or by itself.
pub struct Clustering {
    node: Node,
    mode: Mode,
    settings: NodeSettings,
    draw_boot: DrawBoot,
    /// Whether a node serves alone for as long as it does not find its cluster.
    is_lonely_service_allowed: bool,
    alone: Option<Alone>,
    /// When a node that is by itself stops serving although it is not in the cluster.
    alone_until: Option<Uptime>,
    leaving: Option<Leaving>,
    /// Whether the node is about to stop.
    stops: bool,
    /// Whether this life is over, and the driver knows.
    is_over: bool,
    /// How the router was last told to treat clients.
    service: Service,
    /// What it was last told of the lease, and of what clients find.
    told: (Option<Uptime>, Option<Door>),
    /// How far the router is said to show the log that it follows.
    shown: LogIndex,
    /// Whether the router follows the same machine as when the installation of a snapshot began.
    hears_of_routes: bool,
    output: VecDeque<ClusteringOutput>,
}

/// A node on its way out of the cluster.
#[derive(Debug)]
struct Leaving {
    /// Whether all sessions have settled what they have, or had the time for it.
    is_held: bool,
    until: Uptime,
}

impl Clustering {
    /// Of a process that has just started and is to do what operators have set. It orders nothing until it
    /// [begins](Clustering::begin).
    pub fn new(now: Uptime, settings: NodeSettings, agreed: &Agreed, draw_boot: DrawBoot) -> Clustering {
        let (node, mode) = (Node::new(now, settings.clone()), Mode::of(agreed));
        Clustering {
            node: if mode == Mode::Standalone { node.aside() } else { node },
            mode,
            settings,
            draw_boot,
            is_lonely_service_allowed: agreed.start_alone,
            alone: None,
            alone_until: None,
            leaving: None,
            stops: false,
            is_over: false,
            service: Service::Close,
            told: (None, None),
            shown: LogIndex(0),
            hears_of_routes: false,
            output: VecDeque::new(),
        }
    }

    /// The machine of the next life of the same process, which knows what this one knows, after
    /// [`ClusteringOutput::NextLife`]. The links are those of that life already.
    #[must_use]
    pub fn reborn(self, now: Uptime, boot: BootId) -> Clustering {
        let node = self.node.reborn(now, boot);
        let stands_aside = self.alone.is_some() && self.mode == Mode::Standalone;
        let node = if stands_aside { node.aside() } else { node };
        let mut next = Clustering { node, is_over: false, ..self };
        if !next.is_alone() {
            next.tell(ToRouter::Connect);
        }
        next
    }

    /// The part in the cluster, which stands aside while the node is by itself.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// What operators have said for all nodes.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The part by itself, while the router follows that.
    pub fn by_itself(&self) -> Option<&Node> {
        self.alone.as_ref().map(Alone::node)
    }

    /// Whether the router follows the part by itself.
    pub fn is_alone(&self) -> bool {
        self.alone.is_some()
    }

    /// Whether a node serves alone for as long as it does not find its cluster.
    pub fn is_lonely_service_allowed(&self) -> bool {
        self.is_lonely_service_allowed
    }

    /// Whether the driver is to say when all sessions hold still, as [`ToRouter::Hold`] asks.
    pub fn awaits_held(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| !leaving.is_held)
    }

    /// Why clients cannot log in; absent if they can, as far as the control plane is concerned.
    pub fn unready(&self) -> Option<Unready> {
        let in_cluster = self.node.unready();
        if in_cluster == Some(Unready::Witness) {
            return in_cluster;
        }
        if self.stops {
            return Some(Unready::Stopping);
        }
        if self.is_alone() {
            return (self.service != Service::Serve).then_some(Unready::NotYetAlone);
        }
        if self.leaving.is_some() { Some(Unready::NotYetAlone) } else { in_cluster }
    }

    /// Where clients of this node may go.
    pub fn somewhere_else(&self) -> Option<SocketAddr> {
        self.node.somewhere_else().filter(|_| !self.is_alone())
    }

    /// The state that a snapshot has replaced, for whoever has the time to drop it.
    pub fn take_replaced(&mut self) -> Option<ClusterState> {
        self.node.take_replaced()
    }

    /// The next order, in the order of effects.
    pub fn poll_output(&mut self) -> Option<ClusteringOutput> {
        self.output.pop_front()
    }

    /// When to call [`handle_timeout`](Clustering::handle_timeout) unless something else happens before.
    pub fn poll_timeout(&self) -> Option<Uptime> {
        if self.is_over {
            return None;
        }
        let alone = self.alone.as_ref().and_then(Alone::poll_timeout);
        let leaving = self.leaving.as_ref().map(|leaving| leaving.until);
        [self.node.poll_timeout(), alone, leaving, self.alone_until].into_iter().flatten().min()
    }

    /// Until when what sessions ask only gathers, if that is later than now. Whoever hands it over may as well keep it, and
    /// come once.
    pub fn gathers_until(&self, now: Uptime) -> Option<Uptime> {
        Some(self.node.gathers_until()).filter(|until| *until > now && !self.is_alone())
    }

    /// The process has started, and the links are open.
    pub fn begin(&mut self, now: Uptime) {
        if self.mode == Mode::Standalone {
            self.begin_alone(now);
        }
    }

    /// Takes a fact of the cluster.
    pub fn handle(&mut self, now: Uptime, input: Input) {
        self.handle_all(now, [input]);
    }

    /// Takes facts of the cluster that have come together, as [`Node::handle_all`] does.
    pub fn handle_all(&mut self, now: Uptime, inputs: impl IntoIterator<Item = Input>) {
        self.node.handle_all(now, inputs);
        if !self.is_alone() {
            self.tell_lease(self.node.lease_until());
        }
        while let Some(output) = self.node.poll_output() {
            if let Output::Event(event) = output {
                if !self.is_alone() {
                    self.tell(ToRouter::Event(event.clone()));
                }
                self.output.push_back(ClusteringOutput::Happened(event));
                continue;
            }
            self.show();
            self.carry_out(now, output);
        }
        self.show();
        self.tell_door();
        // The others stop as well, or are not reached: there is nobody to wait for.
        if self.stops && self.node.leaves_in_vain() {
            self.end(ProcessEnd::Left);
        }
    }

    /// It is at least as late as [`poll_timeout`](Clustering::poll_timeout) said.
    pub fn handle_timeout(&mut self, now: Uptime) {
        self.handle(now, Input::Timeout);
        if self.is_over {
            return;
        }
        if self.is_alone() {
            self.handle_alone(now, [Input::Timeout]);
        }
        if self.alone_until.is_some_and(|until| until <= now) {
            self.output.push_back(ClusteringOutput::Notice(Notice::AloneForTooLong));
            self.end_alone(now, Service::Close);
        }
        match &self.leaving {
            Some(leaving) if leaving.until <= now && leaving.is_held => {
                sometimes!("a_node_leaves_without_agreement");
                self.output.push_back(ClusteringOutput::Notice(Notice::LeavesUnnoticed));
                self.depart(now);
            }
            Some(leaving) if leaving.until <= now => self.handle_held(now),
            Some(_) | None => {}
        }
    }

    /// Sessions ask whoever the router follows.
    pub fn handle_requests(&mut self, now: Uptime, requests: impl IntoIterator<Item = Request>) {
        let requests = requests.into_iter().map(Input::Request);
        if self.is_alone() {
            self.handle_alone(now, requests);
        } else {
            self.handle_all(now, requests);
        }
    }

    /// An operator asks for something of the cluster.
    pub fn handle_order(&mut self, now: Uptime, id: OrderId, order: Order) {
        match self.mode {
            Mode::Clustered => self.handle(now, Input::Order { id, order }),
            Mode::Standalone => {
                let outcome = Err(Refusal::Off);
                self.output.push_back(ClusteringOutput::Cluster(ClusterOrder::Ordered { id, outcome }));
            }
        }
    }

    /// A snapshot is about to be installed.
    pub fn prepare_installation(&mut self) {
        self.hears_of_routes = true;
    }

    /// A snapshot takes the place of everything up to its index. What became of routes was told to the router ahead, if it
    /// has followed the machine of the cluster since it was [prepared](Clustering::prepare_installation).
    pub fn handle_installed(&mut self, now: Uptime, installation: Installation) {
        let installation = if self.hears_of_routes { installation } else { installation.not_told() };
        self.handle(now, Input::Installed(Box::new(installation)));
    }

    /// Operators have said what is to be.
    pub fn handle_mode(&mut self, now: Uptime, mode: Mode) {
        if self.mode == mode {
            return;
        }
        self.mode = mode;
        self.output.push_back(ClusteringOutput::Notice(Notice::Switched(mode)));
        match (mode, self.is_alone()) {
            (Mode::Clustered, true) if planted!(SwitchedOnIgnored) => {}
            (Mode::Clustered, true) => {
                self.bound_lonely_service(now);
                self.handle(now, Input::Enter);
            }
            // It was joining.
            (Mode::Standalone, true) => {
                self.alone_until = None;
                self.handle(now, Input::Leave);
            }
            (Mode::Standalone, false) if self.leaving.is_none() => {
                self.tell(ToRouter::Hold);
                self.leaving = Some(Leaving { is_held: false, until: now + HOLD_TIME_MAX });
            }
            // It goes on leaving, and comes back.
            (Mode::Clustered | Mode::Standalone, false) => {}
        }
    }

    /// The sessions have settled what they have: answers [`ToRouter::Hold`].
    pub fn handle_held(&mut self, now: Uptime) {
        if let Some(leaving) = self.leaving.as_mut().filter(|leaving| !leaving.is_held) {
            *leaving = Leaving { is_held: true, until: now + LEAVE_TIME_MAX };
            self.handle(now, Input::Leave);
        }
    }

    /// The node has not found its cluster and is to serve nevertheless, if operators allow it. It goes on looking.
    pub fn handle_not_found(&mut self, now: Uptime) {
        let is_needed = self.node.service() != Service::Serve && !self.is_alone() && self.leaving.is_none();
        if is_needed && self.is_lonely_service_allowed {
            self.output.push_back(ClusteringOutput::Notice(Notice::ServesAlone));
            self.begin_alone(now);
        }
    }

    /// The node is about to stop: it leaves the cluster in good order.
    pub fn handle_stop(&mut self, now: Uptime) {
        self.stops = true;
        self.handle(now, Input::Leave);
    }

    fn carry_out(&mut self, now: Uptime, output: Output) {
        match output {
            Output::Event(_) => {}
            // A node that leaves because clustering is off stays in Raft, and may go on leading there.
            Output::Cluster(ClusterOrder::TransferLeadership { .. }) if self.leaving.is_some() && !self.stops => {}
            Output::Cluster(order) => self.output.push_back(ClusteringOutput::Cluster(order)),
            Output::Answer { session, answer } => {
                self.tell_in_cluster(ToRouter::Answer { source: Source::Cluster, session, answer });
            }
            Output::SendAway { sessions, see_other_host } => {
                self.tell_in_cluster(ToRouter::SendAway { sessions, see_other_host });
            }
            Output::Service(Service::Serve) if self.is_alone() => self.end_alone(now, Service::Serve),
            Output::Service(_) if self.is_alone() => {}
            // Its sessions wait, for whatever it is that comes next.
            Output::Service(Service::Pause | Service::Close) if self.leaving.is_some() => {
                self.serve(Source::Leaving, Service::Pause);
            }
            Output::Service(service) => self.serve(Source::Cluster, service),
            // Each would throw the other one out again and again.
            Output::LifeOver { .. } if self.node.has_namesake() => self.end(ProcessEnd::Namesake),
            Output::LifeOver { .. } if self.is_alone() => self.end_this_life(),
            // It was about to leave in any case.
            Output::LifeOver { .. } if self.leaving.is_some() => self.depart(now),
            Output::LifeOver { see_other_host } => {
                self.service = Service::Close;
                self.tell(ToRouter::LifeOver { see_other_host });
                self.end_this_life();
            }
            Output::Left if self.stops => self.end(ProcessEnd::Left),
            Output::Left => self.depart(now),
            Output::Outgrown { version } => self.end(ProcessEnd::Outgrown { version }),
        }
    }

    /// This life in the cluster is over, because clustering is off: the sessions go on by themselves.
    fn depart(&mut self, now: Uptime) {
        self.leaving = None;
        if !self.is_alone() {
            self.begin_alone(now);
        }
        if self.mode == Mode::Clustered {
            self.bound_lonely_service(now);
        }
        self.end_this_life();
    }

    /// Clustering is on, and the node is by itself still: that may not go on for ever, unless operators want it so.
    fn bound_lonely_service(&mut self, now: Uptime) {
        self.alone_until = Some(now + JOIN_TIME_MAX).filter(|_| !self.is_lonely_service_allowed);
    }

    /// From here on the router follows a node by itself.
    fn begin_alone(&mut self, now: Uptime) {
        // Whoever waits for an answer gets one.
        for (session, answer) in self.node.refuse_requests() {
            self.tell(ToRouter::Answer { source: Source::Cluster, session, answer });
        }
        let boot = (self.draw_boot)();
        let settings = NodeSettings { boot, ..self.settings.clone() };
        self.move_on(LogIndex::of_nobody_else(boot));
        self.alone = Some(Alone::new(now, settings));
        self.output.push_back(ClusteringOutput::Alone(true));
        self.handle_alone(now, [Input::Timeout]);
    }

    /// Hands facts to the node that is by itself.
    fn handle_alone(&mut self, now: Uptime, inputs: impl IntoIterator<Item = Input>) {
        let Some(mut alone) = self.alone.take() else { return };
        alone.handle_all(now, inputs);
        let applied = alone.node().state().applied();
        self.tell_lease(alone.node().lease_until());
        while let Some(output) = alone.poll_output() {
            match output {
                AloneOutput::Event(event) => self.tell(ToRouter::Event(event)),
                // What a node tells of itself comes after what it shows.
                AloneOutput::Answer { session, answer } => {
                    self.shows(applied);
                    self.tell(ToRouter::Answer { source: Source::Itself, session, answer });
                }
                AloneOutput::Service(service) => {
                    self.shows(applied);
                    self.serve(Source::Itself, service);
                }
            }
        }
        self.shows(applied);
        self.alone = Some(alone);
        self.tell_door();
    }

    /// From here on the router follows the machine of the cluster. If that serves, the sessions move to it.
    fn end_alone(&mut self, now: Uptime, service: Service) {
        // Whoever waits for an answer gets one.
        self.handle_alone(now, [Input::Over]);
        (self.alone, self.alone_until) = (None, None);
        self.output.push_back(ClusteringOutput::Alone(false));
        self.move_on(LogIndex(0));
        self.tell(ToRouter::Connect);
        self.tell(ToRouter::AllRoutes);
        self.tell_lease(self.node.lease_until());
        self.show();
        self.tell(ToRouter::StoredAlone { look_again_after: JOIN_TIME_MAX + LOOK_AGAIN_AFTER });
        self.serve(Source::Cluster, service);
        self.tell_door();
    }

    fn move_on(&mut self, begin: LogIndex) {
        (self.service, self.hears_of_routes, self.shown) = (Service::Pause, false, begin);
        self.tell(ToRouter::MoveOn { begin });
    }

    /// Announces that the read view shows everything that was applied of the cluster's log, if the router follows that.
    fn show(&mut self) {
        let applied = self.node.state().applied();
        if !self.is_alone() && self.shows(applied) {
            self.output.push_back(ClusteringOutput::Shown(applied));
        }
    }

    /// The same for the log that the router follows; whether that is news.
    fn shows(&mut self, applied: LogIndex) -> bool {
        let is_news = applied > self.shown;
        if is_news {
            self.shown = applied;
            self.tell(ToRouter::Applied(applied));
        }
        is_news
    }

    /// Tells the router what clients find that come from here on.
    fn tell_door(&mut self) {
        let is_in_cluster = !self.is_alone() && self.leaving.is_none();
        let door = match self.service {
            _ if is_in_cluster => self.node.door(),
            Service::Serve | Service::Pause => Door::Open,
            Service::Close => Door::Shut,
        };
        if self.told.1.replace(door) != Some(door) {
            self.tell(ToRouter::Door(door));
        }
    }

    fn tell_lease(&mut self, until: Option<Uptime>) {
        if std::mem::replace(&mut self.told.0, until) != until {
            self.tell(ToRouter::Lease(until));
        }
    }

    fn serve(&mut self, source: Source, service: Service) {
        self.service = service;
        self.tell(ToRouter::Service { source, service });
    }

    fn tell(&mut self, told: ToRouter) {
        self.output.push_back(ClusteringOutput::Router(told));
    }

    fn tell_in_cluster(&mut self, told: ToRouter) {
        if !self.is_alone() {
            self.tell(told);
        }
    }

    fn end_this_life(&mut self) {
        if !self.is_over {
            self.is_over = true;
            self.output.push_back(ClusteringOutput::NextLife);
        }
    }

    fn end(&mut self, why: ProcessEnd) {
        if !self.is_over {
            self.is_over = true;
            self.output.push_back(ClusteringOutput::End(why));
        }
    }
}

impl fmt::Debug for Clustering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clustering")
            .field("mode", &self.mode)
            .field("is_alone", &self.is_alone())
            .field("leaving", &self.leaving)
            .field("service", &self.service)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}
