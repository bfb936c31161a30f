//! Clients: a user who logs in somewhere, talks, and comes back elsewhere when he is cut off.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cresset_core::ids::SessionId;
use cresset_core::jid::{FullJid, Jid};
use cresset_core::xml::{Element, ns};
use rand::RngExt;
use rand::rngs::StdRng;

use super::queue::Moment;
use super::session::{Client, FromClient};
use super::{UserPart, What, World};
use crate::client::{ACKNOWLEDGEMENT, BIND, SASL, condition};
use crate::history::{Connection, Event};
use crate::parts::PASSWORD;
use crate::world::DOMAIN;

/// As the clients of the other level have them.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(7);
const PATIENCE: Duration = Duration::from_secs(6);
const UNACKNOWLEDGED_MAX: usize = 100;

/// How often a client looks whether the server is there.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Asks for the server's count (XEP-0198).
const COUNT: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// What comes to a client.
#[derive(Debug)]
pub(super) enum ToClient {
    Heard(Vec<Element>),
    Closed,
}

/// One client.
#[derive(Debug)]
pub(super) struct User {
    /// Of the account.
    pub(super) name: String,
    /// Of the client.
    pub(super) client: String,
    pub(super) jid: FullJid,
    peer: String,
    peer_jid: Jid,
    pace: Duration,
    leaves: bool,
    door: usize,
    connection: u32,
    state: State,
    said: u64,
    /// Stanzas since acknowledgement was switched on, with the ids of those that are messages.
    unacknowledged: VecDeque<Option<String>>,
    acknowledged: u32,
    received: u32,
    /// Since when an answer is due.
    asked_at: Option<Moment>,
    /// Nothing overtakes on a connection.
    arrives_there: Moment,
    arrives_here: Moment,
    /// Comes back when he is thrown out.
    pub(super) is_active: bool,
    /// Breaks his connection after each message.
    pub(super) flaps: bool,
    random: StdRng,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Away,
    /// A login is under way there.
    Dialling {
        host: usize,
        at: Option<(u32, SessionId)>,
    },
    On {
        host: usize,
        process: u32,
        session: SessionId,
    },
}

impl Client {
    /// Made up, but each connection has its own.
    pub(super) fn address(self) -> SocketAddr {
        let [.., high, low] = self.connection.to_be_bytes();
        let user = u8::try_from(self.user).unwrap_or(u8::MAX);
        ([10, 1 + self.connection.to_be_bytes()[1], user, 1], u16::from_be_bytes([high, low])).into()
    }
}

/// Who a client is.
pub(super) struct Persona {
    pub(super) name: String,
    pub(super) client: String,
    pub(super) jid: FullJid,
    pub(super) peer: String,
    pub(super) peer_jid: Jid,
    pub(super) pace: Duration,
    pub(super) leaves: bool,
    pub(super) door: usize,
    pub(super) is_active: bool,
    pub(super) random: StdRng,
}

impl User {
    pub(super) fn new(persona: Persona) -> User {
        let Persona { name, client, jid, peer, peer_jid, pace, leaves, door, is_active, random } = persona;
        User {
            name,
            client,
            jid,
            peer,
            peer_jid,
            pace,
            leaves,
            door,
            connection: 0,
            state: State::Away,
            said: 0,
            unacknowledged: VecDeque::new(),
            acknowledged: 0,
            received: 0,
            asked_at: None,
            arrives_there: Moment::default(),
            arrives_here: Moment::default(),
            is_active,
            flaps: false,
            random,
        }
    }

    fn here(&self) -> Connection {
        Connection { user: self.client.clone(), number: self.connection }
    }

    /// Everything up to the bind, in one go.
    fn login(&self) -> Bytes {
        let header =
            format!("<stream:stream to='{DOMAIN}' version='1.0' xmlns='{}' xmlns:stream='{}'>", ns::CLIENT, ns::STREAM);
        let secret = BASE64_STANDARD.encode(format!("\0{}\0{PASSWORD}", self.name));
        let bind = format!("<bind xmlns='{BIND}'><resource>{}</resource></bind>", self.jid.resource());
        let auth = format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{secret}</auth>");
        format!("{header}{auth}{header}<iq type='set' id='bind'>{bind}</iq>").into()
    }

    /// Whether the client is connected and everything that it said is taken care of, or whether it does not come back.
    pub(super) fn is_at_rest(&self) -> bool {
        match self.state {
            State::On { .. } => self.unacknowledged.is_empty(),
            State::Away => !self.is_active,
            State::Dialling { .. } => false,
        }
    }

    pub(super) fn is_away(&self) -> bool {
        self.state == State::Away
    }

    /// The host to which he is connected.
    pub(super) fn place(&self) -> Option<usize> {
        match self.state {
            State::Away => None,
            State::Dialling { host, .. } | State::On { host, .. } => Some(host),
        }
    }
}

impl World {
    fn later(&mut self, user: usize, after: Duration, part: UserPart) {
        let at = self.now.after(after);
        self.push(at, What::User { user, part });
    }

