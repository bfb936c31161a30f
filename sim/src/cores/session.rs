//! The task of one client: the node's session, driven as its connection drives it, on a transport that is a queue.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cresset_core::admission::Door;
use cresset_core::cluster::{Removal, RouteView};
use cresset_core::ids::{RouteId, Sequence, SessionId};
use cresset_core::jid::{BareJid, FullJid, NodePart};
use cresset_core::node::{Answer, Request, Service};
use cresset_core::routing::{Home, Parcel, Sender, comes_to};
use cresset_core::session::{
    Leaving, Lost, Order, Session as Machine, SessionSettings, StreamErrorCondition, TlsPolicy,
};
use cresset_core::stanza::Kind;
use cresset_core::time::Uptime;
use cresset_net::accounts::{AccountStore, Claimant, OfflineStore, StoreFuture, credentials_answer, unavailable};
use futures_util::FutureExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::errands::{PassId, Ticket};
use super::user::ToClient;
use super::{Part, World};
use crate::parts::Tap;

/// How soon a session looks again whether the node may serve, as a connection does.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// An event for one session.
#[derive(Debug)]
pub(super) enum ToSession {
    Answer(Answer),
    Handled(Sequence),
    Lost(Lost),
    Nudge,
    Service(Service),
    Hold,
    Moves { ended: Option<RouteId> },
    RouteEnded { route: RouteId, reason: Removal },
    Close { other_host: Option<SocketAddr> },
    Pass(PassId),
}

/// What comes from a client.
#[derive(Debug)]
pub(super) enum FromClient {
    Says(Bytes),
    /// Its connection is gone.
    Lost,
}

/// One session.
pub(super) struct Session {
    pub(super) generation: u64,
    pub(super) is_revoked: bool,
    pub(super) events: VecDeque<ToSession>,
    pub(super) parcels: VecDeque<Parcel>,
    pub(super) sender: Sender<Ticket>,
    pub(super) said: VecDeque<FromClient>,
    client: Client,
    machine: Box<Machine>,
    tap: Box<Tap>,
    outbound: VecDeque<Bytes>,
    is_open: bool,
    is_over: bool,
    is_released: bool,
    /// Stored messages that have arrived, and the route that had claimed each.
    arrived: Vec<(RouteId, i64)>,
    returned: Vec<Parcel>,
    passes: Vec<PassId>,
    is_due: bool,
    /// When the next turn is that time alone brings.
    wakes_at: Option<Uptime>,
    /// When it looks again whether it can ask for its route.
    asks_at: Option<Uptime>,
}

/// Which connection of which client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Client {
    pub(super) user: usize,
    pub(super) connection: u32,
}

impl World {
    /// What all sessions of a world have in common.
    pub(super) fn session_settings(domain: &cresset_core::jid::DomainPart) -> Arc<SessionSettings> {
        let settings = SessionSettings::new(domain.clone(), [7; 32], "simulated");
        Arc::new(SessionSettings { tls: TlsPolicy::Disabled, plain_without_tls: true, ..settings })
    }

    /// A client has connected to a node.
    pub(super) fn enter_session(&mut self, host: usize, client: Client, says: Bytes) -> Option<SessionId> {
        let settings = self.session_settings.clone();
        let (now, history, name) = (self.now, self.history.clone(), self.hosts[host].name.as_str().into());
        let process = self.hosts[host].process.as_mut()?;
        let uptime = process.uptime(now);
        let random = StdRng::from_rng(&mut process.random);
        let router = &mut process.router;
        router.last_session += 1;
        let id = SessionId(router.last_session);
        let session = Session {
            generation: router.generation,
            is_revoked: false,
            events: VecDeque::new(),
            parcels: VecDeque::new(),
            sender: Sender::new(router.generation),
            said: VecDeque::from([FromClient::Says(says)]),
            client,
            machine: Box::new(Machine::new(uptime, settings, random)),
            tap: Box::new(Tap::new(name, client.address(), history, Default::default())),
            outbound: VecDeque::new(),
            is_open: true,
            is_over: false,
            is_released: false,
            arrived: Vec::new(),
            returned: Vec::new(),
            passes: Vec::new(),
            is_due: false,
            wakes_at: None,
            asks_at: None,
        };
        router.sessions.insert(id, session);
        match router.service {
            Service::Close => self.session_soon(host, id),
            service => drop(self.tell(host, id, ToSession::Service(service))),
        }
        Some(id)
    }

