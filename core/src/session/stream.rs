//! How a stream begins and ends (RFC 6120 section 4).
//!
//! The server's header comes before anything else that it says, an error included. An error is said once, and then the
//! stream is closed.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::Rng;

use crate::admission::Door;
use crate::jid::BareJid;
use crate::routing::{Home, Parcel};
use crate::sasl::Mechanism;
use crate::session::error::StreamError;
use crate::session::framing::{Header, Opening};
use crate::session::{OfflineMessage, Order, Session, Stage, StreamErrorCondition, TlsPolicy, Transport};
use crate::time::Uptime;

impl Session {
    /// The client opens a stream: the answer is a header and the features, or an error.
    pub(super) fn handle_open(&mut self, opening: &Opening) {
        let from = opening.from.as_deref().and_then(|from| BareJid::new(from).ok());
        self.send_header(from.as_ref());
        if let Err(condition) = self.check_opening(opening) {
            self.fail(condition, None);
            return;
        }
        match self.door.take().map_or(Door::Open, |door| *door) {
            Door::Open => {}
            Door::Elsewhere(host) => {
                self.fail_with(&StreamError::see_other_host(&host.to_string()));
                return;
            }
            Door::Shut => {
                self.fail(StreamErrorCondition::SystemShutdown, Some("nobody is served here at the moment"));
                return;
            }
        }
        self.stage = Stage::Negotiating;
        self.send_features();
    }

    fn check_opening(&self, opening: &Opening) -> Result<(), StreamErrorCondition> {
        let to = opening.to.as_deref().filter(|to| !to.is_empty()).ok_or(StreamErrorCondition::ImproperAddressing)?;
        if !self.is_served(to) {
            // Who has authenticated for this domain has no right to another one (RFC 6120 section 6.4.6).
            let is_authenticated = self.account.is_some();
            return Err(match is_authenticated {
                true => StreamErrorCondition::NotAuthorized,
                false => StreamErrorCondition::HostUnknown,
            });
        }
        let major = opening.version.as_deref().and_then(|version| version.split_once('.')).map(|(major, _)| major);
        match major.and_then(|major| major.parse::<u32>().ok()) {
            // A newer client is answered with the highest version that is spoken here (RFC 6120 section 4.7.5).
            Some(1..) => Ok(()),
            Some(0) | None => Err(StreamErrorCondition::UnsupportedVersion),
        }
    }

    /// Whether an address is that of the server. Almost always it is written as the server writes it, and nothing has to
    /// be prepared.
    fn is_served(&self, to: &str) -> bool {
        let domain = &self.settings.domain;
        to == domain.as_str() || BareJid::new(to).is_ok_and(|to| to.node().is_none() && to.domain() == *domain)
    }

    /// Writes the server's header with an id that nobody can guess (RFC 6120 section 4.7.3).
    pub(super) fn send_header(&mut self, to: Option<&BareJid>) {
        let id = self.random_text::<18>();
        let header = Header { from: self.settings.domain.as_str(), to, id: &id };
        self.output.frame(|out| self.framing.open(out, &header));
    }

    /// Says what can be negotiated. It depends on nothing but the settings and what was negotiated, so it is the same on
    /// all nodes.
    fn send_features(&mut self) {
        let mechanisms = self.mechanisms();
        let starttls = match self.settings.tls {
            TlsPolicy::Required if !self.encrypted => {
                "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
            }
            TlsPolicy::Optional if !self.encrypted => "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            TlsPolicy::Required | TlsPolicy::Optional | TlsPolicy::Disabled => "",
        };
        let is_authenticated = self.account.is_some();
        self.output.frame(|out| {
            self.framing.features(out, |out| {
                if is_authenticated {
                    out.extend_from_slice(FEATURES_OF_AN_ACCOUNT.as_bytes());
                    return;
                }
                out.extend_from_slice(starttls.as_bytes());
                if mechanisms.is_empty() {
                    return;
                }
                out.extend_from_slice(b"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>");
                for mechanism in mechanisms {
                    out.extend_from_slice(format!("<mechanism>{}</mechanism>", mechanism.name()).as_bytes());
                }
                out.extend_from_slice(b"</mechanisms>");
            });
        });
    }

    /// The mechanisms that are offered on this stream.
    pub(super) fn mechanisms(&self) -> Vec<Mechanism> {
        if self.settings.tls == TlsPolicy::Required && !self.encrypted {
            return Vec::new();
        }
        let shows_password = self.encrypted || self.settings.plain_without_tls;
        Mechanism::ALL.into_iter().filter(|mechanism| *mechanism != Mechanism::Plain || shows_password).collect()
    }

