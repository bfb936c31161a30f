//! Reads along what a node tells one client, so that the history knows who delivered what to whom at which moment, by
//! the node's own bytes and not by what anybody says of himself.

use std::net::SocketAddr;
use std::sync::Arc;

use cresset_core::xml::{Element, StreamEvent, StreamReader, XmlLimits, ns};

use crate::client::{BIND, SASL};
use crate::history::{Event, History};

/// What a node says on one connection to a client.
pub(super) struct Tap {
    node: Arc<str>,
    client: SocketAddr,
    history: History,
    reader: StreamReader,
    jid: Option<String>,
}

impl Tap {
    pub(super) fn new(node: Arc<str>, client: SocketAddr, history: History) -> Self {
        Tap { node, client, history, reader: StreamReader::new(XmlLimits::AUTHENTICATED), jid: None }
    }

    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        self.reader.feed(bytes);
        loop {
            match self.reader.poll() {
                Ok(Some(StreamEvent::Element(element))) => self.heard(&element),
                Ok(Some(StreamEvent::Open(_) | StreamEvent::Close)) => {}
                Ok(None) => return,
                Err(error) => {
                    // A node must not write what its own parser refuses (architecture section 7).
                    let (node, text) = (self.node.to_string(), error.to_string());
                    self.history.add(&node.clone(), Event::UnreadableOutput { node, text });
                    return;
                }
            }
        }
    }

    fn heard(&mut self, element: &Element) {
        if element.is("success", SASL) {
            self.reader.restart();
            return;
        }
        if let Some(bound) = element.child("bind", BIND).filter(|_| element.is("iq", ns::CLIENT)) {
            self.jid = bound.open().child("jid", BIND).map(|jid| jid.open().text().into_owned());
            if let Some(jid) = self.jid.clone() {
                self.add(Event::Holds { node: self.node.to_string(), client: self.client, jid });
            }
            return;
        }
        let (Some(jid), true) = (self.jid.clone(), element.namespace() == ns::CLIENT) else { return };
        let id = element.attribute("id").unwrap_or_default().to_owned();
        self.add(Event::Delivers { node: self.node.to_string(), client: self.client, jid, id });
    }

    fn add(&self, event: Event) {
        self.history.add(&self.node, event);
    }
}
