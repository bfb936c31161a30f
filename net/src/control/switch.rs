//! Whether the node is in the cluster or by itself, and how its sessions go from the one to the other.
//!
//! ```text
//!            off                     settled             left, or in vain
//! clustered ─────▶ sessions hold ─────────────▶ leaving ─────────────────▶ by itself, the other machine stands aside
//!     ▲                                                                        │ on
//!     └── the other machine serves: sessions move to it ◀── it joins ◀─────────┘
//! ```
//!
//! The router follows one machine at a time: that of the cluster or that of a node by itself. When clustering is off the
//! machine of the cluster stands aside: it takes part in Raft, so that the agreement outlasts the time in which nobody
//! uses it, and has no life, so that nobody counts on its sessions. When clustering is on again it joins behind the back of
//! the sessions, which move to it in the moment in which it serves.
//!
//! The invariant: a session that is served by the machine of the cluster has its route from it.

use std::time::Duration;

use cresset_core::cluster::Event;
use cresset_core::config::properties::Agreed;
use cresset_core::ids::{BootId, LogIndex};
use cresset_core::node::{Alone, AloneOutput, Input, NodeSettings, Service};
use cresset_core::time::Uptime;
use cresset_core::{planted, sometimes};
use rand::RngExt;
use tokio::sync::mpsc;

use super::{Control, Turn};
use crate::admin::ClusterStatus;
use crate::clock::Clock;
use crate::runtime;
use crate::witness::{self, Fact};

/// How long sessions may take to settle what they have. Those that take longer may be told something twice.
const HOLD_TIME_MAX: Duration = Duration::from_millis(300);

/// How long the others have to agree that this node leaves: longer than an election takes. If they cannot, they will find
/// it silent. Without a quorum they never do, and where all nodes stop at once a quorum may have gone before the last ones
/// have asked.
pub(crate) const LEAVE_TIME_MAX: Duration = Duration::from_millis(1500);

/// How long a node goes on by itself when clustering is on and it does not get into the cluster. As long as a node that
/// starts looks for its cluster before it says that there is none.
const JOIN_TIME_MAX: Duration = Duration::from_secs(20);

/// How long after no node can be by itself any more the sessions look into the store once more.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What operators have said for all nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Clustering {
    /// They are one cluster.
    On,
    /// Each serves its own clients.
    Off,
}

impl Clustering {
    /// What the agreed properties say.
    pub(crate) fn of(agreed: &Agreed) -> Clustering {
        if agreed.is_clustered { Clustering::On } else { Clustering::Off }
    }
}

/// Where the node is between the two.
pub(crate) struct Switch {
    pub(crate) clustering: Clustering,
    /// Whether the node is about to stop.
    pub(super) stops: bool,
    settings: NodeSettings,
    /// Whether a node serves alone for as long as it does not find its cluster.
    is_lonely_service_allowed: bool,
    alone: Option<Alone>,
    /// When a node that is by itself stops serving although it is not in the cluster.
    alone_until: Option<Uptime>,
    leaving: Option<Leaving>,
}

/// A node on its way out of the cluster.
struct Leaving {
    /// Hears that there is no sender any more when all sessions have settled what they have.
    held: mpsc::Receiver<()>,
    is_held: bool,
    until: Uptime,
}

impl Switch {
    /// Of a node that has just started and is to do what operators have set.
    pub(crate) fn new(agreed: &Agreed, settings: NodeSettings) -> Switch {
        Switch {
            clustering: Clustering::of(agreed),
            stops: false,
            settings,
            is_lonely_service_allowed: agreed.start_alone,
            alone: None,
            alone_until: None,
            leaving: None,
        }
    }

    pub(super) fn is_alone(&self) -> bool {
        self.alone.is_some()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    pub(super) fn timeout(&self) -> Option<Uptime> {
        let alone = self.alone.as_ref().and_then(Alone::poll_timeout);
        let leaving = self.leaving.as_ref().map(|leaving| leaving.until);
        [alone, leaving, self.alone_until].into_iter().flatten().min()
    }

    /// Until the sessions have settled what they have, if they were told to.
    pub(super) async fn are_held(&mut self) {
        match self.leaving.as_mut().filter(|leaving| !leaving.is_held) {
            Some(leaving) => drop(leaving.held.recv().await),
            None => std::future::pending().await,
        }
    }

    /// What is to be told besides of the cluster as the node sees it.
    pub(super) fn in_status(&self, status: ClusterStatus) -> ClusterStatus {
        let clustering = self.clustering == Clustering::On;
        let Some(alone) = &self.alone else { return ClusterStatus { clustering, ..status } };
        let advice = match self.clustering {
            Clustering::Off => {
                "clustering is off: every node serves its own clients alone, until 'cresset cluster enable'"
            }
            Clustering::On if self.is_lonely_service_allowed => {
                "THIS NODE SERVES ALONE, as 'cluster.start.alone' allows: others may serve the same users until it is in the cluster"
            }
            Clustering::On => "this node serves its own clients alone until it is in the cluster",
        };
        ClusterStatus {
            clustering,
            alone: true,
            serving: alone.node().service() == Service::Serve,
            sessions: u64::try_from(alone.node().state().sessions()).unwrap_or(u64::MAX),
            can_lose: None,
            advice: advice.to_owned(),
            ..status
        }
    }
}

impl<C: Clock> Control<C> {
    /// Operators have said what is to be.
    pub(super) fn switched(&mut self, clustering: Clustering) -> Option<Turn> {
        if self.switch.clustering == clustering {
            return None;
        }
        self.switch.clustering = clustering;
        match clustering {
            Clustering::On => tracing::info!("clustering is switched on"),
            Clustering::Off => {
                tracing::warn!("clustering is switched off: this node is to serve its own clients alone")
            }
        }
        match (clustering, self.switch.is_alone()) {
            (Clustering::On, true) if planted!(SwitchedOnIgnored) => None,
            (Clustering::On, true) => self.join(),
            // It was joining.
            (Clustering::Off, true) => {
                self.switch.alone_until = None;
                self.handle(Input::Leave)
            }
            (Clustering::Off, false) if !self.switch.is_leaving() => {
                let (guard, held) = mpsc::channel(1);
                self.router.hold(guard);
                let until = self.clock.now() + HOLD_TIME_MAX;
                self.switch.leaving = Some(Leaving { held, is_held: false, until });
                None
            }
            // It goes on leaving, and comes back.
            (Clustering::On | Clustering::Off, false) => None,
        }
    }

