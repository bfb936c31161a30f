//! From a stanza to whoever answers for it next, and what the sessions of a node share: the node's router without tasks,
//! around the same machines.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use cresset_core::admission::Door;
use cresset_core::cluster::{AccountRoutes, Event, Route, RouteView};
use cresset_core::ids::{LogIndex, MemberId, RouteId, Sequence, SessionId};
use cresset_core::jid::{BareJid, FullJid};
use cresset_core::node::{Answer, Service};
use cresset_core::routing::{
    Arrival, ChosenRoutes, Home, LocalRoutes, Missed, Parcel, RouteEnd, StanzaName, StoredAlone, claimant,
};
use cresset_core::session::Lost;
use cresset_core::time::Uptime;

use super::World;
use super::errands::{Decider, Deciders, Outgoing, Ticket};
use super::lanes::{LaneKey, ToLane};
use super::session::{Session, ToSession};

/// What the sessions of one process share.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) member: MemberId,
    pub(super) service: Service,
    pub(super) lease_until: Option<Uptime>,
    pub(super) view: View,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) local: LocalRoutes<SessionId>,
    pub(super) last_session: u64,
    /// Counts the lives of this member in this process.
    pub(super) generation: u64,
    /// Other members are reached.
    pub(super) is_connected: bool,
    /// What a client finds that opens a stream.
    pub(super) door: Door,
    pub(super) ended: BTreeMap<MemberId, LaneKey>,
    pub(super) deciders: Deciders,
    /// Sessions that were told to hold still and have not done it.
    pub(super) moving: BTreeSet<SessionId>,
    /// For whom something was stored while this node was by itself.
    pub(super) stored_alone: StoredAlone,
    /// All sessions are to look into the store once more.
    pub(super) looks_again: bool,
}

/// The routes of the cluster as sessions read them.
#[derive(Debug, Default)]
pub(super) struct View {
    routes: BTreeMap<BareJid, AccountRoutes>,
    pub(super) applied: LogIndex,
    /// Sessions that go on in the present life of the node and do not hold their JIDs again yet, with their accounts.
    pub(super) moving: BTreeMap<SessionId, BareJid>,
}

impl RouteView for View {
    fn routes_of(&self, account: &BareJid) -> Option<AccountRoutes> {
        self.routes.get(account).cloned()
    }

    fn is_moving(&self, account: &BareJid) -> bool {
        self.moving.values().any(|moving| moving == account)
    }
}

impl View {
    pub(super) fn holder(&self, jid: &FullJid) -> Option<RouteId> {
        let routes = self.routes.get(&jid.to_bare())?;
        routes.iter().find(|route| route.jid == *jid).map(|route| route.id)
    }

    /// Who is there.
    pub(super) fn accounts(&self) -> impl Iterator<Item = &BareJid> {
        self.routes.keys()
    }

    /// It is to show another log.
    pub(super) fn begin_again(&mut self, begin: LogIndex) {
        let moving = std::mem::take(&mut self.moving);
        *self = View { applied: begin, moving, ..View::default() };
    }

    fn put(&mut self, route: &Arc<Route>) {
        let others = self.routes.entry(route.jid.to_bare()).or_insert_with(|| Arc::from([]));
        let mut routes: Vec<_> = others.iter().filter(|other| other.id != route.id).cloned().collect();
        let at = routes.partition_point(|other| other.id < route.id);
        routes.insert(at, route.clone());
        *others = Arc::from(routes);
    }

    fn remove(&mut self, route: &Route) {
        let account = route.jid.to_bare();
        let Some(routes) = self.routes.get(&account) else { return };
        let rest: AccountRoutes = routes.iter().filter(|other| other.id != route.id).cloned().collect();
        if rest.is_empty() {
            self.routes.remove(&account);
        } else {
            self.routes.insert(account, rest);
        }
    }
}

impl Router {
    pub(super) fn new(member: MemberId) -> Router {
        Router {
            member,
            service: Service::Close,
            lease_until: None,
            view: View::default(),
            sessions: BTreeMap::new(),
            local: LocalRoutes::new(member),
            last_session: 0,
            generation: 0,
            is_connected: true,
            door: Door::Shut,
            ended: BTreeMap::new(),
            deciders: Deciders::default(),
            moving: BTreeSet::new(),
            stored_alone: StoredAlone::default(),
            looks_again: false,
        }
    }

    /// Whether clients may be read from, delivered to and acknowledged.
    pub(super) fn may_serve(&self, now: Uptime) -> bool {
        self.service == Service::Serve && self.lease_until.is_some_and(|until| now < until)
    }

    /// Whether nothing is on its way to a client or from one.
    pub(super) fn is_at_rest(&self) -> bool {
        self.sessions.values().all(Session::is_at_rest) && self.deciders.have_decided() && !self.looks_again
    }

