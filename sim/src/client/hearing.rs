//! What a client makes of what it hears.

use cresset_core::xml::{Element, ns};

use super::login::condition;
use super::stream::Broken;
use super::talk::{HELLO, Talk};
use super::{ACKNOWLEDGEMENT, PING, RESOURCE};
use crate::history::Event;
use crate::world::Trouble;

impl Talk<'_, '_> {
    /// An element came.
    pub(super) async fn hear(&mut self, element: &Element) -> Result<(), Broken> {
        match (element.namespace(), element.name()) {
            (ACKNOWLEDGEMENT, "r") => self.acknowledge_all().await,
            (ACKNOWLEDGEMENT, "a") => self.be_acknowledged(element),
            (ns::CLIENT, _) => {
                self.session.handle();
                self.hear_stanza(element).await
            }
            _ => Ok(()),
        }
    }

    /// A stanza came: notes it, and answers if it wants an answer.
    pub(super) async fn hear_stanza(&mut self, stanza: &Element) -> Result<(), Broken> {
        self.note(stanza);
        match self.answer(stanza) {
            Some(answer) => self.write(answer, None).await,
            None => Ok(()),
        }
    }

    /// Says how many stanzas came.
    pub(super) async fn acknowledge_all(&mut self) -> Result<(), Broken> {
        if self.client.has(Trouble::NeverAcknowledges) {
            return Ok(());
        }
        let count = self.session.handled().to_string();
        self.stream.send(&Element::new("a", ACKNOWLEDGEMENT).with_attribute("h", &count)).await
    }

    pub(super) fn be_acknowledged(&mut self, element: &Element) -> Result<(), Broken> {
        let count = element.attribute("h").and_then(|h| h.parse().ok());
        let count = count.ok_or_else(|| Broken::Unreadable(element.to_string()))?;
        for known in self.session.acknowledge(count)? {
            self.add(known.acknowledged(self.connection.clone()));
        }
        self.asked_at = None;
        Ok(())
    }

    /// Notes what a stanza says.
    pub(super) fn note(&self, stanza: &Element) {
        let (connection, id) = (self.connection.clone(), stanza.attribute("id").unwrap_or_default().to_owned());
        let from = stanza.attribute("from").unwrap_or_default();
        self.add(match (stanza.name(), stanza.attribute("type")) {
            ("message", Some("error")) => Event::Bounced { connection, id },
            ("message", _) => Event::Received { connection, node: self.node.to_owned(), id },
            ("iq", Some("result")) => Event::Answered { connection, id, error: None },
            ("iq", Some("error")) => {
                Event::Answered { connection, id, error: Some(condition(stanza).unwrap_or_default()) }
            }
            ("presence", None) => Event::Presence { connection, of: from.to_owned(), available: true },
            ("presence", Some("unavailable")) => Event::Presence { connection, of: from.to_owned(), available: false },
            _ => return,
        });
    }

    /// What a stanza is answered with.
    fn answer(&self, stanza: &Element) -> Option<Element> {
        let from = stanza.attribute("from")?;
        match (stanza.name(), stanza.attribute("type")) {
            ("iq", Some("get")) if stanza.child("ping", PING).is_some() => {
                let id = stanza.attribute("id").unwrap_or_default();
                self.add(Event::WasAsked { connection: self.connection.clone(), id: id.to_owned() });
                Some(
                    Element::new("iq", ns::CLIENT)
                        .with_attribute("type", "result")
                        .with_attribute("to", from)
                        .with_attribute("id", id),
                )
            }
            ("presence", None) if is_hello(stanza) && from != self.own_jid() => {
                Some(Element::new("presence", ns::CLIENT).with_attribute("to", from))
            }
            _ => None,
        }
    }

    fn own_jid(&self) -> String {
        let user = self.client.user;
        user.jid(&user.name, Some(RESOURCE))
    }
}

fn is_hello(presence: &Element) -> bool {
    presence.child("status", ns::CLIENT).is_some_and(|status| status.open().text() == HELLO)
}
