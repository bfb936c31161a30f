//! The steps of a login, each a request with its answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cresset_core::xml::{Element, ns};

use super::stream::{Broken, ClientStream, refused};
use super::{ACKNOWLEDGEMENT, BIND, ERRORS, SASL, User};
use crate::parts::PASSWORD;

/// What a node says to somebody who wants to go on with a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ResumptionAnswer {
    /// He may, and the node has handled so many of his stanzas.
    Resumed {
        /// So many.
        handled: u32,
    },
    /// He may not.
    Refused {
        /// The condition.
        condition: String,
    },
}

/// What a node says when acknowledgement is switched on.
pub(super) struct Enabled {
    /// By what the session is resumed, and the seconds within which it has to be.
    pub(super) resumption: Option<(String, u64)>,
    /// Stanzas that came before, which are not counted.
    pub(super) early: Vec<Element>,
}

impl ClientStream {
    /// Opens the stream, proves who the user is, and opens it anew.
    pub(super) async fn authenticate(&mut self, user: &User) -> Result<(), Broken> {
        self.open(&user.domain).await?;
        let secret = BASE64.encode(format!("\0{}\0{PASSWORD}", user.name));
        self.send(&Element::new("auth", SASL).with_attribute("mechanism", "PLAIN").with_text(&secret)).await?;
        let answer = self.next().await?;
        if !answer.is("success", SASL) {
            return Err(refused(&answer));
        }
        self.restart();
        self.open(&user.domain).await
    }

    /// Asks for a full JID: gives it, or the condition under which it was refused.
    pub(super) async fn bind(&mut self, resource: &str) -> Result<Result<String, String>, Broken> {
        let bind = Element::new("bind", BIND).with_child(Element::new("resource", BIND).with_text(resource));
        let request = Element::new("iq", ns::CLIENT).with_attribute("type", "set").with_attribute("id", "bind");
        self.send(&request.with_child(bind)).await?;
        let answer = self.next().await?;
        if answer.attribute("type") == Some("error") {
            return Ok(Err(condition(&answer).unwrap_or_default()));
        }
        let bound = answer.child("bind", BIND).map(|bind| bind.open());
        let jid = bound.and_then(|bind| bind.child("jid", BIND).map(|jid| jid.open().text().into_owned()));
        jid.map(Ok).ok_or_else(|| refused(&answer))
    }

    /// Switches acknowledgement on. What others send meanwhile may come first.
    pub(super) async fn enable(&mut self, request: &Element) -> Result<Enabled, Broken> {
        self.send(request).await?;
        let mut early = Vec::new();
        loop {
            let answer = self.next().await?;
            if answer.is("enabled", ACKNOWLEDGEMENT) {
                let seconds = answer.attribute("max").and_then(|max| max.parse().ok()).unwrap_or_default();
                let is_resumable = matches!(answer.attribute("resume"), Some("true" | "1"));
                let id = answer.attribute("id").filter(|_| is_resumable);
                return Ok(Enabled { resumption: id.map(|id| (id.to_owned(), seconds)), early });
            }
            if answer.namespace() != ns::CLIENT {
                return Err(refused(&answer));
            }
            early.push(answer);
        }
    }

    /// Asks to go on with a session.
    pub(super) async fn resume(&mut self, id: &str, handled: u32) -> Result<ResumptionAnswer, Broken> {
        let request = Element::new("resume", ACKNOWLEDGEMENT)
            .with_attribute("previd", id)
            .with_attribute("h", &handled.to_string());
        self.send(&request).await?;
        let answer = self.next().await?;
        let count = answer.attribute("h").and_then(|h| h.parse().ok());
        match (answer.name(), count) {
            _ if answer.namespace() != ACKNOWLEDGEMENT => Err(refused(&answer)),
            ("resumed", Some(handled)) if answer.attribute("previd") == Some(id) => {
                Ok(ResumptionAnswer::Resumed { handled })
            }
            ("failed", _) => {
                let condition = answer.children().next().map(|child| child.name().to_owned());
                Ok(ResumptionAnswer::Refused { condition: condition.unwrap_or_default() })
            }
            _ => Err(refused(&answer)),
        }
    }
}

/// The condition of a stanza that is an error (RFC 6120 section 8.3).
pub(crate) fn condition(stanza: &Element) -> Option<String> {
    let error = stanza.child("error", ns::CLIENT)?.open();
    error.children().find(|child| child.namespace() == ERRORS).map(|child| child.name().to_owned())
}