    /// The client asks for TLS (RFC 6120 section 5). What it has sent behind that would be read as if it had come
    /// encrypted, so it is dropped.
    pub(super) fn handle_starttls(&mut self) {
        if self.encrypted || self.account.is_some() || self.settings.tls == TlsPolicy::Disabled {
            self.output.frame(|out| self.framing.text(out, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"));
            self.finish();
            return;
        }
        self.output.frame(|out| self.framing.text(out, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"));
        self.output.order(Order::StartTls);
        self.framing.drop_unread();
        self.stage = Stage::Handshake;
    }

    /// A new stream begins on the transport, with the next byte that is not read.
    pub(super) fn restart_stream(&mut self) {
        self.framing.restart();
        self.stage = Stage::Opening;
    }

    /// Ends the stream with an error, and the session with it.
    pub(super) fn fail(&mut self, condition: StreamErrorCondition, text: Option<&str>) {
        self.fail_with(&StreamError { text, ..StreamError::from(condition) });
    }

    /// Ends the stream with an error that says more than a condition, and the session with it.
    pub(super) fn fail_with(&mut self, error: &StreamError<'_>) {
        self.discard_what_may_not_be_delivered();
        self.say_error(error);
        self.end();
    }

    /// Says an error if there is a stream to say it on.
    pub(super) fn say_error(&mut self, error: &StreamError<'_>) {
        if self.transport != Transport::Lost && !matches!(self.stage, Stage::Handshake | Stage::Over) {
            self.open_if_it_is_not();
            self.output.frame(|out| self.framing.error(out, error));
        }
    }

    fn open_if_it_is_not(&mut self) {
        if !self.framing.is_open() {
            self.send_header(None);
        }
    }

    /// Closes the stream, if there is one, and the transport.
    pub(super) fn close_transport(&mut self) {
        if self.transport != Transport::Lost {
            // Within a handshake nothing can be said.
            if !matches!(self.stage, Stage::Handshake) {
                self.open_if_it_is_not();
                self.output.frame(|out| self.framing.close(out));
            }
            self.output.order(Order::Close);
            self.transport = Transport::Lost;
        }
    }

    /// Ends the session: the stream is closed, what is not settled goes back, whoever saw the client is told.
    pub(super) fn finish(&mut self) {
        self.discard_what_may_not_be_delivered();
        self.end();
    }

    fn end(&mut self) {
        if self.is_over() {
            return;
        }
        self.close_transport();
        if let Some(mut bound) = self.bound.take() {
            let route = bound.route;
            for delivery in bound.deliveries.take_all() {
                if let Some(home) = delivery.home {
                    self.output.order(Order::Return(Box::new(Parcel { stanza: delivery.stanza, route, home })));
                }
            }
            for OfflineMessage { key, message, .. } in self.offline_answer.take().into_iter().flatten().flatten() {
                let home = Home::Offline { key, claimant: route };
                self.output.order(Order::Return(Box::new(Parcel { stanza: message, route, home })));
            }
            for stanza in bound.farewells() {
                self.output.order(Order::Route { number: None, stanza });
            }
            bound.announcer.end();
            self.last_presence = Some(Box::new(bound.announcer));
        }
        self.output.order(Order::End);
        self.stage = Stage::Over;
        self.framing.leave();
        self.count_requests.clear();
        (self.deadline, self.ask_again, self.hibernates_until) = (None, None, None);
        (self.awaits_presence_until, self.awaits_management_until, self.claim_again) = (None, None, None);
    }

    /// A negotiation step took too long.
    pub(super) fn handle_deadline(&mut self, now: Uptime) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.fail(StreamErrorCondition::ConnectionTimeout, Some("the negotiation took too long"));
        }
    }

    /// Random text of letters, digits, `-` and `_`, made of so many bytes.
    pub(super) fn random_text<const BYTES: usize>(&mut self) -> String {
        let mut bytes = [0; BYTES];
        self.random.fill_bytes(&mut bytes);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// What somebody who has authenticated can do next.
const FEATURES_OF_AN_ACCOUNT: &str = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>\
    <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>\
    <sm xmlns='urn:xmpp:sm:3'/>";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::names::SESSION;
    use crate::session::names;

    #[test]
    fn features_are_those_of_the_namespaces_that_are_spoken() {
        for namespace in [names::BIND, SESSION, names::STREAM_MANAGEMENT] {
            assert!(FEATURES_OF_AN_ACCOUNT.contains(namespace), "{namespace}");
        }
    }
}