    pub(super) fn session_soon(&mut self, host: usize, id: SessionId) {
        if let Some(session) = self.session(host, id)
            && !std::mem::replace(&mut session.is_due, true)
        {
            self.turn_soon(host, Part::Session(id));
        }
    }

    pub(super) fn session(&mut self, host: usize, id: SessionId) -> Option<&mut Session> {
        self.hosts[host].process.as_mut()?.router.sessions.get_mut(&id)
    }

    /// The task of a session.
    pub(super) fn session_turn(&mut self, host: usize, id: SessionId) {
        let now = self.now;
        let Some(process) = &mut self.hosts[host].process else { return };
        let uptime = process.uptime(now);
        let Some(session) = process.router.sessions.get_mut(&id) else { return };
        session.is_due = false;
        while !self.session_is_over(host, id) && self.session_step(host, id, uptime) {}
        self.holds_still(host, id);
        if self.session_is_over(host, id) {
            self.farewell(host, id);
        } else {
            self.let_pass(host, id);
            self.wake_session(host, id, uptime);
        }
    }

    fn session_is_over(&mut self, host: usize, id: SessionId) -> bool {
        self.session(host, id).is_none_or(|session| session.is_over)
    }

    /// Answers whether something happened.
    fn session_step(&mut self, host: usize, id: SessionId, uptime: Uptime) -> bool {
        let Some(process) = &mut self.hosts[host].process else { return false };
        let (serves, may_serve) = (process.router.service == Service::Serve, process.router.may_serve(uptime));
        let door = process.router.door;
        let Some(session) = process.router.sessions.get_mut(&id) else { return false };
        let machine = &mut session.machine;
        machine.set_gate(serves, may_serve && !session.is_revoked);
        let is_turned_away = machine.awaits_header() && door != Door::Open;
        let may_read = session.sender.has_room() && (may_serve || is_turned_away);
        if !may_read {
            machine.handle_unread(uptime);
        }
        let mut happened = false;
        if serves && session.asks_at.is_some_and(|at| at <= uptime) {
            session.asks_at = None;
            machine.ask_again();
            happened = true;
        }
        if machine.poll_timeout().is_some_and(|timeout| timeout <= uptime) {
            machine.handle_timeout(uptime);
            happened = true;
        }
        if session.take_mailbox(uptime) || happened {
            happened = true;
            self.obey(host, id, uptime);
        }
        let Some(session) = self.session(host, id).filter(|session| !session.is_over) else { return true };
        if may_serve && !session.is_revoked && !session.outbound.is_empty() {
            self.write(host, id);
            let Some(session) = self.session(host, id) else { return true };
            session.machine.handle_written(uptime);
            happened = true;
        }
        let Some(session) = self.session(host, id) else { return true };
        if may_read && session.machine.wants_bytes() && session.is_open {
            match session.said.pop_front() {
                Some(FromClient::Says(bytes)) => {
                    if session.machine.awaits_header() {
                        session.machine.set_door(door);
                    }
                    session.machine.handle_bytes(uptime, &bytes);
                    happened = true;
                }
                Some(FromClient::Lost) => {
                    session.lose_transport(uptime);
                    happened = true;
                }
                None => {}
            }
        } else if may_read && matches!(session.said.front(), Some(FromClient::Lost)) {
            // It is read from, although what it says is not wanted yet.
            session.said.clear();
            session.lose_transport(uptime);
            happened = true;
        }
        self.obey(host, id, uptime);
        happened
    }