    /// Who has something to do still, or waits for what does not come.
    pub(super) fn who_waits(&self) -> Option<String> {
        let session = || self.sessions.iter().find(|(_, session)| !session.sender.is_idle());
        let session = || session().map(|(id, session)| format!("session {}: {:?}", id.0, session.sender));
        let early = || self.local.early().map(|route| format!("a parcel for route {route:?}"));
        self.deciders.who_waits().or_else(session).or_else(early)
    }

    /// Whether nothing that came back is to be decided still.
    pub(super) fn has_decided(&self) -> bool {
        self.deciders.have_decided()
    }
}

impl World {
    // ---- told by the control task -----------------------------------------------------------------------------------

    /// The agreed state changed.
    pub(super) fn router_event(&mut self, host: usize, event: &Event) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let router = &mut process.router;
        match event {
            Event::RouteAdded(route) => {
                let session = router.sessions.contains_key(&route.session).then_some(route.session);
                let early = router.local.route_added(route, session);
                router.view.put(route);
                early.into_iter().for_each(|parcel| self.leave_with(host, route.session, parcel));
            }
            Event::RouteChanged(route) => router.view.put(route),
            Event::RouteRemoved { route, reason } => {
                let end = router.local.route_removed(route, *reason);
                if !matches!(end, RouteEnd::Kept) {
                    router.view.remove(route);
                }
                let RouteEnd::Told { session, is_revoked } = end else { return };
                if let Some(session) = router.sessions.get_mut(&session) {
                    session.is_revoked |= is_revoked;
                }
                self.tell(host, session, ToSession::RouteEnded { route: route.id, reason: *reason });
            }
            Event::Ended { life, expelled } => {
                let lost = router.local.life_ended(*life);
                if life.member != router.member
                    && let Some(key) = process.lane_to(life.member)
                {
                    process.router.ended.insert(life.member, LaneKey { incarnation: life.incarnation, ..key });
                }
                if let Some(life) = lost {
                    self.tell_all(host, || ToSession::Lost(Lost::with(life, *expelled)));
                }
            }
            Event::Joined(_) | Event::Activated(_) | Event::VotersChanged | Event::SeniorChanged(_) => {}
        }
    }

    /// All events up to this position were handled.
    pub(super) fn router_applied(&mut self, host: usize, index: LogIndex) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let router = &mut process.router;
        if index <= router.view.applied {
            return;
        }
        router.view.applied = index;
        let is_connected = router.is_connected;
        let missed = router.local.applied(index);
        self.view_moved(host);
        self.sessions_see(host);
        if is_connected {
            self.lanes_applied(host, index);
        }
        if is_connected {
            missed.into_iter().for_each(|Missed { parcel, index }| self.give_back(host, parcel, index));
        }
    }

    pub(super) fn router_answer(&mut self, host: usize, session: SessionId, answer: Answer) {
        self.tell(host, session, ToSession::Answer(answer));
    }

    /// How clients are treated from now on.
    pub(super) fn set_service(&mut self, host: usize, service: Service, other_host: Option<SocketAddr>) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.router.service = service;
        if service == Service::Serve {
            self.queues_soon(host);
        }
        match service {
            Service::Serve | Service::Pause => self.tell_all(host, || ToSession::Service(service)),
            Service::Close => self.tell_all(host, || ToSession::Close { other_host }),
        }
    }

    /// This life of the node is over.
    pub(super) fn life_over(&mut self, host: usize, other_host: Option<SocketAddr>) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.router.generation += 1;
        process.router.is_connected = false;
        process.router.local.life_over();
        let sessions: Vec<_> = process.router.sessions.keys().copied().collect();
        self.set_service(host, Service::Close, other_host);
        sessions.into_iter().for_each(|session| self.decides_soon(host, Decider::Sender(session)));
    }

    pub(super) fn tell_all(&mut self, host: usize, event: impl Fn() -> ToSession) {
        let Some(process) = &self.hosts[host].process else { return };
        let sessions: Vec<SessionId> = process.router.sessions.keys().copied().collect();
        for session in sessions {
            self.tell(host, session, event());
        }
    }

    /// Leaves an event for a session; answers whether it is still there to take it.
    pub(super) fn tell(&mut self, host: usize, id: SessionId, event: ToSession) -> bool {
        let Some(process) = &mut self.hosts[host].process else { return false };
        let Some(session) = process.router.sessions.get_mut(&id) else { return false };
        let may_wait = matches!(event, ToSession::Handled(_)) && !session.awaits_handled();
        session.events.push_back(event);
        if !may_wait {
            self.session_soon(host, id);
        }
        true
    }

    // ---- parcels of other members -----------------------------------------------------------------------------------

    pub(super) fn deliver(&mut self, host: usize, parcel: Parcel) {
        let Some(process) = &mut self.hosts[host].process else { return };
        match process.router.local.deliver(parcel) {
            Arrival::Here(session, parcel) => self.leave_with(host, session, parcel),
            Arrival::Early => {}
            Arrival::Missed(Missed { parcel, index }) => self.give_back(host, parcel, index),
        }
    }

    fn leave_with(&mut self, host: usize, id: SessionId, parcel: Parcel) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let router = &mut process.router;
        if let Some(session) = router.sessions.get_mut(&id) {
            session.parcels.push_back(parcel);
            self.session_soon(host, id);
        } else if let Some(Missed { parcel, index }) = router.local.turned_away(parcel) {
            self.give_back(host, parcel, index);
        }
    }

    pub(super) fn nudge(&mut self, host: usize, route: RouteId) {
        let Some(process) = &self.hosts[host].process else { return };
        if let Some(session) = process.router.local.session(route).copied() {
            self.tell(host, session, ToSession::Nudge);
        }
    }

    /// Tells one available resource that messages are stored for the account.
    pub(super) fn nudge_account(&mut self, host: usize, account: &BareJid) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.router.stored_alone.note(account);
        let routes = process.router.view.routes_of(account).unwrap_or_else(|| Arc::from([]));
        let Some(route) = claimant(&routes) else { return };
        if route.member == process.router.member {
            self.tell(host, route.session, ToSession::Nudge);
        } else if let Some(key) = process.lane_to(route.member) {
            // If the member has died, whoever binds next claims.
            drop(self.to_lane(host, key, ToLane::Nudge { route: route.id }));
        }
    }

    pub(super) fn ticket_done(&mut self, host: usize, ticket: Ticket) {
        match ticket {
            Ticket::Session { session, number } => drop(self.tell(host, session, ToSession::Handled(number))),
            Ticket::Confirm { peer, number } => self.confirm(host, peer, number),
            Ticket::Shared(shared) => {
                let last = {
                    let mut shared = shared.borrow_mut();
                    shared.0 -= 1;
                    if shared.0 == 0 { shared.1.take() } else { None }
                };
                last.into_iter().for_each(|ticket| self.ticket_done(host, ticket));
            }
            Ticket::Both(both) => {
                self.ticket_done(host, both.0);
                self.ticket_done(host, both.1);
            }
        }
    }

    // ---- one stanza -------------------------------------------------------------------------------------------------

    /// Hands a copy to each of these; gives back what is to be decided about again.
    pub(super) fn put_on(&mut self, host: usize, chosen: &ChosenRoutes, outgoing: Outgoing) -> Option<Outgoing> {
        let copies = outgoing.copies(chosen.len(), || self.next_name(host));
        let missed = chosen.iter().zip(copies).filter_map(|(route, copy)| self.put(host, route, copy)).collect();
        let (again, of_others) = Outgoing::left_of(chosen.len(), missed);
        of_others.for_each(|ticket| self.ticket_done(host, ticket));
        again
    }

    /// A name for what several sessions are given at once.
    fn next_name(&mut self, host: usize) -> Option<StanzaName> {
        let mesh = &mut self.hosts[host].process.as_mut()?.mesh;
        mesh.last_name += 1;
        Some(StanzaName { home: mesh.peer.boot, owner: mesh.peer.boot, number: Sequence(mesh.last_name) })
    }

    /// Hands the stanza to the session or to the lane of its member; gives it back if neither is there.
    fn put(&mut self, host: usize, route: &Route, outgoing: Outgoing) -> Option<Outgoing> {
        let process = self.hosts[host].process.as_mut()?;
        if route.member != process.router.member {
            let Some(key) = process.lane_to(route.member) else { return Some(outgoing) };
            let Outgoing { stanza, ticket, attempts, name, turn } = outgoing;
            let request = ToLane::Parcel { origin: ticket, route: route.id, stanza, attempts, name, turn };
            return match self.to_lane(host, key, request) {
                Err(ToLane::Parcel { origin, stanza, .. }) => {
                    Some(Outgoing { stanza, ticket: origin, attempts, name, turn })
                }
                Ok(()) | Err(ToLane::Nudge { .. } | ToLane::Pass { .. }) => None,
            };
        }
        let Some(session) = process.router.sessions.get_mut(&route.session) else { return Some(outgoing) };
        let Outgoing { stanza, ticket, name, turn, .. } = outgoing;
        if name.is_none_or(|name| process.mesh.arrivals.gives(name, route.id)) {
            let home = name.map_or(Home::Here { turn }, |name| Home::Named { name, turn });
            session.parcels.push_back(Parcel { stanza, route: route.id, home });
        }
        self.session_soon(host, route.session);
        ticket.into_iter().for_each(|ticket| self.ticket_done(host, ticket));
        None
    }
}
