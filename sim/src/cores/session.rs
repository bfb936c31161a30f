//! Sessions without XML: what a node's session and its connection do for one client, as far as the cluster can tell.
//!
//! A client binds a full JID, says that it is present, sends messages that are acknowledged to it when somebody answers
//! for them, and acknowledges what it gets. What it did not acknowledge when it goes is decided again.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cresset_core::cluster::{Removal, RoutePresence, RouteView};
use cresset_core::ids::{RouteId, Sequence, SessionId};
use cresset_core::jid::{BareJid, FullJid, Jid};
use cresset_core::limits::INITIAL_PRESENCE_TIME_MAX;
use cresset_core::node::{Answer, Request, Service};
use cresset_core::routing::{Home, Parcel, Sender};
use cresset_core::session::{Answered, Holding, Leaving};
use cresset_core::stanza::{Kind, MessageType, Stanza};
use cresset_core::time::Uptime;
use cresset_net::accounts::{Claimant, OfflineStore};
use futures_util::FutureExt;

use super::errands::{PassId, Ticket};
use super::user::ToClient;
use super::{Part, World};
use crate::history::{DirectoryFact, Event};

/// How soon a session looks again whether the node may serve, as a connection does.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// An event for one session.
#[derive(Debug)]
pub(super) enum ToSession {
    Answer(Answer),
    Handled(Sequence),
    RoutesGone,
    Nudge,
    Service(Service),
    RouteEnded { route: RouteId, reason: Removal },
    Close,
    Pass(PassId),
}

/// What a client says.
#[derive(Debug)]
pub(super) enum FromClient {
    Presence,
    Message {
        to: Jid,
        id: String,
    },
    /// It has handled so many messages.
    Handled(u64),
    /// Is anybody there?
    Ping,
    /// It ends its session.
    Goodbye,
    /// Its connection is gone.
    Lost,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) generation: u64,
    pub(super) is_revoked: bool,
    pub(super) is_closed: bool,
    pub(super) events: VecDeque<ToSession>,
    pub(super) parcels: VecDeque<Parcel>,
    pub(super) sender: Sender<Ticket>,
    pub(super) client: Client,
    pub(super) said: VecDeque<FromClient>,
    jid: FullJid,
    account: BareJid,
    outbound: VecDeque<ToClient>,
    is_open: bool,
    is_over: bool,
    is_paused: bool,
    holding: Holding,
    is_released: bool,
    /// Messages of the client, and those of them that are taken care of.
    received: u64,
    handled: BTreeSet<u64>,
    handled_upto: u64,
    awaits_presence_until: Option<Uptime>,
    /// Messages to its full JID are stored, and come before what comes while it awaits the presence.
    is_preceded: bool,
    claim: Claim,
    waiting: VecDeque<Parcel>,
    /// Written and not acknowledged.
    written: VecDeque<Parcel>,
    acknowledged: u64,
    returned: Vec<Parcel>,
    passes: Vec<PassId>,
    is_due: bool,
}

/// Which connection of which client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Client {
    pub(super) user: usize,
    pub(super) connection: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Claim {
    /// The client is not present.
    Absent,
    /// Its presence is not known everywhere.
    Planned,
    Idle,
}

impl Session {
    fn new(generation: u64, client: Client, jid: FullJid) -> Session {
        Session {
            generation,
            is_revoked: false,
            is_closed: false,
            events: VecDeque::new(),
            parcels: VecDeque::new(),
            sender: Sender::new(generation),
            client,
            said: VecDeque::new(),
            account: jid.to_bare(),
            jid,
            outbound: VecDeque::new(),
            is_open: true,
            is_over: false,
            is_paused: false,
            holding: Holding::default(),
            is_released: false,
            received: 0,
            handled: BTreeSet::new(),
            handled_upto: 0,
            awaits_presence_until: None,
            is_preceded: false,
            claim: Claim::Absent,
            waiting: VecDeque::new(),
            written: VecDeque::new(),
            acknowledged: 0,
            returned: Vec::new(),
            passes: Vec::new(),
            is_due: false,
        }
    }

