//! What all connections of a node share: who is where, who is here, and the ways to the other members.
//!
//! ```text
//!              ┌──────────────────────── Router ────────────────────────┐
//! connection ──│ route: View ─▶ decide ─▶ SessionHandle │ lane │ store  │──▶ links ──▶ other member
//!              │                              ▲                         │
//! links ───────│ DataService: deliver ────────┘  redecide ─▶ route      │
//!              │                                                        │
//! control ─────│ handle_event, applied, answer, set_service, life_over  │──Request──▶ control
//!              └────────────────────────────────────────────────────────┘
//! ```
//!
//! A connection's own task reads the view and hands stanzas on; it passes through no other task and waits for no lock
//! that is held over a wait. The control plane's task is the only one that changes the view, the lanes and the gate,
//! and it is told of what sessions want by [`Request`]s. What crosses threads is listed at the [top of the crate](crate).
//!
//! It decides nothing: that is [`cresset_core::routing`] and [`cresset_core::node`].

mod again;
mod gate;
mod mailbox;
mod moving;
mod receive;
mod route;
mod sessions;
#[cfg(test)]
mod tests;
mod ticket;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cresset_core::admission::Door;
use cresset_core::cluster::{Event, ExpelReason, Removal, Route};
use cresset_core::config::properties::OfflineQuota;
use cresset_core::ids::{Life, LogIndex, MemberId, SessionId};
use cresset_core::jid::{BareJid, DomainPart};
use cresset_core::node::{Answer, Request, Service};
use cresset_core::planted;
use cresset_core::routing::{LocalRoutes, RouteEnd, StoredAlone};
use cresset_core::session::{Lost, Patience, ResumptionId, StreamErrorCondition};
use cresset_core::time::{UnixMillis, Uptime};
use tokio::sync::{Notify, mpsc, watch};

use crate::accounts::OfflineStore;
use crate::clock::Clock;
use crate::links::{DataLane, Mesh};
use crate::runtime::Workers;
use crate::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use crate::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Table};

pub use again::Pass;
pub use gate::Gate;
pub use mailbox::{SessionHandle, ToSession};
pub(crate) use route::{Outgoing, UnderWay};
pub(crate) use sessions::Resumable;
pub use ticket::Ticket;
pub use view::View;

use mailbox::AccountQueue;
use view::FixedState;

/// Requests of sessions that wait for the control plane. Beyond it a session waits, and is not read from meanwhile.
pub const REQUESTS_MAX: usize = 65_536;

/// What all connections of a node share.
pub struct Router {
    domain: DomainPart,
    member: MemberId,
    offline: Arc<dyn OfflineStore>,
    time: Arc<dyn Time>,
    /// Where what came back is decided again.
    workers: Workers,
    control: mpsc::Sender<Request>,
    gate: Gate,
    /// Where clients are sent when the node closes.
    other_host: Mutex<Option<Arc<str>>>,
    view: View,
    /// The view has moved on.
    moved: Notify,
    sessions: Table<SessionId, Arc<SessionHandle>, FixedState>,
    /// Which of them holds which route. Nobody sends, waits or wakes under this lock, but for the control plane's task, which
    /// leaves with a session what came before its route.
    local: RwLock<LocalRoutes<Arc<SessionHandle>>>,
    last_session: AtomicU64,
    /// Counts the names that this process gave.
    last_name: AtomicU64,
    /// Counts what members are asked in order to be heard.
    last_question: AtomicU32,
    /// The session that was last sent away by [`Router::send_some_away`].
    sent_away: AtomicU64,
    /// Wakes those who wait for the end of a life of this member. Which one it is says the gate.
    lives: watch::Sender<u64>,
    resumable: Mutex<BTreeMap<ResumptionId, Resumable>>,
    /// What waits for the accounts that have sessions here, and how many they have. Not on the way of any stanza.
    queues: Mutex<BTreeMap<BareJid, (usize, Arc<AccountQueue>)>>,
    /// Written once for each life of this node.
    mesh: RwLock<Option<Mesh<Router>>>,
    /// The lanes to lives of members that are over: what was under way on them may still be on its way back.
    ended: Mutex<BTreeMap<Life, DataLane<Router>>>,
    /// What is decided again.
    retry: Mutex<BTreeMap<u64, again::Entrance>>,
    /// How many stand there.
    undecided: AtomicUsize,
    last_turn: AtomicU64,
    /// Whether the view is one to decide by: while the node does not serve it may be old.
    serves: watch::Sender<bool>,
    myself: Weak<Router>,
    /// For whom something was stored while this node was by itself; absent while it is not.
    stored_alone: Mutex<StoredAlone>,
    /// How much waits for one account; beyond it messages are bounced.
    offline_quota: Mutex<OfflineQuota>,
    /// What clients find that come; absent until somebody says so, and whether that is the last word.
    door: Mutex<(Option<Door>, bool)>,
    /// After how many seconds of silence a client is asked whether it is there; never if it is zero.
    ask_after: AtomicU64,
    /// After how many more it is given up.
    give_up_after: AtomicU64,
}

