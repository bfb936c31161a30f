//! What all tasks of a mesh share.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use cresset_core::fencing::Times;
use cresset_core::ids::{BootId, Incarnation, LogIndex, MemberId};
use cresset_core::links::{NotEntered, Slot};
use cresset_core::routing::Arrivals;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::data::DataService;
use super::event::{LinkEvent, LinkFault, LinkId, RaftService};
use super::home::LaneInlets;
use super::identity::{Identity, Lane, LinkSecurity};
use super::owner::InboxInlets;
use super::registry::{Inlet, Registry};
use super::wire::BoxedStream;
use crate::runtime::{self, Workers};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Mutex, MutexGuard, Table};

/// Makes connections, whatever the transport.
pub(super) type Dialler = Box<dyn Fn(SocketAddr) -> BoxFuture<'static, io::Result<BoxedStream>> + Send + Sync>;

/// What all tasks of a mesh share.
pub(super) struct Shared<D: DataService> {
    pub(super) identity: Identity,
    pub(super) security: LinkSecurity,
    pub(super) dialler: Dialler,
    pub(super) raft: Arc<dyn RaftService>,
    pub(super) data: Arc<D>,
    /// Where data lanes run.
    pub(super) workers: Workers,
    pub(super) events: mpsc::Sender<LinkEvent>,
    /// The lane to the current process of each member. Read for each stanza, hence without a lock.
    pub(super) lanes: Table<MemberId, LaneInlets<D>>,
    /// The inboxes of the lives that may still be answered.
    pub(super) inboxes: Table<(MemberId, Incarnation), InboxInlets>,
    /// How far the read view of this node is.
    pub(super) applied: watch::Sender<LogIndex>,
    /// The version that the cluster has agreed on: nobody is spoken with who does not follow it.
    agreed_version: AtomicU32,
    /// The times on which the cluster has agreed, as far as this node has heard.
    agreed_times: Mutex<Option<Times>>,
    /// Something in the registry changed for which a data lane may wait.
    pub(super) changed: Notify,
    registry: Mutex<Registry>,
    arrivals: Mutex<Arrivals>,
}

impl<D: DataService> Shared<D> {
    pub(super) fn new(
        identity: Identity,
        security: LinkSecurity,
        dialler: Dialler,
        raft: Arc<dyn RaftService>,
        data: Arc<D>,
        workers: Workers,
        events: mpsc::Sender<LinkEvent>,
    ) -> Self {
        let arrivals = Mutex::new(Arrivals::new(identity.boot));
        Shared {
            identity,
            security,
            dialler,
            raft,
            data,
            workers,
            events,
            lanes: Table::default(),
            inboxes: Table::default(),
            applied: watch::Sender::new(LogIndex(0)),
            agreed_version: AtomicU32::new(0),
            agreed_times: Mutex::new(None),
            changed: Notify::new(),
            registry: Mutex::new(Registry::default()),
            arrivals,
        }
    }

    /// What this node says of itself at this moment.
    pub(super) fn identity_now(&self) -> Identity {
        let mut identity = self.identity.clone();
        identity.versions.min = identity.versions.min.max(self.agreed_version.load(Ordering::Acquire));
        if let Some(times) = *self.agreed_times() {
            identity.alike = identity.alike.map(|alike| alike.with_agreed(times));
        }
        identity
    }

    /// The cluster has agreed on these times.
    pub(super) fn agree_on_times(&self, times: Times) {
        *self.agreed_times() = Some(times);
    }

    /// Held for a look or a change, never across an await.
    fn agreed_times(&self) -> MutexGuard<'_, Option<Times>> {
        self.agreed_times.lock().expect("nothing panics while it holds the times")
    }

    /// The cluster has agreed on this version, or a later one: whether that is news.
    pub(super) fn agree_on_version(&self, version: u32) -> bool {
        self.agreed_version.fetch_max(version, Ordering::AcqRel) < version
    }

    /// The table of links. Held for a look-up or a change, never across an await.
    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().expect("nothing panics while it holds the table")
    }

    /// What this life has by another name.
    pub(super) fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().expect("nothing panics while it holds the table")
    }

    /// Starts a task of a lane on the threads that are for it: stanzas go over the data lane, and everything else must not
    /// wait for a processor behind them.
    pub(super) fn spawn(&self, lane: Lane, task: impl Future<Output = ()> + Send + 'static) {
        match lane {
            Lane::Data => drop(self.workers.spawn(task)),
            Lane::Control | Lane::Raft => drop(runtime::spawn(task)),
        }
    }

    /// Enters a link into the table; it leaves it when the registration is dropped.
    pub(super) fn enter(
        self: &Arc<Self>,
        slot: Slot,
        boot: BootId,
        address: SocketAddr,
        inlet: Inlet,
    ) -> Result<Registration<D>, NotEntered> {
        let (link, closed) = self.registry().enter(slot, boot, address, inlet)?;
        self.changed.notify_waiters();
        Ok(Registration { shared: self.clone(), slot, link, closed: Some(closed) })
    }

    /// Reports what happened, waiting for room: the control plane misses nothing, and links that report faster than it
    /// listens are slowed down.
    pub(super) async fn report(&self, event: LinkEvent) {
        if self.events.send(event).await.is_err() {
            tracing::trace!("nobody listens to the links any more");
        }
    }
}

/// Why the task of a lane or an inbox is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The life at the other end is over: what is not settled is decided here.
    LifeOver,
    /// The life at this end is over: what it sent and is not settled is decided here, and what it was sent is decided by
    /// those who had sent it.
    OwnLifeOver,
    /// This node's mesh stops: nothing is decided here any more.
    MeshStopped,
}

/// Tells a task to end. The first word counts.
pub(super) struct EndTeller(Mutex<Option<oneshot::Sender<End>>>);

impl EndTeller {
    pub(super) fn new() -> (EndTeller, oneshot::Receiver<End>) {
        let (teller, told) = oneshot::channel();
        (EndTeller(Mutex::new(Some(teller))), told)
    }

    pub(super) fn tell(&self, end: End) {
        let teller = self.0.lock().expect("nothing panics while it holds it").take();
        if teller.is_some_and(|teller| teller.send(end).is_err()) {
            tracing::trace!("a task that had ended by itself");
        }
    }
}

/// The place of a link in the table.
pub(super) struct Registration<D: DataService> {
    shared: Arc<Shared<D>>,
    pub(super) slot: Slot,
    pub(super) link: LinkId,
    closed: Option<oneshot::Receiver<LinkFault>>,
}

impl<D: DataService> Registration<D> {
    /// Says when and why the link is to be closed. There is one for each link.
    pub(super) fn take_closed(&mut self) -> oneshot::Receiver<LinkFault> {
        self.closed.take().expect("it is taken once, when the link begins")
    }
}

impl<D: DataService> Drop for Registration<D> {
    fn drop(&mut self) {
        self.shared.registry().leave(self.slot, self.link);
    }
}
