//! What the account and the domain answer to requests of a client, and the features that they say they have.
//!
//! ```text
//!             iq, recipient            line of TABLE             file of the service
//! session ───────────────────▶ answer ───────────────▶ handler ──────────────────────▶ Answer ──▶ session
//!                                        │
//!                                        └── its feature ──▶ disco
//! ```
//!
//! **To add a service**: write a file here with a function for each request, from `Request` to [`Answer`]; put its
//! namespace into `names`; add a line to `TABLE` for each request, in the place where its feature is to be told. A test
//! of `session` then wants to know what each kind of recipient answers. What needs more than the request and the
//! [`Facts`], as the store, is a variant of [`Answer`] that the session carries out, as the roster is.
//!
//! Invariants: a feature that is answered is told by disco, unless the stream tells it; what disco tells is answered, unless
//! nothing is asked for it; an answer about another account does not depend on whether it exists.
//!
//! Deliberately not here: what is delivered to somebody (`routing`), and what an answer needs besides the request.

mod disco;
pub(crate) mod names;
mod negotiation;
mod ping;
mod roster;
#[cfg(test)]
mod tests;
mod time;
mod version;

use crate::stanza::{ErrorCondition, IqType, Kind, Recipient, Service, Stanza, Whose};
use crate::time::UnixMillis;
use crate::xml::{Child, Element};

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// A result with this content, or with none (RFC 6120 section 8.2.3).
    Result(Option<Element>),
    /// An error.
    Refused(ErrorCondition),
    /// The session asks the accounts for the client's roster, or to change it, by this query.
    Roster(Element),
    /// Nobody answers here: it is routed as other stanzas are.
    Route,
}

/// What answers may say besides what was asked.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What people call the time.
    pub wall: UnixMillis,
    /// Of this program.
    pub software_version: &'a str,
}

/// A request that has a line in the table.
struct Request<'a> {
    iq: &'a Stanza,
    /// The content of the iq: what is asked.
    child: Child<'a>,
    facts: &'a Facts<'a>,
}

/// A line of the table: what is asked of whom, by what it is answered, and who tells clients of it.
struct Line {
    of: &'static [Recipient],
    /// Absent if nothing is asked: a feature by itself.
    asked: Option<Asked>,
    feature: &'static str,
    advertised_by: &'static [Recipient],
}

struct Asked {
    types: &'static [IqType],
    name: &'static str,
    namespace: &'static str,
    handler: Handler,
}

type Handler = fn(&Request<'_>) -> Answer;

const OWN: Recipient = Recipient::Account(Whose::Own);
const ANOTHER: Recipient = Recipient::Account(Whose::Another);
const DOMAIN: Recipient = Recipient::Service(Service::Domain);
const SUBDOMAIN: Recipient = Recipient::Service(Service::Subdomain);

const GET: &[IqType] = &[IqType::Get];
const SET: &[IqType] = &[IqType::Set];
const GET_OR_SET: &[IqType] = &[IqType::Get, IqType::Set];

/// Everything that is answered. Disco tells features in the order of the lines.
const TABLE: &[Line] = &[
    asked(&[DOMAIN], GET, "query", names::DISCO_INFO, disco::info_of_domain),
    asked(&[OWN], GET, "query", names::DISCO_INFO, disco::info_of_account),
    asked(&[DOMAIN, OWN], GET, "query", names::DISCO_ITEMS, disco::items),
    asked(&[ANOTHER], GET, "query", names::DISCO_ITEMS, disco::items_of_another),
    // Clients look for it at their server.
    asked(&[OWN], GET_OR_SET, "query", names::ROSTER, roster::of_owner).advertised_by(&[DOMAIN]),
    asked(&[ANOTHER, SUBDOMAIN, Recipient::Remote], GET_OR_SET, "query", names::ROSTER, roster::of_another),
    unasked(&[DOMAIN], names::OFFLINE_FEATURE),
    asked(&[DOMAIN, OWN], GET, "ping", names::PING, ping::pong),
    asked(&[DOMAIN], GET, "time", names::TIME, time::now),
    asked(&[DOMAIN], GET, "query", names::VERSION, version::version),
    // These two are told as features of the stream.
    asked(&[DOMAIN, OWN], SET, "session", names::SESSION, negotiation::session).advertised_by(&[]),
    asked(&[DOMAIN, OWN], GET_OR_SET, "bind", names::BIND, negotiation::bind).advertised_by(&[]),
];

/// Answers an iq that is a request, given its [`Recipient`].
pub fn answer(recipient: Recipient, iq: &Stanza, facts: &Facts<'_>) -> Answer {
    let Kind::Iq(iq_type) = iq.kind else { return Answer::Route };
    // Most requests are for sessions, and what they say is nobody else's business.
    if recipient == Recipient::Session {
        return Answer::Route;
    }
    let payload = iq.payload_element();
    let Some(child) = payload.children().next() else { return Answer::Refused(ErrorCondition::BadRequest) };
    let is_asked = |line: &&Line| {
        let is_it = |asked: &Asked| asked.types.contains(&iq_type) && child.is(asked.name, asked.namespace);
        line.of.contains(&recipient) && line.asked.as_ref().is_some_and(is_it)
    };
    match TABLE.iter().find(is_asked).and_then(|line| line.asked.as_ref()) {
        Some(asked) => (asked.handler)(&Request { iq, child, facts }),
        None => otherwise(recipient),
    }
}

/// Name and namespace of each request that has a line.
#[cfg(test)]
pub(crate) fn requests() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().filter_map(|line| line.asked.as_ref()).map(|asked| (asked.name, asked.namespace))
}

/// What becomes of a request that has no line.
fn otherwise(recipient: Recipient) -> Answer {
    match recipient {
        Recipient::Account(Whose::Own) | Recipient::Service(Service::Domain | Service::Resource) => {
            Answer::Refused(ErrorCondition::ServiceUnavailable)
        }
        Recipient::Session
        | Recipient::Account(Whose::Another)
        | Recipient::Service(Service::Subdomain)
        | Recipient::Remote => Answer::Route,
    }
}

/// The features that this recipient says it has, each once.
fn features_of(recipient: Recipient) -> Vec<&'static str> {
    let mut features = Vec::new();
    for line in TABLE.iter().filter(|line| line.advertised_by.contains(&recipient)) {
        if !features.contains(&line.feature) {
            features.push(line.feature);
        }
    }
    features
}

/// A line for requests of these types with this content.
const fn asked(
    of: &'static [Recipient],
    types: &'static [IqType],
    name: &'static str,
    namespace: &'static str,
    handler: Handler,
) -> Line {
    let asked = Asked { types, name, namespace, handler };
    Line { of, asked: Some(asked), feature: namespace, advertised_by: of }
}

/// A line for what these do without being asked.
const fn unasked(of: &'static [Recipient], feature: &'static str) -> Line {
    Line { of, asked: None, feature, advertised_by: of }
}

impl Line {
    /// Others tell of the feature than those who have it.
    const fn advertised_by(self, advertised_by: &'static [Recipient]) -> Line {
        Line { advertised_by, ..self }
    }
}