/// A clock as the router keeps it.
trait Time: Send + Sync {
    fn now(&self) -> Uptime;
    fn wall(&self) -> UnixMillis;
}

impl<C: Clock> Time for C {
    fn now(&self) -> Uptime {
        Clock::now(self)
    }

    fn wall(&self) -> UnixMillis {
        Clock::wall(self)
    }
}

impl Router {
    /// A router that serves nobody yet, with the end at which the control plane takes the requests of the sessions.
    pub fn new(
        domain: DomainPart,
        member: MemberId,
        offline: Arc<dyn OfflineStore>,
        clock: impl Clock,
        workers: Workers,
    ) -> (Arc<Router>, mpsc::Receiver<Request>) {
        let (control, requests) = mpsc::channel(REQUESTS_MAX);
        let patience = Patience::default();
        let router = Arc::new_cyclic(|myself| Router {
            domain,
            member,
            offline,
            time: Arc::new(clock),
            workers,
            control,
            gate: Gate::default(),
            other_host: Mutex::default(),
            view: View::default(),
            moved: Notify::new(),
            sessions: Table::default(),
            local: RwLock::new(LocalRoutes::new(member)),
            last_session: AtomicU64::new(0),
            last_name: AtomicU64::new(0),
            last_question: AtomicU32::new(0),
            sent_away: AtomicU64::new(0),
            lives: watch::Sender::new(0),
            resumable: Mutex::default(),
            queues: Mutex::default(),
            mesh: RwLock::default(),
            ended: Mutex::default(),
            retry: Mutex::default(),
            undecided: AtomicUsize::new(0),
            last_turn: AtomicU64::new(0),
            serves: watch::Sender::new(false),
            myself: myself.clone(),
            stored_alone: Mutex::default(),
            offline_quota: Mutex::default(),
            door: Mutex::default(),
            ask_after: AtomicU64::new(patience.ask_after.map_or(0, |time| time.as_secs())),
            give_up_after: AtomicU64::new(patience.give_up_after.as_secs()),
        });
        (router, requests)
    }

    /// The routes as this node's connections read them.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Whether this node may serve.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The time of the node.
    pub fn now(&self) -> Uptime {
        self.time.now()
    }

    /// The time that people are told.
    pub fn wall(&self) -> UnixMillis {
        self.time.wall()
    }

    /// Bounds from here on how much is kept for one account. What is kept already stays.
    pub(crate) fn set_offline_quota(&self, quota: OfflineQuota) {
        *lock(&self.offline_quota) = quota;
    }

    /// This is what clients find that come from here on.
    pub(crate) fn set_door(&self, door: Door) {
        let mut known = lock(&self.door);
        if !known.1 {
            known.0 = Some(door);
        }
    }

