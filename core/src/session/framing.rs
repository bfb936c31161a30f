//! How a stream lies in the bytes of a transport. Here as RFC 6120 has it: one XML document in each direction.
//!
//! ```text
//! bytes ──▶ feed, poll ──▶ Heard: Open, Element, Close; or a Fault                        ─▶ session
//! bytes ◀── open, features, stanza, element, text, error, close: one frame for each call  ◀─ session
//! ```
//!
//! The session knows what is said on a stream and when; how it is written only this knows. RFC 7395 needs nothing else: there
//! each frame is a message of WebSocket and a document of its own, so a stream is opened and closed by an element, and
//! features, errors and stanzas declare their namespaces themselves. A framing of that kind stands beside this one, and the
//! session has one or the other. Where one frame ends and the next begins is told by the calls of
//! [`Output::frame`](super::output::Output::frame).
//!
//! Deliberately not here: what an opening has to say, in which order things are said, and when a stream begins anew.

use crate::jid::BareJid;
use crate::session::StreamErrorCondition;
use crate::session::error::StreamError;
use crate::stanza::Stanza;
use crate::xml::write::{attribute, attribute_if, escaped};
use crate::xml::{Element, StreamEvent, StreamReader, XmlError, XmlLimits};

/// One stream on one transport, and those that follow it there.
pub(super) struct Framing {
    reader: StreamReader,
    is_open: bool,
}

/// What the client says.
#[derive(Debug)]
pub(super) enum Heard {
    /// It opens a stream.
    Open(Opening),
    /// A stanza, or what belongs to the stream.
    Element(Element),
    /// It closes the stream.
    Close,
}

/// How the client opens a stream (RFC 6120 section 4.7).
#[derive(Debug)]
pub(super) struct Opening {
    /// The domain that it wants to talk to.
    pub(super) to: Option<String>,
    /// Who it says it is.
    pub(super) from: Option<String>,
    /// Of XMPP.
    pub(super) version: Option<String>,
}

/// How the server opens its side.
#[derive(Debug)]
pub(super) struct Header<'a> {
    /// The domain that is served.
    pub(super) from: &'a str,
    /// Who the client says it is.
    pub(super) to: Option<&'a BareJid>,
    /// Of the stream.
    pub(super) id: &'a str,
}

/// The client said what is no stream.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) condition: StreamErrorCondition,
    /// In words that may be shown to it.
    pub(super) reason: &'static str,
}

impl Framing {
    /// Before the first byte on a transport.
    pub(super) fn new() -> Framing {
        Framing { reader: StreamReader::new(XmlLimits::BEFORE_AUTHENTICATION), is_open: false }
    }

    /// Takes in what the client has sent.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.reader.feed(bytes);
    }

    /// What the client says next, or nothing if more bytes have to come first.
    ///
    /// # Errors
    ///
    /// What the stream is to be closed with. The same at each further call.
    pub(super) fn poll(&mut self) -> Result<Option<Heard>, Fault> {
        match self.reader.poll() {
            Ok(event) => Ok(event.map(Heard::from)),
            Err(error) => Err(Fault { condition: StreamErrorCondition::from(error), reason: error.reason() }),
        }
    }

    /// The client has authenticated: from its next element on it may say as much at once as a stanza may have.
    pub(super) fn trust(&mut self) {
        self.reader.set_limits(XmlLimits::AUTHENTICATED);
    }

    /// A new stream begins with the next byte that is not read (RFC 6120 section 4.3.3).
    pub(super) fn restart(&mut self) {
        self.reader.restart();
        self.is_open = false;
    }

    /// Forgets what has come and was not read.
    pub(super) fn drop_unread(&mut self) {
        self.reader.take_remaining();
    }

    /// Forgets everything that has come: the transport is gone.
    pub(super) fn leave(&mut self) {
        self.reader = StreamReader::new(XmlLimits::AUTHENTICATED);
    }

    /// Gives memory back that is kept for the next element.
    pub(super) fn shrink(&mut self) {
        self.reader.shrink();
    }

    /// Whether the server has opened its side of the stream. Before that nothing can be said.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Opens the server's side of the stream, version 1.0.
    pub(super) fn open(&mut self, out: &mut Vec<u8>, header: &Header<'_>) {
        out.extend_from_slice(
            b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
            xmlns:stream='http://etherx.jabber.org/streams'",
        );
        attribute(out, "from", header.from);
        attribute_if(out, "to", header.to.map(|to| to.as_str()));
        attribute(out, "id", header.id);
        out.extend_from_slice(b" xml:lang='en' version='1.0'>");
        self.is_open = true;
    }

    /// Says what can be negotiated, which `content` writes with its namespaces. The prefix is what some clients look for.
    pub(super) fn features(&self, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(b"<stream:features>");
        content(out);
        out.extend_from_slice(b"</stream:features>");
    }

    /// Writes a stanza.
    pub(super) fn stanza(&self, out: &mut Vec<u8>, stanza: &Stanza) {
        stanza.write(out);
    }

    /// Writes an element that belongs to the stream, or a stanza that was made as one.
    pub(super) fn element(&self, out: &mut Vec<u8>, element: &Element) {
        element.write(out);
    }

    /// Writes an element that belongs to the stream and stands here as it is written, with its namespace.
    pub(super) fn text(&self, out: &mut Vec<u8>, element: &str) {
        out.extend_from_slice(element.as_bytes());
    }

    /// Says why the stream ends (RFC 6120 section 4.9.2).
    pub(super) fn error(&self, out: &mut Vec<u8>, error: &StreamError<'_>) {
        let condition = error.condition.name();
        out.extend_from_slice(b"<stream:error><");
        out.extend_from_slice(condition.as_bytes());
        attribute(out, "xmlns", ERRORS);
        match error.other_host {
            None => out.extend_from_slice(b"/>"),
            Some(host) => {
                out.push(b'>');
                escaped(out, host);
                out.extend_from_slice(b"</");
                out.extend_from_slice(condition.as_bytes());
                out.push(b'>');
            }
        }
        if let Some(text) = error.text {
            out.extend_from_slice(b"<text");
            attribute(out, "xmlns", ERRORS);
            out.extend_from_slice(b" xml:lang='en'>");
            escaped(out, text);
            out.extend_from_slice(b"</text>");
        }
        if let Some(detail) = error.detail {
            detail.write(out);
        }
        out.extend_from_slice(b"</stream:error>");
    }

    /// Closes the server's side of the stream.
    pub(super) fn close(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"</stream:stream>");
    }
}

