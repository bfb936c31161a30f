//! What a client sends once it is bound: answered here, or routed.
//!
//! The client's own address is stamped on each stanza whatever it wrote there (RFC 6120 section 8.1.2.1), and what only
//! servers say is taken out, so that nobody can speak for the server.

use crate::ids::Sequence;
use crate::jid::{BareJid, Jid};
use crate::session::{Order, Session, StreamErrorCondition, names};
use crate::stanza::{ErrorCondition, IqType, Kind, Stanza, StanzaFault};
use crate::time::Uptime;
use crate::xml::{Child, Element};

/// Who is to answer a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Responder {
    /// The server, for the client's own account.
    Account,
    /// The server, for itself.
    Server,
}

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
                match stanza.kind {
                    Kind::Presence(presence_type) => self.handle_presence(now, number, presence_type, stanza),
                    Kind::Message(_) => self.handle_message(now, number, stanza),
                    Kind::Iq(iq_type) => self.handle_iq(now, number, iq_type, stanza),
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
    fn handle_message(&mut self, now: Uptime, number: Sequence, mut stanza: Stanza) {
        match &stanza.to {
            None => {
                stanza.to = self.bound.as_ref().map(|bound| Jid::from(bound.account.clone()));
                self.route(number, stanza);
            }
            Some(to) if self.is_server(to) => self.refuse(now, number, &stanza, ErrorCondition::ServiceUnavailable),
            Some(_) => self.route(number, stanza),
        }
    }

    fn handle_iq(&mut self, now: Uptime, number: Sequence, iq_type: IqType, stanza: Stanza) {
        let responder = self.responder(stanza.to.as_ref());
        match (iq_type, responder) {
            (IqType::Get | IqType::Set, Some(responder)) => self.answer_request(now, number, responder, stanza),
            // Answers to what the server has asked, as a roster push; nothing depends on them.
            (IqType::Result | IqType::Error, Some(_)) => self.handled(now, number),
            (IqType::Get | IqType::Set, None) if self.asks_for_foreign_roster(&stanza) => {
                self.refuse(now, number, &stanza, ErrorCondition::Forbidden);
            }
            (IqType::Get, None) if self.asks_for_foreign_items(&stanza) => {
                self.answer_foreign_items(now, number, &stanza)
            }
            (IqType::Get | IqType::Set, None) if self.is_at_server(stanza.to.as_ref()) => {
                self.refuse(now, number, &stanza, ErrorCondition::ServiceUnavailable);
            }
            (IqType::Get | IqType::Set | IqType::Result | IqType::Error, None) => self.route(number, stanza),
        }
    }

    /// Who answers what is addressed so; none if it is to be routed.
    fn responder(&self, to: Option<&Jid>) -> Option<Responder> {
        let bound = self.bound.as_ref()?;
        match to {
            None => Some(Responder::Account),
            Some(to) if *to == bound.account => Some(Responder::Account),
            Some(to) if self.is_server(to) && to.resource().is_none() => Some(Responder::Server),
            Some(_) => None,
        }
    }

    fn is_server(&self, jid: &Jid) -> bool {
        jid.node().is_none() && *jid.domain() == *self.settings.domain
    }

    /// Whether the address is one of a user of this domain, whether or not there is such a user.
    pub(super) fn is_of_a_user(&self, jid: Option<&Jid>) -> bool {
        jid.is_some_and(|jid| jid.node().is_some() && *jid.domain() == *self.settings.domain)
    }

    fn is_at_server(&self, jid: Option<&Jid>) -> bool {
        jid.is_some_and(|jid| self.is_server(jid))
    }

    /// Rosters are nobody's but their owner's (RFC 6121 section 2.3.3).
    fn asks_for_foreign_roster(&self, stanza: &Stanza) -> bool {
        stanza.to.as_ref().is_some_and(Jid::is_bare) && stanza.has_child("query", names::ROSTER)
    }

    /// Whether another account of this domain is asked for its items.
    fn asks_for_foreign_items(&self, stanza: &Stanza) -> bool {
        stanza.to.as_ref().is_some_and(Jid::is_bare)
            && self.is_of_a_user(stanza.to.as_ref())
            && stanza.has_child("query", names::DISCO_ITEMS)
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
