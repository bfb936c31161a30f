//! The handle of the mesh: what the rest of a node does with links.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cresset_core::config::alike::ALIKE_BYTES_MAX;
use cresset_core::fencing::Times;
use cresset_core::ids::{Incarnation, Life, LogIndex, MemberId, RouteId, Sequence};
use cresset_core::node::Peer;
use cresset_core::routing::{Home, Missed, Parcel, StanzaName};
use cresset_core::wire::LinkFormat;
use futures_util::future::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::data::DataService;
use super::dial;
use super::event::{CALL_BYTES_MAX, CallError, LinkEvent, LinkFault, RaftService, SendError};
use super::home::{self, DataLane};
use super::identity::{Identity, Lane, LinkSecurity, TEXT_BYTES_MAX};
use super::listen;
use super::owner::{self, Fate};
use super::raft::Call;
use super::shared::{Dialler, End, Shared};
use super::wire::BoxedStream;
use crate::runtime::{self, Workers};
use crate::transport::Transport;

/// Events that wait for the control plane. Beyond it the links wait, each in its turn.
const EVENTS_MAX: usize = 256;

/// Who answers what comes over the links.
pub struct Services<D> {
    /// Requests of Raft.
    pub raft: Arc<dyn RaftService>,
    /// Parcels and what becomes of them.
    pub data: Arc<D>,
    /// Where that happens.
    pub workers: Workers,
}

impl<D> Clone for Services<D> {
    fn clone(&self) -> Self {
        Services { raft: self.raft.clone(), data: self.data.clone(), workers: self.workers.clone() }
    }
}

/// The links of one node. Cheap to clone; all clones are the same mesh.
pub struct Mesh<D: DataService> {
    shared: Arc<Shared<D>>,
    tasks: Arc<Mutex<Tasks>>,
}

#[derive(Default)]
struct Tasks {
    /// For each address that is dialled, what keeps its tasks running.
    dialled: BTreeMap<SocketAddr, Vec<oneshot::Sender<()>>>,
    listening: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl<D: DataService> Clone for Mesh<D> {
    fn clone(&self) -> Self {
        Mesh { shared: self.shared.clone(), tasks: self.tasks.clone() }
    }
}

impl<D: DataService> Mesh<D> {
    /// Listens on an address and accepts peers from then on. Dials nobody yet. Must run inside a
    /// [`runtime::scope`].
    ///
    /// # Errors
    ///
    /// The address cannot be listened on, or the identity has a text that is too long to be said.
    pub async fn start<T: Transport>(
        transport: T,
        listen: SocketAddr,
        mut identity: Identity,
        security: LinkSecurity,
        services: Services<D>,
    ) -> io::Result<(Mesh<D>, mpsc::Receiver<LinkEvent>)> {
        let Identity { cluster, name, machine, program, .. } = &identity;
        let alike = identity.alike.iter().flat_map(|alike| [&alike.domain, &alike.name, &alike.former_name]);
        if [cluster, name, machine, program].iter().any(|text| text.len() > TEXT_BYTES_MAX)
            || alike.into_iter().any(|text| text.len() > ALIKE_BYTES_MAX)
        {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a text of the hello is too long"));
        }
        let listener = transport.bind(listen).await?;
        if identity.address.port() == 0 {
            identity.address.set_port(transport.local_address(&listener)?.port());
        }
        let (events, reported) = mpsc::channel(EVENTS_MAX);
        let Services { raft, data, workers } = services;
        let dialler = dialler(transport.clone());
        let shared = Arc::new(Shared::new(identity, security, dialler, raft, data, workers, events));
        let (stop, stopped) = oneshot::channel();
        let listening = runtime::spawn(listen::run(shared.clone(), transport, listener, stopped));
        let tasks = Tasks { dialled: BTreeMap::new(), listening: Some((stop, listening)) };
        Ok((Mesh { shared, tasks: Arc::new(Mutex::new(tasks)) }, reported))
    }

    /// What this node says of itself, its port included.
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// From here on nobody is spoken with who does not follow the version that the cluster has agreed on: whether that
    /// is news. Who does not joins nowhere, and both sides say why.
    pub fn agree_on_version(&self, version: u32) -> bool {
        self.shared.agree_on_version(version)
    }

    /// From here on a node that has not heard on which times the cluster has agreed is spoken with only if its file says
    /// these.
    pub fn agree_on_times(&self, times: Times) {
        self.shared.agree_on_times(times);
    }