    fn take(&mut self, parcel: Parcel) {
        if self.is_over || self.holding.route() != Some(parcel.route) {
            self.returned.push(parcel);
            return;
        }
        let waits =
            self.is_paused || self.awaits_presence() || self.claim == Claim::Planned || !self.waiting.is_empty();
        if waits { self.waiting.push_back(parcel) } else { self.write(parcel) }
    }

    fn awaits_presence(&self) -> bool {
        self.awaits_presence_until.is_some() && self.is_preceded
    }

    fn write(&mut self, parcel: Parcel) {
        let id = parcel.stanza.id.clone().unwrap_or_default();
        let is_error = parcel.stanza.kind == Kind::Message(MessageType::Error);
        self.outbound.push_back(ToClient::Message { id, is_error });
        self.written.push_back(parcel);
    }

    fn deliver_waiting(&mut self) {
        while !self.is_paused && !self.awaits_presence() && self.claim != Claim::Planned {
            let Some(parcel) = self.waiting.pop_front() else { return };
            self.write(parcel);
        }
    }

    /// The session is over: what was not settled goes back, in order.
    fn end(&mut self) {
        self.is_over = true;
        self.returned.extend(self.written.drain(..));
        self.returned.extend(self.waiting.drain(..));
        self.said.clear();
    }

    fn handled(&mut self, number: Sequence) {
        self.handled.insert(number.0);
        let before = self.handled_upto;
        while self.handled.remove(&(self.handled_upto + 1)) {
            self.handled_upto += 1;
        }
        if self.handled_upto > before && !self.is_over {
            self.outbound.push_back(ToClient::Handled(self.handled_upto));
        }
    }
}

impl World {
    /// A client has connected to a node that serves.
    pub(super) fn enter_session(&mut self, host: usize, client: Client, jid: FullJid) -> Option<SessionId> {
        let process = self.hosts[host].process.as_mut()?;
        let router = &mut process.router;
        router.last_session += 1;
        let id = SessionId(router.last_session);
        let text = jid.to_string();
        router.sessions.insert(id, Session::new(router.generation, client, jid.clone()));
        let service = router.service;
        if service == Service::Close {
            self.tell(host, id, ToSession::Close);
            return Some(id);
        }
        self.tell(host, id, ToSession::Service(service));
        let process = self.hosts[host].process.as_mut()?;
        process.router.sessions.get_mut(&id)?.holding.asks(jid.clone());
        self.directory(host, DirectoryFact::BindAsked { session: id.0, jid: text });
        let request = Request::Bind { session: id, jid };
        self.request(host, request);
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
        if session.awaits_presence_until.is_some_and(|until| until <= uptime) {
            session.awaits_presence_until = None;
            session.deliver_waiting();
        }
        if !session.is_over {
            self.read_mailbox(host, id, uptime);
            self.move_bytes(host, id, uptime);
        }
        if self.session(host, id).is_some_and(|session| session.is_over) {
            self.farewell(host, id);
        }
    }

    fn read_mailbox(&mut self, host: usize, id: SessionId, uptime: Uptime) {
        self.look_for_earlier(host, id);
        let Some(session) = self.session(host, id) else { return };
        if session.holding.route().is_some() {
            while let Some(parcel) = session.parcels.pop_front() {
                session.take(parcel);
            }
        }
        let events = std::mem::take(&mut session.events);
        for event in events {
            self.session_event(host, id, uptime, event);
        }
    }