    fn client_latency(&mut self, user: usize) -> Duration {
        let (least, most) = self.client_latency;
        self.users[user].random.random_range(least..=most)
    }

    /// He tries to log in somewhere.
    pub(super) fn connect(&mut self, user: usize) {
        if !self.users[user].is_active || !self.users[user].is_away() {
            return;
        }
        let hosts = self.hosts.len();
        let this = &mut self.users[user];
        let host = this.door % hosts;
        this.door += 1;
        this.connection += 1;
        this.state = State::Dialling { host, at: None };
        this.unacknowledged.clear();
        (this.acknowledged, this.received, this.asked_at) = (0, 0, None);
        (this.arrives_there, this.arrives_here) = (self.now, self.now);
        let (connection, number) = (this.here(), this.connection);
        let node = self.hosts[host].name.clone();
        self.note(Some(user), Event::Dialled { connection, node });
        let latency = self.client_latency(user);
        // A login takes some steps.
        self.push(self.now.after(latency * 4), What::Knock { host, user, connection: number });
        self.later(user, LOGIN_TIME_MAX, UserPart::LoginTimeout { connection: number });
    }

    /// A client wants to log in at a machine.
    pub(super) fn knock(&mut self, host: usize, user: usize, connection: u32) {
        if self.users[user].connection != connection || self.users[user].is_away() {
            return;
        }
        if !self.hosts[host].has_power {
            return;
        }
        let Some(process) = self.hosts[host].process.as_ref().filter(|process| !process.is_leaving) else {
            return self.later(user, Duration::from_millis(2), UserPart::Heard { connection, what: ToClient::Closed });
        };
        let id = process.id;
        let login = self.users[user].login();
        let Some(session) = self.enter_session(host, Client { user, connection }, login) else { return };
        self.users[user].state = State::Dialling { host, at: Some((id, session)) };
    }

    /// The server says something to a client.
    pub(super) fn to_client(&mut self, _host: usize, client: Client, what: ToClient) {
        let Client { user, connection } = client;
        let latency = self.client_latency(user);
        let this = &mut self.users[user];
        let at = self.now.after(latency).max(this.arrives_here);
        this.arrives_here = at;
        self.push(at, What::User { user, part: UserPart::Heard { connection, what } });
    }

    fn says(&mut self, user: usize, text: impl Into<Bytes>) {
        self.to_server(user, FromClient::Says(text.into()));
    }

    fn to_server(&mut self, user: usize, said: FromClient) {
        let (host, process, session) = match self.users[user].state {
            State::On { host, process, session } | State::Dialling { host, at: Some((process, session)) } => {
                (host, process, session)
            }
            State::Away | State::Dialling { at: None, .. } => return,
        };
        let latency = self.client_latency(user);
        let this = &mut self.users[user];
        let at = self.now.after(latency).max(this.arrives_there);
        this.arrives_there = at;
        self.push(at, What::Said { host, process, session, said });
    }