    fn wake_session(&mut self, host: usize, id: SessionId, uptime: Uptime) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let is_shut = process.router.service == Service::Serve && !process.router.may_serve(uptime);
        let Some(session) = process.router.sessions.get_mut(&id) else { return };
        let wants = !session.outbound.is_empty() || !session.said.is_empty();
        let has_to_ask = session.machine.has_to_ask() && process.router.service == Service::Serve;
        let look_again = (has_to_ask || (wants && is_shut && !session.is_revoked)).then(|| uptime + LOOK_AGAIN);
        session.asks_at = look_again.filter(|_| has_to_ask);
        let Some(due) = [session.machine.poll_timeout(), look_again].into_iter().flatten().min() else { return };
        if session.wakes_at.is_none_or(|at| due < at || at <= uptime) {
            session.wakes_at = Some(due);
            self.wake_at(host, due, Part::Session(id));
        }
    }

    /// Lets those past who wait until this session owes nobody anything.
    fn let_pass(&mut self, host: usize, id: SessionId) {
        let Some(session) = self.session(host, id) else { return };
        if session.machine.owes() || !session.returned.is_empty() || !session.parcels.is_empty() {
            return;
        }
        let passes = std::mem::take(&mut session.passes);
        passes.into_iter().for_each(|pass| self.passed(host, pass));
    }

    /// Carries out what the session has ordered, in order.
    fn obey(&mut self, host: usize, id: SessionId, uptime: Uptime) {
        while let Some(order) = self.session(host, id).and_then(|session| session.machine.poll_output()) {
            self.carry_out_order(host, id, uptime, order);
        }
        self.forget_arrived(host, id);
    }

    /// The store forgets what has arrived.
    fn forget_arrived(&mut self, host: usize, id: SessionId) {
        let Some(session) = self.session(host, id) else { return };
        let Some(name) = session.account_name() else { return };
        for (route, key) in std::mem::take(&mut session.arrived) {
            at_once(self.accounts.forget(name.clone(), vec![key], route)).expect("it is there");
        }
    }

    fn carry_out_order(&mut self, host: usize, id: SessionId, uptime: Uptime, order: Order) {
        let Some(session) = self.session(host, id) else { return };
        match order {
            Order::Send(bytes) => {
                if session.is_open {
                    session.outbound.push_back(bytes);
                }
            }
            Order::Close => self.close_transport(host, id),
            Order::Discard { is_negotiating } => {
                let had_something = !std::mem::take(&mut session.outbound).is_empty();
                if had_something && is_negotiating {
                    session.lose_transport(uptime);
                    self.close_transport(host, id);
                }
            }
            Order::LookUpCredentials { account, draw } => {
                let name = account.node().expect("an account has a name").to_owned();
                let answer = credentials_answer(at_once(self.accounts.credentials(name, draw)));
                if let Some(session) = self.session(host, id) {
                    session.machine.handle_credentials(uptime, answer);
                }
            }
            Order::DeriveKeys(derivation) => session.machine.handle_derived(uptime, derivation.run()),
            Order::ReportLogin(_) => {}
            Order::Bind { jid } => {
                self.request(host, Request::Bind { session: id, jid });
            }
            Order::Holds { route } => session.sender.set_own(route),
            Order::Announce { presence, revision } => {
                if let Some(route) = session.machine.held_route() {
                    self.request(host, Request::Announce { session: id, route, presence, revision });
                }
            }
            Order::Route { number, stanza } => {
                if matches!(stanza.kind, Kind::Message(_)) {
                    self.look_up(host, &stanza);
                }
                let ticket = number.map(|number| Ticket::Session { session: id, number });
                self.session_says(host, id, stanza, ticket);
            }
            Order::Settle(Home::Offline { key, claimant }) => session.arrived.push((claimant, key)),
            Order::Settle(home) => self.settle_of(host, id, home),
            Order::Return(parcel) => session.returned.push(*parcel),
            Order::ClaimOffline { route } => self.claim(host, id, route, uptime),
            Order::LookForStored { jid } => {
                let found = at_once(self.accounts.is_stored_for(name_of(&jid), jid));
                if let Some(session) = self.session(host, id) {
                    session.machine.handle_stored(uptime, found.map_err(|error| unavailable(&error)));
                }
            }
            Order::End => {
                session.is_over = true;
                self.has_moved(host, id);
            }
            Order::GoesOn => {
                let Some(process) = &mut self.hosts[host].process else { return };
                let generation = process.router.generation;
                if let Some(session) = process.router.sessions.get_mut(&id) {
                    session.generation = generation;
                    session.sender.goes_on_in(generation);
                }
                self.has_moved(host, id);
            }
            Order::StartTls
            | Order::Roster(_)
            | Order::PushRoster(_)
            | Order::Resumable { .. }
            | Order::Resume { .. } => unreachable!("neither do clients ask for that here nor does a node: {order:?}"),
        }
    }

    fn claim(&mut self, host: usize, id: SessionId, route: RouteId, uptime: Uptime) {
        // What has arrived must not be claimed again.
        self.forget_arrived(host, id);
        let Some(process) = &mut self.hosts[host].process else { return };
        let view = &process.router.view;
        let Some(session) = process.router.sessions.get_mut(&id) else { return };
        let Some(account) = session.machine.account() else { return };
        let name = account.node().expect("only an account binds").to_owned();
        let routes = view.routes_of(account).unwrap_or_else(|| Arc::from([]));
        let claimant = Claimant { route, live: routes.iter().map(|route| route.id).collect(), as_of: view.applied };
        let claimed = at_once(self.accounts.claim(name, claimant)).map_err(|error| unavailable(&error));
        session.machine.handle_offline(uptime, claimed);
    }

    fn settle_of(&mut self, host: usize, id: SessionId, home: Home) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let router = &process.router;
        let is_of_this_life = router.sessions.get(&id).is_some_and(|session| session.generation == router.generation);
        if is_of_this_life && router.is_connected {
            self.settle(host, home);
        }
    }

    /// The client reads what waits for it.
    fn write(&mut self, host: usize, id: SessionId) {
        let Some(session) = self.session(host, id) else { return };
        let mut heard = Vec::new();
        for bytes in std::mem::take(&mut session.outbound) {
            session.tap.wrote(&bytes, |element| heard.push(element));
        }
        let client = session.client;
        self.to_client(host, client, ToClient::Heard(heard));
    }

    /// Says what is left and closes the transport.
    fn close_transport(&mut self, host: usize, id: SessionId) {
        let Some(session) = self.session(host, id) else { return };
        if !std::mem::replace(&mut session.is_open, false) {
            return;
        }
        let client = session.client;
        self.write(host, id);
        self.to_client(host, client, ToClient::Closed);
    }

    /// What a session does when it is over, in its order.
    fn farewell(&mut self, host: usize, id: SessionId) {
        let Some(process) = &self.hosts[host].process else { return };
        let uptime = process.uptime(self.now);
        self.hear_at_the_end(host, id, uptime);
        self.give_back_early(host, id);
        if !self.end_sender(host, id) {
            let retreat = self.session(host, id).and_then(|session| session.machine.retreats(id));
            return retreat.into_iter().for_each(|request| self.request(host, request));
        }
        loop {
            let Some(session) = self.session(host, id) else { return };
            if !session.is_released {
                match session.machine.leaves() {
                    Leaving::Done(_) => session.is_released = true,
                    Leaving::Waits => return self.give_back_early(host, id),
                    Leaving::Unbind(route) => {
                        self.request(host, Request::Unbind { route });
                    }
                }
                continue;
            }
            let returned = std::mem::take(&mut session.returned);
            returned.into_iter().for_each(|parcel| self.take_back(host, id, parcel));
            let Some(session) = self.session(host, id) else { return };
            let passes = std::mem::take(&mut session.passes);
            passes.into_iter().for_each(|pass| self.passed(host, pass));
            let Some(session) = self.session(host, id) else { return };
            if session.events.is_empty() && session.parcels.is_empty() {
                return self.leave(host, id);
            }
            self.hear_at_the_end(host, id, uptime);
        }
    }

    fn hear_at_the_end(&mut self, host: usize, id: SessionId, uptime: Uptime) {
        let Some(session) = self.session(host, id) else { return };
        session.returned.extend(session.parcels.drain(..));
        for event in std::mem::take(&mut session.events) {
            session.hear(uptime, event);
        }
    }

    /// What does not come to the session any more, by the view, goes back before its route is gone.
    fn give_back_early(&mut self, host: usize, id: SessionId) {
        let domain = self.domain.clone();
        let Some(process) = &mut self.hosts[host].process else { return };
        let view = &process.router.view;
        let Some(session) = process.router.sessions.get_mut(&id) else { return };
        let Some(route) = session.machine.gives_back_early() else { return };
        let comes = |parcel: &mut Parcel| !comes_to(&domain, view, route, &parcel.stanza);
        let returned: Vec<_> = session.returned.extract_if(.., comes).collect();
        returned.into_iter().for_each(|parcel| self.take_back(host, id, parcel));
    }

    /// The view has moved on: sessions that wait for the end of their routes look whether that concerns them.
    pub(super) fn sessions_see(&mut self, host: usize) {
        let Some(process) = &self.hosts[host].process else { return };
        let waits = |session: &Session| session.is_over && !session.is_released && !session.returned.is_empty();
        let sessions = process.router.sessions.iter().filter(|(_, session)| waits(session));
        let sessions: Vec<SessionId> = sessions.map(|(id, _)| *id).collect();
        sessions.into_iter().for_each(|id| self.session_soon(host, id));
    }

    /// The mailbox is found empty and is closed.
    fn leave(&mut self, host: usize, id: SessionId) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(mut session) = process.router.sessions.remove(&id) else { return };
        if let (Leaving::Done(Some(route)), Some(account)) = (session.machine.leaves(), session.machine.account()) {
            process.router.local.session_over(route);
            self.nudge_account(host, &account.clone());
        }
        self.leave_if_empty(host);
    }
}