    /// Whether messages that come before the presence have to wait for those that are stored.
    fn look_for_earlier(&mut self, host: usize, id: SessionId) {
        let Some(session) = self.session(host, id) else { return };
        if session.awaits_presence_until.is_none() || session.is_preceded || session.parcels.is_empty() {
            return;
        }
        let name = session.account.node().expect("only an account binds").to_owned();
        let recipient = session.jid.clone();
        let found = self.accounts.is_stored_for(name, recipient).now_or_never().expect("it answers at once");
        if let Some(session) = self.session(host, id) {
            // Nothing is held back by a store that is away.
            session.is_preceded = found == Ok(true);
        }
    }

    fn session_event(&mut self, host: usize, id: SessionId, uptime: Uptime, event: ToSession) {
        let Some(session) = self.session(host, id) else { return };
        match event {
            ToSession::Handled(number) => session.handled(number),
            ToSession::Answer(Answer::Bound { route }) => {
                if let Answered::Bound(_) = session.holding.answered(Ok(route)) {
                    session.sender.set_own(route);
                    session.awaits_presence_until = Some(uptime + INITIAL_PRESENCE_TIME_MAX);
                    session.outbound.push_back(ToClient::Bound);
                    self.wake_at(host, uptime + INITIAL_PRESENCE_TIME_MAX, Part::Session(id));
                    // What came before the answer was there before the client.
                    self.session_soon(host, id);
                }
            }
            ToSession::Answer(Answer::Refused(refusal)) => {
                drop(session.holding.answered(Err(refusal)));
                session.outbound.push_back(ToClient::Refused);
            }
            ToSession::Answer(Answer::Announced { .. }) => self.claim_stored(host, id, true),
            ToSession::Nudge => self.claim_stored(host, id, false),
            ToSession::RoutesGone => {}
            ToSession::Service(Service::Serve) => {
                session.is_paused = false;
                session.deliver_waiting();
            }
            ToSession::Service(Service::Pause | Service::Close) => session.is_paused = true,
            ToSession::RouteEnded { route, reason } => {
                session.holding.ended(route);
                match reason {
                    Removal::Replaced { .. } => self.close_session(host, id),
                    Removal::MemberEnded => session.outbound.clear(),
                    Removal::Unbound => {}
                }
            }
            ToSession::Close => self.close_session(host, id),
            ToSession::Pass(pass) => session.passes.push(pass),
        }
    }

    /// The server ends the session: what waits to be written is forgotten, and the client is told to go.
    fn close_session(&mut self, host: usize, id: SessionId) {
        let Some(session) = self.session(host, id) else { return };
        if session.is_over {
            return;
        }
        session.outbound.clear();
        session.end();
        self.close_transport(host, id);
    }

    fn close_transport(&mut self, host: usize, id: SessionId) {
        let Some(session) = self.session(host, id) else { return };
        let client = session.client;
        if std::mem::replace(&mut session.is_open, false) {
            self.to_client(host, client, ToClient::Closed);
        }
    }