    /// What a client said reaches its session.
    pub(super) fn client_said(&mut self, host: usize, session: SessionId, said: FromClient) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let Some(of) = process.router.sessions.get_mut(&session) else { return };
        of.said.push_back(said);
        self.session_soon(host, session);
    }

    /// Something happens to a user.
    pub(super) fn user_turn(&mut self, user: usize, part: UserPart) {
        let is_present = |connection: u32| connection == self.users[user].connection && !self.users[user].is_away();
        match part {
            UserPart::Connect => self.connect(user),
            UserPart::LoginTimeout { connection } if is_present(connection) => {
                if matches!(self.users[user].state, State::Dialling { .. }) {
                    self.hang_up(user, "no login in time");
                }
            }
            UserPart::Speak { connection } if is_present(connection) => self.speak(user),
            UserPart::Ask { connection } if is_present(connection) => self.ask(user),
            UserPart::Heard { connection, what } if is_present(connection) => self.client_heard(user, what),
            UserPart::LoginTimeout { .. } | UserPart::Speak { .. } | UserPart::Ask { .. } | UserPart::Heard { .. } => {}
        }
    }

    fn speak(&mut self, user: usize) {
        let State::On { host, .. } = self.users[user].state else { return };
        let is_silent = self.now >= self.silent_from;
        let this = &mut self.users[user];
        let connection = this.connection;
        let pace = this.pace;
        if !is_silent && this.unacknowledged.len() < UNACKNOWLEDGED_MAX {
            this.said += 1;
            let id = format!("{}.{}", this.client, this.said);
            this.unacknowledged.push_back(Some(id.clone()));
            this.asked_at.get_or_insert(self.now);
            let (connection, to) = (this.here(), this.peer.clone());
            let said =
                format!("<message type='chat' to='{}' id='{id}'><body>hello</body></message>{COUNT}", this.peer_jid);
            let leaves = this.leaves && this.random.random_ratio(1, 12);
            let flaps = this.flaps;
            let node = self.hosts[host].name.clone();
            self.note(Some(user), Event::Sent { connection: connection.clone(), node: node.clone(), to, id });
            self.says(user, said);
            if flaps {
                return self.hang_up(user, "broken off");
            }
            if leaves {
                self.says(user, "</stream:stream>");
                self.note(Some(user), Event::LoggedOut { connection, node });
                return self.gone(user, "logged out");
            }
        }
        self.later(user, pace, UserPart::Speak { connection });
    }

    fn ask(&mut self, user: usize) {
        let this = &mut self.users[user];
        if this.asked_at.is_some_and(|at| self.now.since(at) >= PATIENCE) {
            return self.hang_up(user, "no answer in time");
        }
        let connection = this.connection;
        this.asked_at.get_or_insert(self.now);
        self.says(user, COUNT);
        self.later(user, ASK_EVERY, UserPart::Ask { connection });
    }

    fn client_heard(&mut self, user: usize, what: ToClient) {
        match what {
            ToClient::Heard(elements) => {
                let connection = self.users[user].connection;
                for element in elements {
                    if self.users[user].connection == connection && !self.users[user].is_away() {
                        self.client_heard_element(user, &element);
                    }
                }
            }
            ToClient::Closed => self.gone(user, "closed"),
        }
    }

    fn client_heard_element(&mut self, user: usize, element: &Element) {
        let connection = self.users[user].here();
        let host = self.users[user].place().expect("only who is there hears something");
        let node = self.hosts[host].name.clone();
        let this = &mut self.users[user];
        match (element.namespace(), element.name()) {
            (ACKNOWLEDGEMENT, "enabled") => this.received = 0,
            (ACKNOWLEDGEMENT, "r") => {
                let answer = format!("<a xmlns='{ACKNOWLEDGEMENT}' h='{}'/>", this.received);
                self.says(user, answer);
            }
            (ACKNOWLEDGEMENT, "a") => {
                let upto: u32 = element.attribute("h").and_then(|h| h.parse().ok()).expect("a count is a number");
                this.asked_at = None;
                let count = usize::try_from(upto - this.acknowledged).expect("few are under way");
                this.acknowledged = upto;
                for id in this.unacknowledged.drain(..count).flatten().collect::<Vec<_>>() {
                    self.note(Some(user), Event::Acknowledged { connection: connection.clone(), id });
                }
            }
            (ns::CLIENT, "iq") if element.attribute("type") == Some("result") => self.logged_in(user),
            (ns::CLIENT, "iq") => {
                let condition = condition(element).unwrap_or_default();
                self.note(Some(user), Event::BindRefused { connection, node, condition });
                self.hang_up(user, "refused");
            }
            (ns::CLIENT, name) => {
                this.received += 1;
                if name == "message" {
                    let id = element.attribute("id").unwrap_or_default().to_owned();
                    let is_error = element.attribute("type") == Some("error");
                    let received = || Event::Received { connection: connection.clone(), node, id: id.clone() };
                    let bounced = || Event::Bounced { connection: connection.clone(), id: id.clone() };
                    let event = if is_error { bounced() } else { received() };
                    self.note(Some(user), event);
                }
            }
            _ => {}
        }
    }

    fn logged_in(&mut self, user: usize) {
        let this = &mut self.users[user];
        let State::Dialling { host, at: Some((process, session)) } = this.state else { return };
        this.state = State::On { host, process, session };
        let (connection, number, jid, pace) = (this.here(), this.connection, this.jid.to_string(), this.pace);
        let node = self.hosts[host].name.clone();
        self.note(Some(user), Event::LoggedIn { connection, node, jid });
        self.users[user].unacknowledged.push_back(None);
        self.says(user, format!("<enable xmlns='{ACKNOWLEDGEMENT}'/><presence/>"));
        self.later(user, pace, UserPart::Speak { connection: number });
        self.later(user, ASK_EVERY, UserPart::Ask { connection: number });
    }

    /// The client gives its connection up.
    pub(super) fn hang_up(&mut self, user: usize, reason: &str) {
        self.to_server(user, FromClient::Lost);
        self.gone(user, reason);
    }

    /// The connection is over for the client.
    pub(super) fn gone(&mut self, user: usize, reason: &str) {
        let Some(host) = self.users[user].place() else { return };
        let this = &mut self.users[user];
        let was_on = matches!(this.state, State::On { .. });
        this.state = State::Away;
        let connection = this.here();
        let pause = if was_on { 50..150 } else { 200..600 };
        let pause = Duration::from_millis(this.random.random_range(pause));
        let node = self.hosts[host].name.clone();
        self.note(Some(user), Event::Disconnected { connection, node, reason: reason.to_owned() });
        self.later(user, pause, UserPart::Connect);
    }

    /// The machine to which clients are connected is killed: its system tells them.
    pub(super) fn cut_clients_off(&mut self, host: usize) {
        for user in 0..self.users.len() {
            if self.users[user].place() == Some(host) {
                let connection = self.users[user].connection;
                self.to_client(host, Client { user, connection }, ToClient::Closed);
            }
        }
    }
}
