//! A client's life: connection after connection, and what it takes from one to the next.
//!
//! A client that resumes goes back to the node that has its session, and elsewhere if it cannot get there. Any other
//! goes to another node each time: the one before may be gone.

use std::fmt::Display;
use std::time::Duration;

use cresset_core::xml::Element;
use tokio::time::{Instant, sleep, timeout_at};

use super::drawn::Drawn;
use super::goodbye::Ending;
use super::login::ResumptionAnswer;
use super::session::Session;
use super::speech::Speech;
use super::stream::{Broken, ClientStream};
use super::talk::Talk;
use super::{ACKNOWLEDGEMENT, Door, Role, User};
use crate::history::{Connection, Event, History};
use crate::world::Trouble;

/// How long a client tries to log in before it tries elsewhere. Longer than a bind that has to wait for the expulsion of
/// a hung member.
pub(super) const LOGIN_TIME_MAX: Duration = Duration::from_secs(7);

/// One of a user's clients.
pub(super) struct Client<'a> {
    pub(super) user: &'a User,
    pub(super) history: &'a History,
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) drawn: Drawn,
    pub(super) speech: Speech,
    /// The session that can be resumed, or has just begun. While the client talks, [`Talk`] has it.
    pub(super) session: Option<Session>,
    connections: u32,
    door: usize,
    /// A connection that this client has given up and of which the node may not know.
    half_open: Option<ClientStream>,
}

/// Why a client is not connected any more.
pub(super) trait Parting: Display {
    /// Whether it was the client that broke the connection.
    fn is_own_doing(&self) -> bool;

    /// Whether the session is over as well.
    fn ends_session(&self) -> bool;
}

/// A connection on which there is a session.
pub(super) struct Arrival {
    pub(super) connection: Connection,
    pub(super) stream: ClientStream,
    pub(super) session: Session,
    /// Whether the session has just begun.
    pub(super) is_new: bool,
    /// Stanzas that came before counting began.
    pub(super) early: Vec<Element>,
}

impl<'a> Client<'a> {
    pub(super) fn new(user: &'a User, history: &'a History, role: Role) -> Self {
        Client {
            user,
            history,
            role,
            name: role.name_of(user),
            drawn: Drawn::new(user, role),
            speech: Speech::new(user, role),
            session: None,
            connections: 0,
            // Not where the first client begins.
            door: if role == Role::First { 0 } else { 1 },
            half_open: None,
        }
    }

    /// Lives until nobody wants this client any more, which is only ever said of a rival.
    pub(super) async fn live(&mut self) {
        while self.is_wanted() {
            let door = self.user.doors[self.door % self.user.doors.len()].clone();
            // What comes after this moment throws the client off, even if it has just arrived.
            let storms = self.user.weather.storms(&door.node);
            let arrived = if self.is_to_race() { self.race(&door).await } else { self.arrive(&door).await };
            let pause = match arrived {
                Ok(arrival) => {
                    let ending = Talk::new(self, arrival, &door.node, storms).run().await;
                    self.after(&ending)
                }
                Err(Broken::Cut) => self.drawn.short_pause(),
                Err(_) => {
                    self.door += 1;
                    self.drawn.long_pause()
                }
            };
            sleep(pause).await;
        }
    }

    /// Whether this client is to be there at all.
    pub(super) fn is_wanted(&self) -> bool {
        self.role != Role::Rival || self.has(Trouble::Rival)
    }

    /// Whether the user's first client is in this trouble, if that is what this one is.
    pub(super) fn has(&self, trouble: Trouble) -> bool {
        let concerns = match trouble {
            Trouble::Rival => self.role == Role::Rival,
            Trouble::Flapping | Trouble::ResumptionRace | Trouble::SlowReader | Trouble::NeverAcknowledges => {
                self.role == Role::First
            }
        };
        concerns && self.user.weather.has(self.user.number, trouble)
    }

    /// Chooses the next door, and says when to go there.
    fn after(&mut self, ending: &Ending) -> Duration {
        let can_resume = self.session.is_some();
        match ending {
            Ending::Storm | Ending::Race | Ending::Unwanted(_) => Duration::ZERO,
            Ending::Broken(Broken::Cut) => self.drawn.short_pause(),
            Ending::Broken(broken) => {
                // Where a node sends its clients away it does not take them back.
                if !can_resume || broken.is_sent_on() {
                    self.door += 1;
                }
                self.drawn.short_pause()
            }
            Ending::Away(_, pause) => {
                if !can_resume {
                    self.door += 1;
                }
                *pause
            }
        }
    }

    /// One login, with its session resumed or begun.
    async fn arrive(&mut self, door: &Door) -> Result<Arrival, Broken> {
        let connection = self.dial(door);
        let deadline = Instant::now() + LOGIN_TIME_MAX;
        let fuse = self.has(Trouble::Flapping).then(|| self.drawn.fuse());
        let (broken, stream) = match in_time(deadline, ClientStream::connect(door.address, fuse)).await {
            Ok(mut stream) => match in_time(deadline, self.log_in(&connection, door, &mut stream)).await {
                Ok((is_new, early)) => return Ok(self.arrival(connection, stream, is_new, early)),
                Err(broken) => (broken, Some(stream)),
            },
            Err(broken) => (broken, None),
        };
        self.part(connection, &door.node, stream, &broken);
        Err(broken)
    }