    fn claim_stored(&mut self, host: usize, id: SessionId, is_announced: bool) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let view = &process.router.view;
        let Some(session) = process.router.sessions.get_mut(&id) else { return };
        let Some(route) = session.holding.route() else { return };
        match (session.claim, is_announced) {
            (Claim::Planned, true) | (Claim::Idle, false) => {}
            (Claim::Absent | Claim::Idle, true) | (Claim::Absent | Claim::Planned, false) => return,
        }
        let name = session.account.node().expect("only an account binds").to_owned();
        let routes = view.routes_of(&session.account).unwrap_or_else(|| Arc::from([]));
        let live: Vec<RouteId> = routes.iter().map(|route| route.id).collect();
        let as_of = view.applied;
        let mut found = Vec::new();
        loop {
            let claimant = Claimant { route, live: live.clone(), as_of };
            let claimed = self.accounts.claim(name.clone(), claimant).now_or_never().expect("it answers at once");
            match claimed {
                Ok(messages) if !messages.is_empty() => found.extend(messages),
                Ok(_) | Err(_) => break,
            }
        }
        session.claim = Claim::Idle;
        for message in found.into_iter().rev() {
            let parcel =
                Parcel { stanza: message.message, route, home: Home::Offline { key: message.key, claimant: route } };
            // They were written before whatever waits.
            session.waiting.push_front(parcel);
        }
        session.deliver_waiting();
        self.session_soon(host, id);
    }

    fn move_bytes(&mut self, host: usize, id: SessionId, uptime: Uptime) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let may_serve = process.router.may_serve(uptime);
        let serves = process.router.service == Service::Serve;
        let Some(session) = process.router.sessions.get_mut(&id) else { return };
        let wants = !session.outbound.is_empty() || !session.said.is_empty();
        if wants && serves && !may_serve && !session.is_revoked {
            return self.wake(host, self.now.after(LOOK_AGAIN), Part::Session(id));
        }
        if may_serve && !session.is_revoked {
            self.write_outbound(host, id);
        }
        while may_serve {
            let Some(session) = self.session(host, id) else { return };
            if session.is_over || session.is_paused || !session.sender.has_room() {
                break;
            }
            let Some(said) = session.said.pop_front() else { break };
            self.heard_client(host, id, uptime, said);
        }
        // That a connection is gone is noticed whether or not the node may serve.
        let Some(session) = self.session(host, id) else { return };
        if !session.is_over && matches!(session.said.back(), Some(FromClient::Lost)) && session.outbound.is_empty() {
            self.lose(host, id);
        }
    }

    fn write_outbound(&mut self, host: usize, id: SessionId) {
        loop {
            let Some(session) = self.session(host, id).filter(|session| session.is_open) else { return };
            let Some(written) = session.outbound.pop_front() else { return };
            let (client, jid) = (session.client, session.jid.to_string());
            let node = self.hosts[host].name.clone();
            match &written {
                ToClient::Bound => {
                    let event = Event::Holds { node, client: client.address(), jid };
                    self.note_at(host, event);
                }
                ToClient::Message { id, .. } => {
                    let event = Event::Delivers { node, client: client.address(), jid, id: id.clone() };
                    self.note_at(host, event);
                }
                ToClient::Refused | ToClient::Handled(_) | ToClient::Pong | ToClient::Closed => {}
            }
            self.to_client(host, client, written);
        }
    }

    fn heard_client(&mut self, host: usize, id: SessionId, _uptime: Uptime, said: FromClient) {
        let Some(session) = self.session(host, id) else { return };
        match said {
            FromClient::Presence => {
                let Some(route) = session.holding.route() else { return };
                session.claim = Claim::Planned;
                session.awaits_presence_until = None;
                let presence = RoutePresence { priority: Some(0), interested: false };
                let request = Request::Announce { session: id, route, presence, revision: 1 };
                self.request(host, request);
            }
            FromClient::Message { to, id: message } => {
                session.received += 1;
                let number = Sequence(session.received);
                let stanza = Stanza {
                    from: Some(Jid::from(session.jid.clone())),
                    to: Some(to),
                    id: Some(message),
                    payload: self.body.clone(),
                    ..Stanza::new(Kind::Message(MessageType::Chat))
                };
                let ticket = Some(Ticket::Session { session: id, number });
                self.look_up(host, &stanza);
                self.session_says(host, id, stanza, ticket);
            }
            FromClient::Handled(count) => self.client_handled(host, id, count),
            FromClient::Ping => {
                session.outbound.push_back(ToClient::Pong);
                self.session_soon(host, id);
            }
            FromClient::Goodbye => {
                session.outbound.clear();
                session.end();
                self.close_transport(host, id);
            }
            FromClient::Lost => self.lose(host, id),
        }
    }

    fn lose(&mut self, host: usize, id: SessionId) {
        let Some(session) = self.session(host, id) else { return };
        session.outbound.clear();
        session.is_open = false;
        session.end();
    }

    /// The client acknowledges what it got.
    fn client_handled(&mut self, host: usize, id: SessionId, count: u64) {
        loop {
            let Some(process) = &mut self.hosts[host].process else { return };
            let generation = process.router.generation;
            let is_connected = process.router.is_connected;
            let Some(session) = process.router.sessions.get_mut(&id) else { return };
            if session.acknowledged >= count {
                return;
            }
            let Some(parcel) = session.written.pop_front() else { return };
            session.acknowledged += 1;
            let name = session.account.node().expect("only an account binds").to_owned();
            match parcel.home {
                Home::Here { .. } | Home::Named { .. } => {}
                Home::Offline { key, .. } => {
                    let forgotten = self.accounts.forget(name, vec![key], parcel.route).now_or_never();
                    forgotten.expect("it answers at once").expect("it is there");
                }
                Home::Member { .. } if session.generation == generation && is_connected => {
                    self.settle(host, parcel.home);
                }
                Home::Member { .. } => {}
            }
        }
    }

    /// What a session does when it is over, in its order.
    fn farewell(&mut self, host: usize, id: SessionId) {
        if !self.end_sender(host, id) {
            return;
        }
        loop {
            let Some(session) = self.session(host, id) else { return };
            if !session.is_released {
                if !self.release(host, id) {
                    return;
                }
                continue;
            }
            if !session.returned.is_empty() {
                let returned = std::mem::take(&mut session.returned);
                for parcel in returned {
                    self.take_back(host, id, parcel);
                }
                continue;
            }
            let passes = std::mem::take(&mut session.passes);
            passes.into_iter().for_each(|pass| self.passed(host, pass));
            let Some(session) = self.session(host, id) else { return };
            if session.events.is_empty() && session.parcels.is_empty() {
                return self.leave(host, id);
            }
            self.note_events(host, id);
            let Some(session) = self.session(host, id) else { return };
            session.returned.extend(session.parcels.drain(..));
        }
    }

    /// Gives the route back; answers whether the view of this node does not show it any more.
    fn release(&mut self, host: usize, id: SessionId) -> bool {
        self.note_events(host, id);
        let Some(session) = self.session(host, id) else { return false };
        match session.holding.leaves() {
            Leaving::Done(_) => {
                session.is_released = true;
                true
            }
            Leaving::Waits(_) => false,
            Leaving::Unbind(route) => {
                self.directory(host, DirectoryFact::UnbindAsked { route });
                self.request(host, Request::Unbind { route });
                false
            }
        }
    }

    fn note_events(&mut self, host: usize, id: SessionId) {
        let Some(session) = self.session(host, id) else { return };
        for event in std::mem::take(&mut session.events) {
            match event {
                ToSession::RouteEnded { route, .. } => session.holding.ended(route),
                ToSession::Answer(Answer::Bound { route }) => drop(session.holding.answered(Ok(route))),
                ToSession::Answer(Answer::Refused(refusal)) => drop(session.holding.answered(Err(refusal))),
                ToSession::Pass(pass) => session.passes.push(pass),
                ToSession::Answer(Answer::Announced { .. })
                | ToSession::Handled(_)
                | ToSession::RoutesGone
                | ToSession::Nudge
                | ToSession::Service(_)
                | ToSession::Close => {}
            }
        }
    }

    /// The mailbox is found empty and is closed.
    fn leave(&mut self, host: usize, id: SessionId) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(session) = process.router.sessions.remove(&id) else { return };
        if let Holding::Ended(route) = session.holding {
            process.router.local.session_over(route);
            self.nudge_account(host, &session.account);
        }
        self.leave_if_empty(host);
    }
}

/// The content of every message.
pub(super) fn body() -> Bytes {
    use cresset_core::xml::{Element, ns};
    let body = Element::new("body", ns::CLIENT).with_text("hello");
    Stanza::new(Kind::Message(MessageType::Chat)).with_child(&body).payload
}
