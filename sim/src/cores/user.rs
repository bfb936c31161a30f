//! Clients without XML: a user who logs in somewhere, talks, and comes back elsewhere when he is cut off.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use cresset_core::ids::SessionId;
use cresset_core::jid::{FullJid, Jid};
use rand::RngExt;
use rand::rngs::StdRng;

use super::queue::Moment;
use super::session::{Client, FromClient};
use super::{UserPart, What, World};
use crate::history::{Connection, Event};

/// As the clients of the other level have them.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(7);
const PATIENCE: Duration = Duration::from_secs(6);
const UNACKNOWLEDGED_MAX: usize = 100;

/// How often a client looks whether the server is there.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// What a client is told.
#[derive(Debug)]
pub(super) enum ToClient {
    Bound,
    Refused,
    Message {
        id: String,
        is_error: bool,
    },
    /// So many of its messages are taken care of.
    Handled(u64),
    Pong,
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
    unacknowledged: VecDeque<String>,
    acknowledged: u64,
    received: u64,
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
        let jid = self.users[user].jid.clone();
        let Some(session) = self.enter_session(host, Client { user, connection }, jid) else { return };
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
            this.unacknowledged.push_back(id.clone());
            this.asked_at.get_or_insert(self.now);
            let (connection, to) = (this.here(), this.peer.clone());
            let said = FromClient::Message { to: this.peer_jid.clone(), id: id.clone() };
            let leaves = this.leaves && this.random.random_ratio(1, 12);
            let flaps = this.flaps;
            let node = self.hosts[host].name.clone();
            self.note(Some(user), Event::Sent { connection: connection.clone(), node: node.clone(), to, id });
            self.to_server(user, said);
            if flaps {
                return self.hang_up(user, "broken off");
            }
            if leaves {
                self.to_server(user, FromClient::Goodbye);
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
        if this.asked_at.is_none() {
            this.asked_at = Some(self.now);
            self.to_server(user, FromClient::Ping);
        }
        self.later(user, ASK_EVERY, UserPart::Ask { connection });
    }

    fn client_heard(&mut self, user: usize, what: ToClient) {
        let connection = self.users[user].here();
        let host = self.users[user].place().expect("only who is there hears something");
        let node = self.hosts[host].name.clone();
        match what {
            ToClient::Bound => self.logged_in(user),
            ToClient::Refused => {
                let condition = "resource-constraint".to_owned();
                self.note(Some(user), Event::BindRefused { connection, node, condition });
                self.hang_up(user, "refused");
            }
            ToClient::Message { id, is_error } => {
                self.users[user].received += 1;
                let received = self.users[user].received;
                let event =
                    if is_error { Event::Bounced { connection, id } } else { Event::Received { connection, node, id } };
                self.note(Some(user), event);
                self.to_server(user, FromClient::Handled(received));
            }
            ToClient::Handled(upto) => {
                let this = &mut self.users[user];
                this.asked_at = None;
                let count = usize::try_from(upto.saturating_sub(this.acknowledged)).expect("few are under way");
                this.acknowledged = this.acknowledged.max(upto);
                let ids: Vec<String> = this.unacknowledged.drain(..count.min(this.unacknowledged.len())).collect();
                if !this.unacknowledged.is_empty() {
                    this.asked_at = Some(self.now);
                }
                for id in ids {
                    self.note(Some(user), Event::Acknowledged { connection: connection.clone(), id });
                }
            }
            ToClient::Pong => {
                let this = &mut self.users[user];
                this.asked_at = (!this.unacknowledged.is_empty()).then_some(self.now);
            }
            ToClient::Closed => self.gone(user, "closed"),
        }
    }

    fn logged_in(&mut self, user: usize) {
        let this = &mut self.users[user];
        let State::Dialling { host, at: Some((process, session)) } = this.state else { return };
        this.state = State::On { host, process, session };
        let (connection, number, jid, pace) = (this.here(), this.connection, this.jid.to_string(), this.pace);
        let node = self.hosts[host].name.clone();
        self.note(Some(user), Event::LoggedIn { connection, node, jid });
        self.to_server(user, FromClient::Presence);
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