    /// From here on these addresses are dialled, and no others. The node's own may be among them.
    pub fn set_peers(&self, addresses: BTreeSet<SocketAddr>) {
        let mut tasks = self.tasks();
        tasks.dialled.retain(|address, _| addresses.contains(address));
        let added = self.shared.registry().want(addresses);
        for address in added {
            let keeps = Lane::ALL.map(|lane| {
                let (keep, stop) = oneshot::channel();
                self.shared.spawn(lane, dial::keep(self.shared.clone(), address, lane, stop));
                keep
            });
            tasks.dialled.insert(address, keeps.into());
        }
    }

    /// Declares which process of another member is current and which life it leads. The process before it is over, as
    /// by [`ban`](Self::ban). Parcels can be sent to it and taken from it from here on.
    pub fn set_current(&self, peer: Peer, incarnation: Incarnation) {
        if peer.member == self.shared.identity.member {
            return;
        }
        let current = self.shared.lanes.pin().get(&peer.member).map(|lane| (lane.lane.peer(), lane.incarnation));
        if current == Some((peer, incarnation)) {
            return;
        }
        self.shared.registry().set_current(peer);
        self.end_life(peer.member, End::LifeOver);

        let (home, lane) = home::Home::new(
            self.shared.identity.boot,
            peer,
            incarnation,
            self.shared.data.clone(),
            self.shared.applied.subscribe(),
        );
        let (owner, inbox) = owner::Owner::new(peer, incarnation, self.shared.clone());
        self.shared.lanes.pin().insert(peer.member, lane);
        self.shared.inboxes.pin().insert((peer.member, incarnation), inbox);
        self.shared.spawn(Lane::Data, runtime::polled(home.run()));
        self.shared.spawn(Lane::Data, owner.run());
        self.shared.changed.notify_waiters();
    }

    /// Declares that a process is over: its links are closed, it gets no others, and what was sent to it and is not
    /// settled is decided again. To be called when the read view does not show its routes any more.
    pub fn ban(&self, peer: Peer) {
        self.shared.registry().ban(peer);
        let is_current = self.shared.lanes.pin().get(&peer.member).is_some_and(|lane| lane.lane.peer() == peer);
        if is_current {
            self.end_life(peer.member, End::LifeOver);
        }
    }

    /// Declares that the others have ended this life: its links are to be closed by [`stop`](Self::stop), what it sent and
    /// is not settled is decided again, and what it was sent is left to those who had sent it.
    pub fn own_life_over(&self) {
        // In order of their members, as in `stop`.
        let members: BTreeSet<MemberId> = self.shared.lanes.pin().keys().copied().collect();
        for member in members {
            self.end_life(member, End::OwnLifeOver);
        }
    }

    /// The read view of this node shows the state at `index`: what was returned at it can be decided again.
    pub fn applied(&self, index: LogIndex) {
        self.shared.applied.send_if_modified(|applied| {
            let advances = index > *applied;
            *applied = index.max(*applied);
            advances
        });
    }

    /// Whether there is a link over which the member can be told something.
    pub fn is_linked(&self, member: MemberId) -> bool {
        self.shared.registry().control_to(member).is_some()
    }