    /// The node is about to stop: clients that come from here on are sent elsewhere, if there is anywhere else.
    pub(crate) fn shut_door(&self, elsewhere: Option<SocketAddr>) {
        *lock(&self.door) = (Some(elsewhere.map_or(Door::Shut, Door::Elsewhere)), true);
    }

    /// What a client finds that comes at this moment.
    pub(crate) fn door(&self) -> Door {
        let by_service = || match self.gate.service() {
            Service::Serve | Service::Pause => Door::Open,
            Service::Close => Door::Shut,
        };
        lock(&self.door).0.unwrap_or_else(by_service)
    }

    /// Clients may be silent for so long from here on. A session learns it when something happens to it.
    pub(crate) fn set_patience(&self, patience: Patience) {
        self.ask_after.store(patience.ask_after.map_or(0, |time| time.as_secs()), Ordering::Relaxed);
        self.give_up_after.store(patience.give_up_after.as_secs(), Ordering::Relaxed);
    }

    pub(crate) fn patience(&self) -> Patience {
        let seconds = |of: &AtomicU64| Duration::from_secs(of.load(Ordering::Relaxed));
        let ask_after = Some(seconds(&self.ask_after)).filter(|time| !time.is_zero());
        Patience { ask_after, give_up_after: seconds(&self.give_up_after) }
    }

    pub(crate) fn control(&self) -> &mpsc::Sender<Request> {
        &self.control
    }

    /// From here on other members are reached by this mesh, which takes its parcels to this router. Absent between two
    /// lives of the node.
    pub fn connect(&self, mesh: Option<Mesh<Router>>) {
        *self.mesh.write().unwrap_or_else(PoisonError::into_inner) = mesh;
    }