    /// The connection that has the session now.
    pub(super) fn arrival(
        &mut self,
        connection: Connection,
        stream: ClientStream,
        is_new: bool,
        early: Vec<Element>,
    ) -> Arrival {
        let session = self.session.take().expect("whoever has bound or resumed has a session");
        Arrival { connection, stream, session, is_new, early }
    }

    async fn log_in(
        &mut self,
        connection: &Connection,
        door: &Door,
        stream: &mut ClientStream,
    ) -> Result<(bool, Vec<Element>), Broken> {
        stream.authenticate(self.user).await?;
        if let Some((id, handled)) = self.resumption() {
            let answer = stream.resume(&id, handled).await?;
            if self.note_resumption(connection, &door.node, &answer)? {
                return Ok((false, Vec::new()));
            }
        }
        Ok((true, self.begin_session(connection, &door.node, stream).await?))
    }

    /// Binds and switches acknowledgement on. Gives what came before that.
    pub(super) async fn begin_session(
        &mut self,
        connection: &Connection,
        node: &str,
        stream: &mut ClientStream,
    ) -> Result<Vec<Element>, Broken> {
        match stream.bind(self.role.resource()).await? {
            Ok(jid) => self.add(Event::LoggedIn { connection: connection.clone(), node: node.to_owned(), jid }),
            Err(condition) => {
                let refused = Broken::Refused(condition.clone());
                self.add(Event::BindRefused { connection: connection.clone(), node: node.to_owned(), condition });
                return Err(refused);
            }
        }
        let mut request = Element::new("enable", ACKNOWLEDGEMENT);
        if self.user.resumes {
            request = request.with_attribute("resume", "true");
            if let Some(seconds) = self.drawn.seconds_max() {
                request = request.with_attribute("max", &seconds.to_string());
            }
        }
        let enabled = stream.enable(&request).await?;
        if let Some((_, seconds)) = enabled.resumption {
            self.add(Event::Resumable { connection: connection.clone(), max: Duration::from_secs(seconds) });
        }
        self.session = Some(Session::new(connection.clone(), enabled.resumption.map(|(id, _)| id)));
        Ok(enabled.early)
    }

    /// By what the session is resumed, and how many stanzas of it came.
    pub(super) fn resumption(&self) -> Option<(String, u32)> {
        let session = self.session.as_ref()?;
        Some((session.resumption.clone()?, session.handled()))
    }

    /// Notes how it was answered that the session is to go on; whether it does.
    pub(super) fn note_resumption(
        &mut self,
        connection: &Connection,
        node: &str,
        answer: &ResumptionAnswer,
    ) -> Result<bool, Broken> {
        let Some(mut session) = self.session.take() else { return Ok(false) };
        let (connection, node, before) = (connection.clone(), node.to_owned(), session.connection.clone());
        match answer {
            ResumptionAnswer::Resumed { handled } => {
                let counters = session.counters(*handled);
                self.add(Event::Resumed { connection: connection.clone(), node, before, counters });
                for known in session.acknowledge(*handled)? {
                    self.add(known.acknowledged(connection.clone()));
                }
                session.connection = connection;
                self.session = Some(session);
                Ok(true)
            }
            ResumptionAnswer::Refused { condition } => {
                let condition = condition.clone();
                self.add(Event::ResumptionRefused { connection, node, before, condition });
                Ok(false)
            }
        }
    }

    /// A new connection.
    pub(super) fn dial(&mut self, door: &Door) -> Connection {
        self.connections += 1;
        let connection = Connection { user: self.name.clone(), number: self.connections };
        self.add(Event::Dialled { connection: connection.clone(), node: door.node.clone() });
        connection
    }

    /// A connection is over, or did not come about. If that is the client's own doing, the node may not hear of it.
    pub(super) fn part(&mut self, connection: Connection, node: &str, stream: Option<ClientStream>, why: &dyn Parting) {
        if let Some(stream) = stream.filter(|_| why.is_own_doing())
            && self.drawn.is_half_open()
        {
            self.half_open = Some(stream);
        }
        self.session = self.session.take().filter(|session| session.resumption.is_some() && !why.ends_session());
        self.add(Event::Disconnected { connection, node: node.to_owned(), reason: why.to_string() });
    }

    pub(super) fn add(&self, event: Event) {
        self.history.add(&self.name, event);
    }
}

/// What comes of a step of a login that must not take forever.
pub(super) async fn in_time<T>(deadline: Instant, step: impl Future<Output = Result<T, Broken>>) -> Result<T, Broken> {
    timeout_at(deadline, step).await.unwrap_or(Err(Broken::NoLogin))
}