impl Session {
    /// Whether nothing waits for the client or comes from it.
    pub(super) fn is_at_rest(&self) -> bool {
        let has_nothing = self.said.is_empty() && self.outbound.is_empty() && self.parcels.is_empty();
        has_nothing && !self.is_over && !self.machine.owes()
    }

    /// Whose session it is, unless it is over.
    pub(super) fn account_that_goes_on(&self) -> Option<&BareJid> {
        self.machine.account().filter(|_| !self.is_over)
    }

    /// Whether the session is to be woken for what is taken care of.
    pub(super) fn awaits_handled(&self) -> bool {
        self.is_over || self.machine.awaits_handled()
    }

    /// Takes what is in the mailbox; answers whether there was something.
    fn take_mailbox(&mut self, uptime: Uptime) -> bool {
        let mut events = std::mem::take(&mut self.events);
        if self.machine.held_route().is_none() && !self.parcels.is_empty() {
            // An error in the place of what is taken care of may be among them.
            (self.events, events) = events.into_iter().partition(|event| matches!(event, ToSession::Handled(_)));
        }
        // What was stored may have been said before what comes with the nudge, and is not to be overtaken by it.
        if events.iter().any(|event| matches!(event, ToSession::Nudge)) {
            self.machine.handle_nudge(uptime);
        }
        let mut happened = !events.is_empty();
        if self.machine.held_route().is_some() {
            happened |= !self.parcels.is_empty();
            self.parcels.drain(..).for_each(|parcel| self.machine.handle_parcel(uptime, parcel));
        }
        events.into_iter().for_each(|event| self.hear(uptime, event));
        happened
    }