    fn mesh(&self) -> Option<Mesh<Router>> {
        self.mesh.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lane(&self, life: Life) -> Option<DataLane<Router>> {
        self.mesh()?.lane(life)
    }

    /// The agreed state changed. For the control plane's task only, event by event, in the order of the log, and before
    /// the mesh is told that a life is over or another one current.
    pub fn handle_event(&self, event: &Event) {
        match event {
            Event::RouteAdded(route) => self.route_added(route),
            Event::RouteChanged(route) => self.view.put(route),
            Event::RouteRemoved { route, reason } => self.route_removed(route, *reason),
            Event::Ended { life, expelled } => self.life_ended(*life, *expelled),
            Event::Joined(_) | Event::Activated(_) | Event::VotersChanged | Event::SeniorChanged(_) => {}
        }
    }

    /// All events up to this position of the log were handled.
    pub fn applied(&self, index: LogIndex) {
        if index <= self.view.applied() {
            return;
        }
        self.view.set_applied(index);
        self.moved.notify_waiters();
        if let Some(mesh) = self.mesh() {
            mesh.applied(index);
        }
        let missed = self.local_mut().applied(index);
        self.give_back(missed);
    }

    /// The control plane answers a session.
    pub fn answer(&self, session: SessionId, answer: Answer) {
        if let Some(session) = self.session(session) {
            // A session that waits for an answer does not close its mailbox before it came.
            session.tell(ToSession::Answer(answer));
        }
    }

    /// How clients are treated from now on. When they are sent away, `other_host` is where they may go.
    pub fn set_service(&self, service: Service, other_host: Option<&str>) {
        *lock(&self.other_host) = other_host.map(Arc::from);
        self.gate.set_service(service);
        // The other half is in `enter`.
        fence(Ordering::SeqCst);
        self.serves.send_replace(service == Service::Serve);
        for session in self.sessions_in_order() {
            session.tell(self.service_event(service));
        }
    }

    /// The node is about to leave in good order: its clients are sent away while what they are owed is still delivered or
    /// handed back.
    pub fn send_away(&self, other_host: Option<&str>) {
        *lock(&self.other_host) = other_host.map(Arc::from);
        for session in self.sessions_in_order() {
            session.tell(self.service_event(Service::Close));
        }
    }

    /// Sends some clients away, one after the other, and begins again with the first after the last. Whoever does not
    /// go at once does not keep the others.
    pub fn send_some_away(&self, sessions: usize, other_host: &str) {
        let all = self.sessions_in_order();
        let last = SessionId(self.sent_away.load(Ordering::Relaxed));
        let next = all.partition_point(|session| session.id <= last);
        let next = if next == all.len() { 0 } else { next };
        let other_host: Arc<str> = other_host.into();
        for session in all[next..].iter().take(sessions) {
            self.sent_away.store(session.id.0, Ordering::Relaxed);
            session.tell(ToSession::Close {
                condition: StreamErrorCondition::SeeOtherHost,
                other_host: Some(other_host.clone()),
            });
        }
    }

    /// The lease lasts until then. Told whenever it changes, before anything else that follows from it.
    pub fn set_lease(&self, until: Option<Uptime>) {
        self.gate.set_lease(until);
    }

    /// This life of the node is over: its clients are sent away. What other members had handed to it they decide again;
    /// what it had for its own clients goes where they are next.
    pub fn life_over(&self, other_host: Option<&str>) {
        self.next_generation();
        self.connect(None);
        self.local_mut().life_over();
        self.set_service(Service::Close, other_host);
    }

    fn route_added(&self, route: &Arc<Route>) {
        if route.member == self.member
            && let Some(session) = self.session(route.session)
        {
            self.counts_for(&session, route.jid.to_bare());
            self.publish(route, session);
        }
        if planted!(ViewFollowsLater) && route.member != self.member {
            self.follow_later(route.clone());
            return;
        }
        self.view.put(route);
    }

    /// The planted bug.
    fn follow_later(&self, route: Arc<Route>) {
        let router = self.myself.clone();
        crate::runtime::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            if let Some(router) = router.upgrade() {
                router.view.put(&route);
            }
        });
    }

    fn route_removed(&self, route: &Arc<Route>, reason: Removal) {
        let end = self.local_mut().route_removed(route, reason);
        match end {
            RouteEnd::Kept => {}
            RouteEnd::Gone => self.view.remove(route),
            RouteEnd::Told { session, is_revoked } => {
                self.view.remove(route);
                if is_revoked {
                    session.revoke();
                }
                session.tell(ToSession::RouteEnded { route: route.id, reason });
            }
        }
    }

    fn life_ended(&self, life: Life, expelled: Option<ExpelReason>) {
        let lost = self.local_mut().life_ended(life);
        if life.member != self.member
            && let Some(lane) = self.mesh().and_then(|mesh| mesh.lane(life))
        {
            let mut ended = lock(&self.ended);
            ended.retain(|_, lane| !lane.is_closed());
            ended.insert(life, lane);
        }
        if let Some(lost) = lost {
            for session in self.sessions_in_order() {
                session.tell(ToSession::Lost(Lost::with(lost, expelled)));
            }
        }
    }

    fn service_event(&self, service: Service) -> ToSession {
        match service {
            Service::Serve | Service::Pause => ToSession::Service(service),
            Service::Close => {
                let other_host = lock(&self.other_host).clone();
                ToSession::Close { condition: StreamErrorCondition::of_sent_away(other_host.is_some()), other_host }
            }
        }
    }

    fn local(&self) -> RwLockReadGuard<'_, LocalRoutes<Arc<SessionHandle>>> {
        self.local.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn local_mut(&self) -> RwLockWriteGuard<'_, LocalRoutes<Arc<SessionHandle>>> {
        self.local.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions_in_order(&self) -> Vec<Arc<SessionHandle>> {
        let mut sessions: Vec<_> = self.sessions.pin().values().cloned().collect();
        sessions.sort_unstable_by_key(|session| session.id);
        sessions
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("member", &self.member).field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// Takes a lock. What runs under one here does not panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
