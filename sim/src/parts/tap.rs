//! Reads along what a node tells one client, so that the history knows who delivered what to whom at which moment, by
//! the node's own bytes and not by what anybody says of himself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use cresset_core::xml::{Element, StreamEvent, StreamReader, XmlLimits, ns};

use crate::client::{ACKNOWLEDGEMENT, BIND, SASL};
use crate::history::{Event, History};

/// The JIDs of a node's sessions by what resumes them (XEP-0198).
pub(crate) type Resumable = Arc<Mutex<BTreeMap<String, String>>>;

/// What a node says on one connection to a client.
pub(crate) struct Tap {
    node: Arc<str>,
    client: SocketAddr,
    history: History,
    reader: StreamReader,
    jid: Option<String>,
    resumable: Resumable,
}

impl Tap {
    pub(crate) fn new(node: Arc<str>, client: SocketAddr, history: History, resumable: Resumable) -> Self {
        Tap { node, client, history, reader: StreamReader::new(XmlLimits::AUTHENTICATED), jid: None, resumable }
    }

    /// The node has written these bytes. Each element that is whole with them is handed on.
    pub(crate) fn wrote(&mut self, bytes: &[u8], mut hear: impl FnMut(Element)) {
        self.reader.feed(bytes);
        loop {
            match self.reader.poll() {
                Ok(Some(StreamEvent::Element(element))) => {
                    self.heard(&element);
                    hear(element);
                }
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
            self.holds();
            return;
        }
        if element.namespace() == ACKNOWLEDGEMENT {
            self.heard_of_resumption(element);
            return;
        }
        let (Some(jid), true) = (self.jid.clone(), element.namespace() == ns::CLIENT) else { return };
        let id = element.attribute("id").unwrap_or_default().to_owned();
        self.add(Event::Delivers { node: self.node.to_string(), client: self.client, jid, id });
    }

    fn heard_of_resumption(&mut self, element: &Element) {
        let mut resumable = self.resumable.lock().unwrap_or_else(PoisonError::into_inner);
        match (element.name(), element.attribute("id"), element.attribute("previd")) {
            ("enabled", Some(id), _) => resumable.extend(self.jid.clone().map(|jid| (id.to_owned(), jid))),
            ("resumed", _, Some(id)) => {
                self.jid = resumable.get(id).cloned();
                drop(resumable);
                self.holds();
            }
            _ => {}
        }
    }

    fn holds(&self) {
        if let Some(jid) = self.jid.clone() {
            self.add(Event::Holds { node: self.node.to_string(), client: self.client, jid });
        }
    }

    fn add(&self, event: Event) {
        self.history.add(&self.node, event);
    }
}