/// Namespace of the conditions of stream errors.
const ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

impl From<StreamEvent> for Heard {
    fn from(event: StreamEvent) -> Heard {
        match event {
            StreamEvent::Open(header) => {
                Heard::Open(Opening { to: header.to, from: header.from, version: header.version })
            }
            StreamEvent::Element(element) => Heard::Element(element),
            StreamEvent::Close => Heard::Close,
        }
    }
}

impl From<XmlError> for StreamErrorCondition {
    fn from(error: XmlError) -> StreamErrorCondition {
        match error {
            XmlError::NotWellFormed(_) => StreamErrorCondition::NotWellFormed,
            XmlError::RestrictedXml(_) => StreamErrorCondition::RestrictedXml,
            XmlError::UnsupportedEncoding(_) => StreamErrorCondition::UnsupportedEncoding,
            XmlError::PolicyViolation(_) => StreamErrorCondition::PolicyViolation,
            XmlError::InvalidNamespace(_) => StreamErrorCondition::InvalidNamespace,
            XmlError::BadNamespacePrefix(_) => StreamErrorCondition::BadNamespacePrefix,
            XmlError::BadFormat(_) => StreamErrorCondition::BadFormat,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_server_has_opened_its_side_until_the_stream_begins_anew() {
        let mut framing = Framing::new();
        assert!(!framing.is_open());

        let header = written(|out| framing.open(out, &Header { from: "example.org", to: None, id: "a" }));

        assert!(framing.is_open());
        assert!(header.ends_with(" from='example.org' id='a' xml:lang='en' version='1.0'>"), "{header}");
        framing.restart();
        assert!(!framing.is_open());
    }

    /// RFC 6120 section 4.9.2.
    #[test]
    fn an_error_says_its_condition_then_its_text_then_its_detail() {
        let detail = Element::new("a", "urn:b");
        let error = StreamError {
            other_host: Some("<host>"),
            text: Some("gone"),
            detail: Some(&detail),
            ..StreamError::from(StreamErrorCondition::SeeOtherHost)
        };

        assert_eq!(
            written(|out| Framing::new().error(out, &error)),
            "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>&lt;host&gt;</see-other-host>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>gone</text><a xmlns='urn:b'/></stream:error>"
        );
    }

    #[test]
    fn what_is_not_read_may_be_dropped_or_left_to_the_next_stream() {
        let mut framing = Framing::new();
        framing.feed(b"<a/>");
        framing.drop_unread();
        framing.feed(b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a'>");
        framing.restart();

        assert!(matches!(framing.poll(), Ok(Some(Heard::Open(Opening { to: Some(to), .. }))) if to == "a"));
        assert!(matches!(framing.poll(), Ok(None)));
    }
}
