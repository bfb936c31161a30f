//! A client at the other end of a session, and the server around it.

use std::collections::VecDeque;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::ids::{LogIndex, RouteId};
use crate::jid::DomainPart;
use crate::node::Answer;
use crate::routing::{Home, Parcel};
use crate::sasl::{Hash, Password, ScramKeys};
use crate::session::{CredentialsAnswer, LoginReport, Order, Session, SessionSettings, TlsEstablished, TlsPolicy};
use crate::stanza::Stanza;
use crate::time::{UnixMillis, Uptime};
use crate::xml::{Element, ns};

pub(super) const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>";

/// What a server says before its features.
pub(super) const SERVER_HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' from='example.org' id='{any}' xml:lang='en' version='1.0'>";

pub(super) struct Client {
    pub(super) session: Session,
    pub(super) now: Uptime,
    /// How the attempts to authenticate ended, in their order.
    pub(super) reports: Vec<LoginReport>,
    heard: String,
    orders: VecDeque<Order>,
}

impl Client {
    /// A client that has said nothing.
    pub(super) fn connected(settings: SessionSettings) -> Client {
        let now = Uptime::from_millis(1000);
        let mut session = Session::new(now, Arc::new(settings), StdRng::seed_from_u64(7));
        session.set_wall_clock(UnixMillis(1_795_395_723_004));
        Client { session, now, reports: Vec::new(), heard: String::new(), orders: VecDeque::new() }
    }

    /// A client on an encrypted stream that has read the features.
    pub(super) fn encrypted() -> Client {
        let mut client = Client::connected(settings(TlsPolicy::Required));
        client.session.handle_tls(client.now, TlsEstablished);
        client.says(HEADER);
        client.heard();
        client
    }

