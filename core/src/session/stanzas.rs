//! What a client sends once it is bound: answered here, or routed, by whom it is for. What is answered is said by
//! `services`.
//!
//! The client's own address is stamped on each stanza whatever it wrote there (RFC 6120 section 8.1.2.1), and what only
//! servers say is taken out, so that nobody can speak for the server.

use crate::ids::Sequence;
use crate::jid::{BareJid, Jid};
use crate::services::{self, Answer, Facts};
use crate::session::{Order, Session, StreamErrorCondition, names};
use crate::stanza::{ErrorCondition, IqType, Kind, Recipient, Service, Stanza, StanzaFault, Whose};
use crate::time::Uptime;
use crate::xml::{Child, Element};

impl Session {
    /// A stanza of the client.
    pub(super) fn handle_stanza(&mut self, now: Uptime, mut element: Element) {
        let Some(bound) = self.bound.as_mut() else { return };
        let number = bound.tally.receive();
        element.retain_children(|child| !is_forged(child, &bound.account));
        let jid = Jid::from(bound.jid.clone());
        match Stanza::from_element(element) {
            Ok(stanza) => {
                let stanza = Stanza { from: Some(jid), ..stanza };
                bound.tally.weigh(stanza.weight());
                let recipient = Recipient::of(&self.settings.domain, &stanza).expect("its sender is stamped");
                match stanza.kind {
                    Kind::Presence(presence_type) => {
                        self.handle_presence(now, number, recipient, presence_type, stanza);
                    }
                    Kind::Message(_) => self.handle_message(now, number, recipient, stanza),
                    Kind::Iq(iq_type) => self.handle_iq(now, number, recipient, iq_type, stanza),
                }
            }
            Err(StanzaFault::Refused(refusal)) => {
                if let Some(answer) = refusal.answer {
                    self.reply(answer);
                }
                self.handled(now, number);
            }
            Err(StanzaFault::NotAStanza) => self.fail(StreamErrorCondition::UnsupportedStanzaType, None),
        }
    }

    /// A message to nobody is one to the client's own account (RFC 6120 section 10.3.1).
    fn handle_message(&mut self, now: Uptime, number: Sequence, recipient: Recipient, mut stanza: Stanza) {
        match recipient {
            Recipient::Service(Service::Domain | Service::Resource) => {
                self.refuse(now, number, &stanza, ErrorCondition::ServiceUnavailable);
            }
            Recipient::Session
            | Recipient::Account(Whose::Own | Whose::Another)
            | Recipient::Service(Service::Subdomain)
            | Recipient::Remote => {
                if stanza.to.is_none() {
                    stanza.to = self.bound.as_ref().map(|bound| Jid::from(bound.account.clone()));
                }
                self.route(number, stanza);
            }
        }
    }

    fn handle_iq(&mut self, now: Uptime, number: Sequence, recipient: Recipient, iq_type: IqType, stanza: Stanza) {
        match (iq_type, recipient) {
            (IqType::Get | IqType::Set, _) => self.handle_request(now, number, recipient, stanza),
            // Answers to what the server has asked, as a roster push; nothing depends on them.
            (IqType::Result | IqType::Error, Recipient::Account(Whose::Own) | Recipient::Service(Service::Domain)) => {
                self.handled(now, number)
            }
            (
                IqType::Result | IqType::Error,
                Recipient::Session
                | Recipient::Account(Whose::Another)
                | Recipient::Service(Service::Resource | Service::Subdomain)
                | Recipient::Remote,
            ) => self.route(number, stanza),
        }
    }

    fn handle_request(&mut self, now: Uptime, number: Sequence, recipient: Recipient, iq: Stanza) {
        let facts = Facts { wall: self.wall, software_version: &self.settings.software_version };
        match services::answer(recipient, &iq, &facts) {
            Answer::Result(content) => {
                self.reply(iq.answer(content.as_ref()));
                self.handled(now, number);
            }
            Answer::Refused(condition) => self.refuse(now, number, &iq, condition),
            Answer::Roster(query) => self.handle_roster_request(now, number, iq, &query),
            Answer::Route => self.route(number, iq),
        }
    }

    /// Routes a stanza of the client.
    pub(super) fn route(&mut self, number: Sequence, stanza: Stanza) {
        self.output.order(Order::Route { number: Some(number), stanza });
    }

    /// Answers a stanza of the client with an error, if it may be, and is done with it.
    pub(super) fn refuse(&mut self, now: Uptime, number: Sequence, stanza: &Stanza, condition: ErrorCondition) {
        if let Some(error) = stanza.bounce(condition, None) {
            self.reply(error);
        }
        self.handled(now, number);
    }
}

/// Whether a client has no right to send this child: it says what only a server may say (XEP-0203, XEP-0280, XEP-0313,
/// XEP-0359, XEP-0421).
fn is_forged(child: Child<'_>, account: &BareJid) -> bool {
    match (child.name(), child.namespace()) {
        ("received" | "sent", names::CARBONS) | ("result", names::MAM) | ("occupant-id", names::OCCUPANT_ID) => true,
        ("delay", names::DELAY) => may_name_our_domain(child.open().attribute("from"), account),
        ("stanza-id", names::STANZA_ID) => may_name_our_domain(child.open().attribute("by"), account),
        _ => false,
    }
}

/// Whether an address is one of the served domain, however it is written, or none at all: what such an address says is
/// nobody's word, and a client that reads addresses less strictly could take it for the server's. A client may say that a
/// message is late without saying who says so.
fn may_name_our_domain(address: Option<&str>, account: &BareJid) -> bool {
    address.is_some_and(|address| !Jid::domain_of(address).is_ok_and(|domain| account.domain() != domain))
}
