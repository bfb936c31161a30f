//! What a client does while it is connected: says something now and then, keeps count with the server, looks what the
//! weather is like, and goes when it is time.

use std::time::Duration;

use cresset_core::xml::{Element, ns};
use tokio::select;
use tokio::time::{Instant, sleep_until};

use super::goodbye::Ending;
use super::life::{Arrival, Client};
use super::session::{Known, Session};
use super::speech::Saying;
use super::stream::{Broken, ClientStream};
use super::{ACKNOWLEDGEMENT, RESOURCE, Role};
use crate::history::{Connection, Event};
use crate::trace;
use crate::world::Trouble;

/// How often a client that has nothing to say asks whether the server is there.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long a client waits for that answer. Longer than a node that lost its lease waits for it to come back.
const PATIENCE: Duration = Duration::from_secs(6);

/// How often a client that acknowledges nothing changes its presence.
const TURN_EVERY: Duration = Duration::from_millis(1500);

/// How often a client asks somebody to whom it does not talk, where that is looked at.
const ASK_OTHERS_EVERY: Duration = Duration::from_millis(300);

/// Messages that are not acknowledged, beyond which a user waits.
const UNACKNOWLEDGED_MAX: usize = 100;

/// How long before he is to fall silent a user does not leave any more.
const STAYS_BEFORE_SILENCE: Duration = Duration::from_secs(8);

/// In the presence of somebody who has just come, for those who have to say that they are there too.
pub(super) const HELLO: &str = "hello";

/// One connection with the session on it.
pub(super) struct Talk<'a, 'b> {
    pub(super) client: &'a mut Client<'b>,
    pub(super) stream: ClientStream,
    pub(super) session: Session,
    pub(super) connection: Connection,
    pub(super) node: &'a str,
    /// How often everybody had been thrown off the node before this client came.
    storms: u64,
    is_new: bool,
    early: Vec<Element>,
    /// Since when an answer is due.
    pub(super) asked_at: Option<Instant>,
    speaks_at: Option<Instant>,
    asks_at: Instant,
    leaves_at: Option<Instant>,
    races_at: Option<Instant>,
    /// When one that acknowledges nothing changes its presence.
    turns_at: Option<Instant>,
    is_unavailable: bool,
    /// When somebody is asked to whom this client does not talk.
    asks_others_at: Option<Instant>,
    reads: bool,
}

impl<'a, 'b> Talk<'a, 'b> {
    pub(super) fn new(client: &'a mut Client<'b>, arrival: Arrival, node: &'a str, storms: u64) -> Self {
        let Arrival { connection, stream, session, is_new, early } = arrival;
        let now = Instant::now();
        let speaks_at = (client.role != Role::Watch).then(|| now + client.user.pace);
        let asks_others = client.role == Role::First && client.user.stranger.is_some();
        let asks_others_at = asks_others.then(|| now + ASK_OTHERS_EVERY);
        let leaves_at = (client.user.leaves && client.role == Role::First).then(|| now + client.drawn.stay());
        Talk {
            client,
            stream,
            session,
            connection,
            node,
            storms,
            is_new,
            early,
            asked_at: None,
            speaks_at,
            asks_at: now + ASK_EVERY,
            leaves_at,
            races_at: None,
            turns_at: None,
            is_unavailable: false,
            asks_others_at,
            reads: true,
        }
    }

    /// Talks until there is a reason to stop, and gives it.
    pub(super) async fn run(mut self) -> Ending {
        let ending = match self.talk().await {
            Ok(ending) => self.say_goodbye(ending).await,
            Err(broken) => Ending::Broken(broken),
        };
        self.client.session = Some(self.session);
        self.client.part(self.connection, self.node, Some(self.stream), &ending);
        ending
    }

    async fn talk(&mut self) -> Result<Ending, Broken> {
        if self.is_new {
            self.appear().await?;
        } else {
            self.write_again().await?;
        }
        for element in std::mem::take(&mut self.early) {
            self.hear_stanza(&element).await?;
        }
        let user = self.client.user;
        loop {
            let seen = user.weather.changes();
            if let Some(ending) = self.look_around() {
                return Ok(ending);
            }
            let due = self.due();
            select! {
                biased;
                element = self.stream.next(), if self.reads => self.hear(&element?).await?,
                () = user.weather.changed(seen) => {}
                () = sleep_until(due) => {
                    if let Some(ending) = self.do_what_is_due().await? {
                        return Ok(ending);
                    }
                }
            }
        }
    }

    /// The weather may want something of this client.
    fn look_around(&mut self) -> Option<Ending> {
        if self.client.user.weather.storms(self.node) > self.storms {
            return Some(Ending::Storm);
        }
        if !self.client.is_wanted() {
            let (absence, _) = self.client.drawn.absence();
            return Some(Ending::Unwanted(absence));
        }
        let fuse = self.client.has(Trouble::Flapping).then(|| self.client.drawn.fuse());
        self.stream.set_fuse(fuse);
        let reads = !self.client.has(Trouble::SlowReader);
        if reads && !self.reads {
            // What was asked meanwhile was not heard.
            self.asked_at = self.asked_at.map(|_| Instant::now());
        }
        self.reads = reads;
        let is_to_race = self.client.has(Trouble::ResumptionRace) && self.session.resumption.is_some();
        match self.turns_at {
            None if self.client.has(Trouble::NeverAcknowledges) => self.turns_at = Some(Instant::now() + TURN_EVERY),
            None if self.is_unavailable => self.turns_at = Some(Instant::now()),
            None | Some(_) => {}
        }
        match self.races_at {
            None if is_to_race => self.races_at = Some(Instant::now() + self.client.drawn.until_race()),
            Some(_) if !is_to_race => self.races_at = None,
            None | Some(_) => {}
        }
        None
    }