    /// A client that has authenticated as `romeo` and read the features.
    pub(super) fn authenticated() -> Client {
        let mut client = Client::encrypted();
        client.says(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}</auth>",
            BASE64_STANDARD.encode("\0romeo\0r0m30")
        ));
        client.session.handle_credentials(client.now, CredentialsAnswer::Known(vec![keys()]));
        client.session.handle_derived(client.now, keys());
        client.orders();
        client.hears("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        client.says(HEADER);
        client.heard();
        client
    }

    /// A client that holds `romeo@example.org/balcony` and has said nothing else for so long that messages do not wait
    /// for its presence any more.
    pub(super) fn bound() -> Client {
        let mut client = Client::just_bound();
        (client.session.awaits_presence_until, client.session.awaits_management_until) = (None, None);
        client
    }

    /// A client that was just told that it holds `romeo@example.org/balcony`.
    pub(super) fn just_bound() -> Client {
        let mut client = Client::authenticated();
        client.says(
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>",
        );
        let Some(Order::Bind { jid }) = client.order() else { panic!("no bind") };
        assert_eq!(jid.as_str(), "romeo@example.org/balcony");
        client.session.handle_answer(client.now, Answer::Bound { route: ROUTE });
        client.hears(
            "<iq id='b' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <jid>romeo@example.org/balcony</jid></bind></iq>",
        );
        client
    }

    /// A client that is available and has seen that nothing waits for it.
    pub(super) fn available() -> Client {
        let mut client = Client::bound();
        client.says("<presence/>");
        client.announced();
        client.session.handle_offline(client.now, Ok(Vec::new()));
        for order in client.orders() {
            if let Order::Route { number: Some(number), .. } = order {
                client.session.handle_handled(client.now, number);
            }
        }
        assert_eq!(client.heard(), "");
        client
    }

    /// A bound client with stream management.
    pub(super) fn managed() -> Client {
        let mut client = Client::bound();
        client.enables();
        client.orders();
        client
    }

    /// Enables stream management.
    pub(super) fn enables(&mut self) {
        self.says("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        self.hears("<enabled xmlns='urn:xmpp:sm:3' id='{any}' resume='true' max='300'/>");
    }

    pub(super) fn says(&mut self, xml: &str) {
        self.session.handle_bytes(self.now, xml.as_bytes());
    }

    /// Asserts that the client got this and nothing else since it was asked last. `{any}` stands for anything.
    #[track_caller]
    pub(super) fn hears(&mut self, expected: &str) {
        let heard = self.heard();
        assert!(matches(&heard, expected), "\nheard    {heard}\nexpected {expected}");
    }

    pub(super) fn heard(&mut self) -> String {
        self.poll();
        std::mem::take(&mut self.heard)
    }

    /// The next order that is not for the transport's bytes.
    pub(super) fn order(&mut self) -> Option<Order> {
        self.poll();
        self.orders.pop_front()
    }

    pub(super) fn orders(&mut self) -> Vec<Order> {
        self.poll();
        self.orders.drain(..).collect()
    }

    /// The next order, which routes a stanza: gives it as XML.
    #[track_caller]
    pub(super) fn routes(&mut self, expected: &str) {
        match self.order() {
            Some(Order::Route { stanza, .. }) => assert_eq!(written(&stanza), expected),
            order => panic!("expected a route of {expected}, not {order:?}"),
        }
    }

    /// Whatever is announced is known everywhere.
    pub(super) fn announced(&mut self) {
        self.poll();
        let announced: Vec<u64> = self
            .orders
            .iter()
            .filter_map(|order| match order {
                Order::Announce { revision, .. } => Some(*revision),
                _ => None,
            })
            .collect();
        self.orders.retain(|order| !matches!(order, Order::Announce { .. }));
        announced.into_iter().for_each(|revision| self.session.handle_answer(self.now, Answer::Announced { revision }));
    }

    /// A stanza comes for the client, with this key as its home.
    pub(super) fn gets(&mut self, key: i64, xml: &str) {
        self.session.handle_parcel(self.now, parcel(key, xml));
    }

    /// The bytes are on the socket.
    pub(super) fn written(&mut self) {
        self.poll();
        self.session.handle_written(self.now);
    }

    /// What is waited for besides the client's next word.
    pub(super) fn timeout(&self) -> Option<Uptime> {
        self.session.poll_timeout().filter(|timeout| Some(*timeout) != self.session.silence_due())
    }

    pub(super) fn passes(&mut self, milliseconds: u64) {
        self.now = self.now + std::time::Duration::from_millis(milliseconds);
        if self.session.poll_timeout().is_some_and(|timeout| timeout <= self.now) {
            self.session.handle_timeout(self.now);
        }
    }

    fn poll(&mut self) {
        while let Some(order) = self.session.poll_output() {
            match order {
                Order::Send(bytes) => self.heard.push_str(std::str::from_utf8(&bytes).unwrap()),
                Order::Discard { .. } => self.heard.clear(),
                Order::GoesOn | Order::Holds { .. } => {}
                Order::ReportLogin(report) => self.reports.push(report),
                order => self.orders.push_back(order),
            }
        }
    }
}

pub(super) const ROUTE: RouteId = RouteId { index: LogIndex(5), position: 0 };

pub(super) fn settings(tls: TlsPolicy) -> SessionSettings {
    SessionSettings { tls, ..SessionSettings::new(DomainPart::new("example.org").unwrap(), [7; 32], "0.1.0") }
}

/// The keys of Romeo's password, with one round: tests have no secrets.
pub(super) fn keys() -> ScramKeys {
    ScramKeys::derive(Hash::Sha256, &Password::new("r0m30").unwrap(), b"salt".to_vec(), 1)
}

pub(super) fn stanza(xml: &str) -> Stanza {
    Stanza::from_element(Element::parse(xml.as_bytes(), ns::CLIENT).unwrap()).unwrap()
}

pub(super) fn parcel(key: i64, xml: &str) -> Parcel {
    Parcel { stanza: stanza(xml), route: ROUTE, home: Home::Offline { key, claimant: ROUTE } }
}

pub(super) fn written(stanza: &Stanza) -> String {
    let mut out = Vec::new();
    stanza.write(&mut out);
    String::from_utf8(out).unwrap()
}

/// The keys of the parcels that were settled and returned, in the order of the orders.
pub(super) fn fates(orders: &[Order]) -> Vec<(&'static str, i64)> {
    orders
        .iter()
        .filter_map(|order| match order {
            Order::Settle(Home::Offline { key, .. }) => Some(("settled", *key)),
            Order::Return(parcel) => match parcel.home {
                Home::Offline { key, .. } => Some(("returned", key)),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

fn matches(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split("{any}");
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
