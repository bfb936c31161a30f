//! What a client says, element by element, and whose business each is.

use crate::session::framing::Heard;
use crate::session::{Session, Stage, StreamErrorCondition, bind, names};
use crate::time::Uptime;
use crate::xml::{Element, ns};

impl Session {
    /// Reads what the client has sent, for as long as it is its turn.
    pub(super) fn read(&mut self, now: Uptime) {
        while self.wants_bytes() {
            match self.framing.poll() {
                Ok(Some(Heard::Open(opening))) => self.handle_open(&opening),
                Ok(Some(Heard::Element(element))) => self.handle_element(now, element),
                Ok(Some(Heard::Close)) => self.finish(),
                Ok(None) => return,
                Err(fault) => self.fail(fault.condition, Some(fault.reason)),
            }
        }
    }

    fn handle_element(&mut self, now: Uptime, element: Element) {
        match element.namespace() {
            ns::CLIENT if bind::is_stanza(&element) => match self.stage {
                Stage::Bound => self.handle_stanza(now, element),
                Stage::Opening
                | Stage::Negotiating
                | Stage::Handshake
                | Stage::Login(_)
                | Stage::Binding { .. }
                | Stage::Resuming
                | Stage::Over => self.handle_unbound_stanza(&element),
            },
            names::STREAM_MANAGEMENT => self.handle_management(now, &element),
            names::SASL if self.account.is_none() => self.handle_sasl(now, &element),
            names::TLS if element.name() == "starttls" => self.handle_starttls(),
            // A client that reports an error closes the stream (RFC 6120 section 4.9.1.1).
            ns::STREAM if element.name() == "error" => self.finish(),
            _ => self.fail(StreamErrorCondition::UnsupportedStanzaType, None),
        }
    }
}