    /// When there is something to do.
    fn due(&self) -> Instant {
        let gives_up_at = self.asked_at.filter(|_| self.reads).map(|asked_at| asked_at + PATIENCE);
        // Whoever does not read stays until he does.
        let leaves_at = self.leaves_at.filter(|_| self.reads);
        let others = [gives_up_at, self.speaks_at, leaves_at, self.races_at, self.turns_at, self.asks_others_at];
        others.into_iter().flatten().fold(self.asks_at, Instant::min)
    }

    async fn do_what_is_due(&mut self) -> Result<Option<Ending>, Broken> {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if self.reads && is_due(self.asked_at.map(|asked_at| asked_at + PATIENCE)) {
            return Err(Broken::Silent);
        }
        if is_due(self.races_at) {
            return Ok(Some(Ending::Race));
        }
        if is_due(self.leaves_at) && self.reads {
            self.leaves_at = None;
            if trace::now() + STAYS_BEFORE_SILENCE < self.client.user.silent_from {
                let (absence, pause) = self.client.drawn.absence();
                return Ok(Some(Ending::Away(absence, pause)));
            }
        }
        if is_due(self.turns_at) {
            self.turn().await?;
        }
        if is_due(self.asks_others_at) {
            self.asks_others_at = self.asks_others_at.map(|at| at + ASK_OTHERS_EVERY);
            self.ask_a_stranger().await?;
        }
        if is_due(self.speaks_at) {
            self.speaks_at = self.speaks_at.map(|at| at + self.client.user.pace);
            if !self.client.user.is_silent() && self.session.unacknowledged().len() < UNACKNOWLEDGED_MAX {
                self.say().await?;
            }
        }
        if self.asks_at <= now {
            self.asks_at += ASK_EVERY;
            self.ask().await?;
        }
        Ok(None)
    }

    /// Says that this client is available; the first one greets the peer's, so that they see each other come and go:
    /// there are no subscriptions between accounts.
    async fn appear(&mut self) -> Result<(), Broken> {
        let presence = Element::new("presence", ns::CLIENT);
        match self.client.role {
            Role::Watch if self.client.user.shares => self.write(presence, None).await,
            Role::Watch => {
                let priority = Element::new("priority", ns::CLIENT).with_text("-1");
                self.write(presence.with_child(priority), None).await
            }
            Role::First | Role::Rival => {
                self.write(presence, None).await?;
                let user = self.client.user;
                if user.peer == user.name {
                    return Ok(());
                }
                let to = user.jid(&user.peer, Some(RESOURCE));
                let status = Element::new("status", ns::CLIENT).with_text(HELLO);
                let greeting = Element::new("presence", ns::CLIENT).with_attribute("to", &to).with_child(status);
                self.write(greeting, None).await
            }
        }
    }

    /// Writes what the node does not have once more.
    async fn write_again(&mut self) -> Result<(), Broken> {
        let again: Vec<_> = self.session.unacknowledged().cloned().collect();
        for written in again {
            if let Some(Known::Message(id)) = written.id {
                self.add(Event::SentAgain { connection: self.connection.clone(), id });
            }
            self.stream.send(&written.stanza).await?;
        }
        self.ask().await
    }

    /// Is not available any more, or again.
    async fn turn(&mut self) -> Result<(), Broken> {
        let goes_on = self.client.has(Trouble::NeverAcknowledges);
        self.turns_at = goes_on.then(|| Instant::now() + TURN_EVERY);
        self.is_unavailable = goes_on && !self.is_unavailable;
        let presence = Element::new("presence", ns::CLIENT);
        let presence = if self.is_unavailable { presence.with_attribute("type", "unavailable") } else { presence };
        self.write(presence, None).await?;
        // The server has asked long since.
        if goes_on { Ok(()) } else { self.acknowledge_all().await }
    }

    async fn ask_a_stranger(&mut self) -> Result<(), Broken> {
        if let Some(stranger) = self.client.user.stranger.clone().filter(|_| !self.client.user.is_silent()) {
            let saying = self.client.speech.ask(self.client.user, &self.client.name, &stranger);
            self.utter(saying).await?;
        }
        Ok(())
    }

    async fn say(&mut self) -> Result<(), Broken> {
        let saying = self.client.speech.next(self.client.user, &self.client.name);
        self.utter(saying).await
    }

    async fn utter(&mut self, saying: Saying) -> Result<(), Broken> {
        let (connection, node, to) = (self.connection.clone(), self.node.to_owned(), saying.to);
        self.add(match saying.id.clone() {
            Known::Message(id) => Event::Sent { connection, node, to, id },
            Known::Request(id) => Event::Asked { connection, node, to, id },
        });
        self.write(saying.stanza, Some(saying.id)).await?;
        self.ask().await
    }

    /// Writes a stanza, which is kept until it is acknowledged.
    pub(super) async fn write(&mut self, stanza: Element, id: Option<Known>) -> Result<(), Broken> {
        self.session.write(stanza.clone(), id);
        self.stream.send(&stanza).await
    }

    async fn ask(&mut self) -> Result<(), Broken> {
        self.stream.send(&Element::new("r", ACKNOWLEDGEMENT)).await?;
        self.asked_at.get_or_insert_with(Instant::now);
        Ok(())
    }

    pub(super) fn add(&self, event: Event) {
        self.client.add(event);
    }
}