    fn join(&mut self) -> Option<Turn> {
        self.bound_lonely_service();
        self.handle(Input::Enter)
    }

    /// Clustering is on, and the node is by itself still: that may not go on for ever, unless operators want it so.
    fn bound_lonely_service(&mut self) {
        let until = self.clock.now() + JOIN_TIME_MAX;
        self.switch.alone_until = Some(until).filter(|_| !self.switch.is_lonely_service_allowed);
    }

    /// The node has not found its cluster and is to serve nevertheless. It goes on looking.
    pub(super) fn serve_alone(&mut self) {
        let is_needed = self.node.service() != Service::Serve && !self.switch.is_alone() && !self.switch.is_leaving();
        if is_needed && self.switch.is_lonely_service_allowed {
            tracing::warn!(
                "THIS NODE SERVES ALONE, as the property 'cluster.start.alone' allows: if other nodes serve, the same user \
                 may be served twice and nobody reaches all; it joins its cluster when it finds it"
            );
            self.begin_alone();
        }
    }

    /// The sessions have settled what they have.
    pub(super) fn leave_cluster(&mut self) -> Option<Turn> {
        if let Some(leaving) = self.switch.leaving.as_mut().filter(|leaving| !leaving.is_held) {
            leaving.is_held = true;
            leaving.until = self.clock.now() + LEAVE_TIME_MAX;
            return self.handle(Input::Leave);
        }
        None
    }

    /// What is due of all this.
    pub(super) fn switch_time_passes(&mut self) -> Option<Turn> {
        let now = self.clock.now();
        if self.switch.is_alone() {
            self.handle_alone([Input::Timeout]);
        }
        if self.switch.alone_until.is_some_and(|until| until <= now) {
            tracing::warn!("the node is not in the cluster and stops serving: clustering is on");
            self.end_alone(Service::Close);
        }
        match &self.switch.leaving {
            Some(leaving) if leaving.until <= now && leaving.is_held => {
                sometimes!("a_node_leaves_without_agreement");
                tracing::warn!("the others did not agree in time that this node leaves: they will find it silent");
                Some(self.depart())
            }
            Some(leaving) if leaving.until <= now => self.leave_cluster(),
            Some(_) | None => None,
        }
    }

    /// This life in the cluster is over, because clustering is off: the sessions go on by themselves.
    pub(super) fn depart(&mut self) -> Turn {
        self.switch.leaving = None;
        if !self.switch.is_alone() {
            self.begin_alone();
        }
        if self.switch.clustering == Clustering::On {
            self.bound_lonely_service();
        }
        Turn::NextLife
    }

    /// From here on the router follows a node by itself.
    pub(super) fn begin_alone(&mut self) {
        let boot = BootId(runtime::generator().random());
        let settings = NodeSettings { boot, ..self.switch.settings.clone() };
        self.router.move_on(LogIndex::of_nobody_else(boot));
        self.hears_of_routes = false;
        self.switch.alone = Some(Alone::new(self.clock.now(), settings));
        witness::tell(|| Fact::Alone(true));
        self.handle_alone([Input::Timeout]);
    }

    /// Hands facts to the node that is by itself, and carries out what it orders.
    pub(super) fn handle_alone(&mut self, inputs: impl IntoIterator<Item = Input>) {
        let Some(alone) = &mut self.switch.alone else { return };
        alone.handle_all(self.clock.now(), inputs);
        self.router.set_lease(alone.node().lease_until());
        while let Some(output) = alone.poll_output() {
            // What a node tells of itself comes after what it shows.
            if !matches!(output, AloneOutput::Event(_)) {
                self.router.applied(alone.node().state().applied());
            }
            match output {
                AloneOutput::Event(event) => self.router.handle_event(&event),
                AloneOutput::Answer { session, answer } => self.router.answer(session, answer),
                AloneOutput::Service(service) => {
                    tracing::info!(?service, "by itself");
                    self.router.set_service(service, None);
                }
            }
        }
        self.router.applied(alone.node().state().applied());
        self.tell_door();
    }

    /// From here on the router follows the machine of the cluster. If that serves, the sessions move to it.
    pub(super) fn end_alone(&mut self, service: Service) {
        // Whoever waits for an answer gets one.
        self.handle_alone([Input::Over]);
        (self.switch.alone, self.switch.alone_until) = (None, None);
        witness::tell(|| Fact::Alone(false));
        self.router.move_on(LogIndex(0));
        self.hears_of_routes = false;
        self.router.connect(Some(self.mesh.borrow().clone()));
        for route in self.node.state().routes() {
            self.router.handle_event(&Event::RouteAdded(route.clone()));
        }
        self.shown = LogIndex(0);
        self.router.set_lease(self.node.lease_until());
        self.show();
        self.router.tell_of_what_was_stored_alone();
        self.router.look_again_later(JOIN_TIME_MAX + LOOK_AGAIN_AFTER);
        self.serve(service);
    }
}
