//! What a user does while he is connected: says something now and then, and keeps count with the server.

use std::collections::VecDeque;
use std::time::Duration;

use cresset_core::xml::{Element, ns};
use tokio::time::{Instant, sleep_until};

use super::stream::{Broken, ClientStream};
use super::{ACKNOWLEDGEMENT, Said, User};
use crate::history::{Connection, Event, History};

/// How often a client that has nothing to say asks whether the server is there.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long a client waits for that answer. Longer than a node that lost its lease waits for it to come back.
const PATIENCE: Duration = Duration::from_secs(6);

/// Messages that are not acknowledged, beyond which a user waits.
const UNACKNOWLEDGED_MAX: usize = 100;

struct Talk<'a> {
    user: &'a mut User,
    said: &'a mut Said,
    history: &'a History,
    connection: &'a Connection,
    node: &'a str,
    /// Stanzas that the server has not acknowledged; those that are messages with their ids.
    unacknowledged: VecDeque<Option<String>>,
    /// Stanzas that the server has acknowledged.
    acknowledged: u32,
    /// Stanzas that came.
    handled: u32,
    /// Since when an answer is due.
    asked_at: Option<Instant>,
}

/// Talks until the stream breaks, and says how.
pub(super) async fn talk(
    stream: &mut ClientStream,
    user: &mut User,
    said: &mut Said,
    history: &History,
    connection: &Connection,
    node: &str,
) -> Broken {
    // The presence that was sent at the end of the login.
    let unacknowledged = VecDeque::from([None]);
    let mut talk =
        Talk { user, said, history, connection, node, unacknowledged, acknowledged: 0, handled: 0, asked_at: None };
    match talk.run(stream).await {
        Ok(never) => match never {},
        Err(broken) => broken,
    }
}

impl Talk<'_> {
    async fn run(&mut self, stream: &mut ClientStream) -> Result<std::convert::Infallible, Broken> {
        let mut speak_at = Instant::now() + self.user.pace;
        let mut ask_at = Instant::now() + ASK_EVERY;
        loop {
            let give_up_at = self.asked_at.map_or_else(|| Instant::now() + PATIENCE, |asked_at| asked_at + PATIENCE);
            tokio::select! {
                biased;
                element = stream.next() => self.hear(stream, &element?).await?,
                () = sleep_until(give_up_at) => return Err(Broken::Silent),
                () = sleep_until(speak_at) => {
                    speak_at += self.user.pace;
                    if !self.user.is_silent() && self.unacknowledged.len() < UNACKNOWLEDGED_MAX {
                        self.say(stream).await?;
                    }
                }
                () = sleep_until(ask_at) => {
                    ask_at += ASK_EVERY;
                    self.ask(stream).await?;
                }
            }
        }
    }

    async fn say(&mut self, stream: &mut ClientStream) -> Result<(), Broken> {
        self.said.messages += 1;
        let id = format!("{}.{}", self.user.name, self.said.messages);
        let to = format!("{}@{}", self.user.peer, self.user.domain);
        let message = Element::new("message", ns::CLIENT)
            .with_attribute("type", "chat")
            .with_attribute("to", &to)
            .with_attribute("id", &id)
            .with_child(Element::new("body", ns::CLIENT).with_text("hello"));
        stream.send(&message).await?;
        self.unacknowledged.push_back(Some(id.clone()));
        self.add(Event::Sent {
            connection: self.connection.clone(),
            node: self.node.to_owned(),
            to: self.user.peer.clone(),
            id,
        });
        self.ask(stream).await
    }

    async fn ask(&mut self, stream: &mut ClientStream) -> Result<(), Broken> {
        stream.send(&Element::new("r", ACKNOWLEDGEMENT)).await?;
        self.asked_at.get_or_insert_with(Instant::now);
        Ok(())
    }

    async fn hear(&mut self, stream: &mut ClientStream, element: &Element) -> Result<(), Broken> {
        match (element.namespace(), element.name()) {
            (ACKNOWLEDGEMENT, "r") => {
                let count = self.handled.to_string();
                stream.send(&Element::new("a", ACKNOWLEDGEMENT).with_attribute("h", &count)).await?;
            }
            (ACKNOWLEDGEMENT, "a") => self.acknowledge(element)?,
            (ns::CLIENT, name) => {
                self.handled += 1;
                if name == "message" {
                    self.receive(element);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn acknowledge(&mut self, element: &Element) -> Result<(), Broken> {
        let count = element.attribute("h").and_then(|h| h.parse::<u32>().ok());
        let more = count.and_then(|count| count.checked_sub(self.acknowledged)).map(|more| more as usize);
        let Some(more) = more.filter(|more| *more <= self.unacknowledged.len()) else {
            return Err(Broken::Unreadable(format!("{} acknowledged, then {count:?}", self.acknowledged)));
        };
        for id in self.unacknowledged.drain(..more).flatten().collect::<Vec<_>>() {
            self.add(Event::Acknowledged { connection: self.connection.clone(), id });
        }
        self.acknowledged += u32::try_from(more).unwrap_or(u32::MAX);
        self.asked_at = None;
        Ok(())
    }

    fn receive(&mut self, element: &Element) {
        let (connection, id) = (self.connection.clone(), element.attribute("id").unwrap_or_default().to_owned());
        if element.attribute("type") == Some("error") {
            self.add(Event::Bounced { connection, id });
        } else {
            self.add(Event::Received { connection, node: self.node.to_owned(), id });
        }
    }

    fn add(&self, event: Event) {
        self.history.add(&self.user.name, event);
    }
}