    /// Sends a message of the control plane, as it is `written` in the format of the link, if there is room for it at
    /// once.
    ///
    /// # Errors
    ///
    /// There is no link, its queue is full, or the message is too long. Nothing was sent.
    pub fn send_control(&self, member: MemberId, written: impl FnOnce(LinkFormat) -> Bytes) -> Result<(), SendError> {
        // A large message takes a while to be written; nobody waits for the table meanwhile.
        let (format, queue) = {
            let registry = self.shared.registry();
            let (format, queue) = registry.control_to(member).ok_or(SendError::NotConnected)?;
            (format, queue.clone())
        };
        let message = written(format);
        if message.len() > Lane::Control.payload_bytes_max() {
            return Err(SendError::TooLong);
        }
        queue.try_send(message).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => SendError::Full,
            mpsc::error::TrySendError::Closed(_) => SendError::NotConnected,
        })
    }

    /// Asks a member's Raft something and waits for the response, at most for `time_max`. A link on which a request
    /// was not answered in time is closed, because nobody knows what else is stuck on it.
    ///
    /// # Errors
    ///
    /// As [`CallError`] says.
    pub async fn call(&self, member: MemberId, request: Bytes, time_max: Duration) -> Result<Bytes, CallError> {
        if request.len() > CALL_BYTES_MAX {
            return Err(CallError::TooLong);
        }
        let (slot, link, queue) = self.shared.registry().raft_to(member).ok_or(CallError::NotConnected)?;
        let (response, answered) = oneshot::channel();
        let exchange = async {
            queue.send(Call { request, response }).await.map_err(|_| CallError::Closed)?;
            answered.await.map_err(|_| CallError::Closed)
        };
        match timeout(time_max, exchange).await {
            Ok(result) => result,
            Err(_) => {
                self.shared.registry().close(slot, link, LinkFault::CallTimedOut);
                Err(CallError::TimedOut)
            }
        }
    }

    /// The lane to a life of a member, if that is the current one.
    pub fn lane(&self, life: Life) -> Option<DataLane<D>> {
        let lanes = self.shared.lanes.pin();
        lanes.get(&life.member).filter(|lane| lane.incarnation == life.incarnation).map(|lane| lane.lane.clone())
    }

    /// A [`Redecide`](cresset_core::routing::Redecide) that wanted to be confirmed was decided, and what it was is in
    /// other hands.
    pub async fn confirm(&self, peer: Peer, number: Sequence) {
        let confirmed = {
            let lanes = self.shared.lanes.pin();
            lanes.get(&peer.member).filter(|lane| lane.lane.peer() == peer).map(|lane| lane.confirmed.clone())
        };
        // A life that is over needs no confirmation.
        if let Some(confirmed) = confirmed
            && confirmed.send(number).await.is_err()
        {
            tracing::trace!(%number, "confirmed to a life that is over");
        }
    }

    /// A parcel of another member is done with.
    pub async fn settle(&self, home: Home) {
        // What has no home elsewhere is settled by whoever keeps it.
        if let Home::Member { member, incarnation, number } = home
            && let Err(_gone) = self.tell_inbox(member, incarnation, Fate::Settled(number)).await
        {
            tracing::trace!(%member, %number, "settled for a home that is over");
        }
    }

    /// A parcel of another member could not be delivered: the state of this node at `index` does not know the session.
    /// If its home is over, it goes to [`DataService::inherit`].
    pub async fn give_back(&self, parcel: Parcel, index: LogIndex) {
        match parcel.home {
            Home::Member { member, incarnation, number } => {
                let fate = Fate::Returned(number, Box::new(Missed { parcel, index }));
                if let Err(Fate::Returned(_, missed)) = self.tell_inbox(member, incarnation, fate).await {
                    self.shared.data.inherit(missed.parcel, None);
                }
            }
            Home::Here { .. } | Home::Offline { .. } => self.shared.data.inherit(parcel, None),
            Home::Named { name, .. } => self.shared.data.inherit(parcel, Some(name)),
        }
    }

    /// Whether a session of this node is to be given a stanza of that name: not if it was before.
    pub fn gives(&self, name: StanzaName, route: RouteId) -> bool {
        self.shared.arrivals().gives(name, route)
    }

    /// The session was not there, or went without it.
    pub fn came_back(&self, name: StanzaName, route: RouteId) {
        self.shared.arrivals().came_back(name, route);
    }

    /// Closes every link and frees the port. Parcels under way are left to the other members, which see the links
    /// close.
    pub async fn stop(&self) {
        let listening = {
            let mut tasks = self.tasks();
            tasks.dialled.clear();
            tasks.listening.take()
        };
        self.shared.registry().want([]);
        if let Some((stop, listening)) = listening {
            drop(stop);
            listening.await.expect("accepting peers does not panic");
        }
        // In order of their members: a map without order must not decide which task ends first.
        let members: BTreeSet<MemberId> = self.shared.lanes.pin().keys().copied().collect();
        for member in members {
            self.end_life(member, End::MeshStopped);
        }
        let inboxes: BTreeSet<(MemberId, Incarnation)> = self.shared.inboxes.pin().keys().copied().collect();
        for key in inboxes {
            if let Some(inbox) = self.shared.inboxes.pin().get(&key) {
                inbox.end.tell(End::MeshStopped);
            }
        }
        self.shared.registry().close_all();
    }

    /// Ends the lane to the current life of a member and what came from it.
    fn end_life(&self, member: MemberId, end: End) {
        let lanes = self.shared.lanes.pin();
        let Some(lane) = lanes.remove(&member) else { return };
        lane.end.tell(end);
        if let Some(inbox) = self.shared.inboxes.pin().get(&(member, lane.incarnation)) {
            inbox.end.tell(end);
        }
    }

    async fn tell_inbox(&self, member: MemberId, incarnation: Incarnation, fate: Fate) -> Result<(), Fate> {
        let fates = self.shared.inboxes.pin().get(&(member, incarnation)).map(|inbox| inbox.fates.clone());
        match fates {
            Some(fates) => fates.send(fate).await.map_err(|refused| refused.0),
            None => Err(fate),
        }
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, Tasks> {
        self.tasks.lock().expect("nothing panics while it holds the tasks")
    }
}

fn dialler<T: Transport>(transport: T) -> Dialler {
    Box::new(move |address| {
        let transport = transport.clone();
        async move { Ok(Box::new(transport.connect(address).await?) as BoxedStream) }.boxed()
    })
}