    fn hear(&mut self, uptime: Uptime, event: ToSession) {
        match event {
            ToSession::Answer(answer) => self.machine.handle_answer(uptime, answer),
            ToSession::Handled(number) => self.machine.handle_handled(uptime, number),
            ToSession::Lost(lost) => self.machine.handle_members_lost(uptime, lost),
            // It was heeded before any stanza.
            ToSession::Nudge => {}
            ToSession::Service(service) => self.machine.handle_service(uptime, service),
            ToSession::Hold => self.machine.handle_hold(uptime),
            ToSession::Moves { ended } => self.machine.handle_moves(uptime, ended),
            ToSession::RouteEnded { route, reason } => self.machine.handle_route_ended(uptime, route, reason),
            ToSession::Close { other_host } => {
                let condition = StreamErrorCondition::of_sent_away(other_host.is_some());
                self.machine.handle_close(uptime, condition, other_host.map(|host| host.to_string()));
            }
            ToSession::Pass(pass) => self.passes.push(pass),
        }
    }

    fn lose_transport(&mut self, uptime: Uptime) {
        self.outbound.clear();
        self.is_open = false;
        self.machine.handle_lost(uptime);
    }

    fn account_name(&self) -> Option<NodePart> {
        self.machine.account().and_then(|account| account.node()).map(|name| name.to_owned())
    }
}

fn name_of(jid: &FullJid) -> NodePart {
    jid.to_bare().node().expect("only an account binds").to_owned()
}

/// What the store of a world says, which does so at once.
fn at_once<T>(answer: StoreFuture<'_, T>) -> Result<T, cresset_net::accounts::StoreError> {
    answer.now_or_never().expect("the store answers at once")
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("machine", &self.machine).field("sender", &self.sender).finish_non_exhaustive()
    }
}
