//! The table of RFC 6121 section 8: where a stanza goes, given the routes of the account it is for.
//!
//! | recipient | message | presence | iq |
//! |---|---|---|---|
//! | session, held | that resource | that resource | that resource |
//! | session, not held | chat: as to the account; normal, groupchat: error; else dropped | dropped | error |
//! | account, somebody available | chat, normal: the most available resources; headline: all that take messages; groupchat: error; error: dropped | all available resources | error |
//! | account, nobody available | chat, normal: stored; groupchat: error; else dropped | dropped | error |
//! | service: the domain, with or without resource | error | dropped | error |
//! | service: a subdomain | error | error | error |
//! | remote | error | error | error |
//!
//! Which [`Recipient`] an address names is told by `stanza`.
//!
//! Only a chat goes on to other resources than the one it names, because a person may have taken up another device. A
//! message of type normal concerns the resource that it names, and its sender is told that it is not there.
//!
//! "Stored" means every message but those that no recipient misses: see
//! [`Stanza::is_storable`](crate::stanza::Stanza::is_storable).
//!
//! "Error" is `service-unavailable` (so that nobody learns whether an account exists) where an error may be answered,
//! and nothing where it may not: see [`Kind::may_be_answered_with_error`](crate::stanza::Kind). Of a subdomain it is
//! `item-not-found`, because there is none, and of another domain `remote-server-not-found`, because there is no
//! federation. What the sender's own account or the server itself answers was answered by the sender's session before it
//! came here.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::cluster::Route;
use crate::ids::RouteId;
use crate::jid::{BareJid, DomainPart};
use crate::planted;
use crate::stanza::{ErrorCondition, Kind, MessageType, PresenceType, Recipient, Service, Stanza, Whose};

/// Some routes of one account: mostly none, one or two.
pub type ChosenRoutes = SmallVec<[Arc<Route>; 2]>;

/// Where a stanza goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Decision {
    /// To each of these sessions; never none.
    Deliver(ChosenRoutes),
    /// Into the offline store, if there is such an account; else as `Bounce(ServiceUnavailable)`.
    Store,
    /// Back to the sender as this error.
    Bounce(ErrorCondition),
    /// Nowhere: the rules want no answer.
    Drop,
}

impl Decision {
    /// The routes by which the stanza goes.
    pub(super) fn chosen(&self) -> &[Arc<Route>] {
        match self {
            Decision::Deliver(chosen) => chosen,
            Decision::Store | Decision::Bounce(_) | Decision::Drop => &[],
        }
    }
}

/// The account of this domain that the stanza is for, if it is for a user.
pub(super) fn account_of(domain: &DomainPart, stanza: &Stanza) -> Option<BareJid> {
    account_for(Recipient::of(domain, stanza)?, stanza)
}

/// Whose routes a decision needs: the account of the recipient, if that is a user.
pub(super) fn account_for(recipient: Recipient, stanza: &Stanza) -> Option<BareJid> {
    let to = stanza.to.as_ref().or(stanza.from.as_ref())?;
    recipient.is_user().then(|| to.to_bare())
}

/// Decides where a stanza goes. `routes` are those of [the account that it is for](account_for), none if it has none.
pub(super) fn decide(recipient: Recipient, routes: Option<&[Arc<Route>]>, stanza: &Stanza) -> Decision {
    let routes = routes.unwrap_or_default();
    match recipient {
        Recipient::Session => to_session(routes, stanza),
        Recipient::Account(Whose::Own | Whose::Another) => to_account(routes, stanza),
        Recipient::Service(Service::Domain | Service::Resource) => match stanza.kind {
            Kind::Message(_) | Kind::Iq(_) => error(stanza, ErrorCondition::ServiceUnavailable),
            Kind::Presence(_) => Decision::Drop,
        },
        Recipient::Service(Service::Subdomain) => error(stanza, ErrorCondition::ItemNotFound),
        Recipient::Remote => error(stanza, ErrorCondition::RemoteServerNotFound),
    }
}

/// Whether this is a farewell of a session whose full JID somebody else has by now, who is available: he has said so, or
/// will. `routes` are those of the account that says it, `own` is the route of the session that does, if it has one.
pub(super) fn is_stale_farewell(routes: Option<&[Arc<Route>]>, own: Option<RouteId>, stanza: &Stanza) -> bool {
    let Some(from) = stanza.from.as_ref().filter(|_| stanza.kind == Kind::Presence(PresenceType::Unavailable)) else {
        return false;
    };
    let has_it = |route: &Arc<Route>| route.jid == *from && route.presence.is_available() && Some(route.id) != own;
    !planted!(StaleFarewellBelieved) && routes.is_some_and(|routes| routes.iter().any(has_it))
}

/// Whether a stanza that was not delivered is of use to anybody else. Presence of a client is not: it went to each
/// resource that was there, and whoever has come since asks for it.
pub(crate) fn may_go_elsewhere(stanza: &Stanza) -> bool {
    !matches!(stanza.kind, Kind::Presence(PresenceType::Available | PresenceType::Unavailable))
}

/// The routes of those resources that have asked for the roster (RFC 6121 section 2.1.6).
pub fn interested(routes: &[Arc<Route>]) -> ChosenRoutes {
    routes.iter().filter(|route| route.presence.interested).cloned().collect()
}

/// Who should claim the messages that are stored for the account: the oldest of the most available resources.
pub fn claimant(routes: &[Arc<Route>]) -> Option<Arc<Route>> {
    most_available(routes).into_iter().next()
}

/// RFC 6121 section 8.5.3. Section 8.5.3.2.1 lets the server choose between an error and silence for a message of type
/// normal to a resource that is not there. The sender may have been told that the server answers for it, so it is an error.
fn to_session(routes: &[Arc<Route>], stanza: &Stanza) -> Decision {
    if is_between_accounts(stanza.kind) {
        return to_account(routes, stanza);
    }
    if let Some(holder) = routes.iter().find(|route| stanza.to.as_ref().is_some_and(|to| route.jid == *to)) {
        return Decision::Deliver(ChosenRoutes::from_elem(holder.clone(), 1));
    }
    match stanza.kind {
        Kind::Message(MessageType::Chat) => to_account(routes, stanza),
        Kind::Message(MessageType::Normal | MessageType::Groupchat) | Kind::Iq(_) => {
            error(stanza, ErrorCondition::ServiceUnavailable)
        }
        Kind::Message(MessageType::Headline | MessageType::Error) | Kind::Presence(_) => Decision::Drop,
    }
}

/// RFC 6121 section 8.5.2. An account that is not there is told of a subscription when the asker's server asks again;
/// nothing is stored.
fn to_account(routes: &[Arc<Route>], stanza: &Stanza) -> Decision {
    match stanza.kind {
        Kind::Message(MessageType::Chat | MessageType::Normal) => {
            deliver(most_available(routes)).unwrap_or_else(|| keep(stanza))
        }
        Kind::Message(MessageType::Headline) => deliver(accepting(routes).cloned().collect()).unwrap_or(Decision::Drop),
        Kind::Message(MessageType::Error) | Kind::Presence(PresenceType::Error) => Decision::Drop,
        Kind::Message(MessageType::Groupchat) | Kind::Iq(_) => error(stanza, ErrorCondition::ServiceUnavailable),
        Kind::Presence(
            PresenceType::Available
            | PresenceType::Unavailable
            | PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed
            | PresenceType::Probe,
        ) => {
            let available = routes.iter().filter(|route| route.presence.is_available()).cloned().collect();
            deliver(available).unwrap_or(Decision::Drop)
        }
    }
}

/// Subscriptions are between accounts: a full JID says nothing there (RFC 6121 section 3.1.3).
fn is_between_accounts(kind: Kind) -> bool {
    match kind {
        Kind::Presence(
            PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed
            | PresenceType::Probe,
        ) => true,
        Kind::Presence(PresenceType::Available | PresenceType::Unavailable | PresenceType::Error)
        | Kind::Message(_)
        | Kind::Iq(_) => false,
    }
}

/// Available resources that take messages to the bare JID: those whose priority is not negative (RFC 6121 section
/// 8.5.2.1.1).
fn accepting(routes: &[Arc<Route>]) -> impl Iterator<Item = &Arc<Route>> {
    routes.iter().filter(|route| route.presence.accepts_messages())
}

/// All resources that share the highest priority, if it is not negative: RFC 6121 section 8.5.2.1.1 lets the server
/// deliver to the most available resource or resources, and equal priorities say that neither is more available.
fn most_available(routes: &[Arc<Route>]) -> ChosenRoutes {
    let highest = accepting(routes).map(|route| route.presence.priority).max().flatten();
    accepting(routes).filter(|route| route.presence.priority == highest).cloned().collect()
}

fn deliver(routes: ChosenRoutes) -> Option<Decision> {
    (!routes.is_empty()).then_some(Decision::Deliver(routes))
}

/// A message that no resource takes at the moment. A message that is not worth storing is dropped in silence. But a
/// person who wrote a body and forbade storing it is told that it did not arrive.
fn keep(stanza: &Stanza) -> Decision {
    if stanza.is_storable() {
        Decision::Store
    } else if stanza.body().is_some() {
        Decision::Bounce(ErrorCondition::ServiceUnavailable)
    } else {
        Decision::Drop
    }
}

fn error(stanza: &Stanza, condition: ErrorCondition) -> Decision {
    if stanza.kind.may_be_answered_with_error() { Decision::Bounce(condition) } else { Decision::Drop }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cluster::RoutePresence;
    use crate::ids::{Incarnation, LogIndex, MemberId, RouteId, SessionId};
    use crate::jid::Jid;
    use crate::stanza::IqType;
    use crate::xml::Element;

    const NOBODY: &[(&str, Option<i8>)] = &[];

    /// Where the stanza goes, in one word or as the names of resources.
    fn outcome(resources: &[(&str, Option<i8>)], to: &str, kind: Kind) -> String {
        let routes: Vec<_> = resources.iter().zip(1..).map(|((name, priority), n)| route(name, *priority, n)).collect();
        let domain = DomainPart::new("capulet.example").unwrap();
        let mut stanza = Stanza::new(kind).with_child(&Element::new("body", "jabber:client").with_text("Wherefore?"));
        stanza.to = Some(Jid::new(to).unwrap());
        stanza.from = Some(Jid::new("romeo@capulet.example/orchard").unwrap());
        match decide(Recipient::of(&domain, &stanza).unwrap(), Some(&routes), &stanza) {
            Decision::Deliver(routes) => {
                routes.iter().map(|route| route.jid.resource().as_str()).collect::<Vec<_>>().join(" ")
            }
            Decision::Store => "stored".to_owned(),
            Decision::Bounce(condition) => condition.name().to_owned(),
            Decision::Drop => "dropped".to_owned(),
        }
    }

    fn route(resource: &str, priority: Option<i8>, number: u64) -> Arc<Route> {
        Arc::new(Route {
            id: RouteId { index: LogIndex(number), position: 0 },
            jid: format!("juliet@capulet.example/{resource}").parse().unwrap(),
            member: MemberId(1),
            incarnation: Incarnation(1),
            session: SessionId(number),
            presence: RoutePresence { priority, interested: false },
        })
    }

    const BARE: &str = "juliet@capulet.example";
    const BALCONY: &str = "juliet@capulet.example/balcony";
    const GONE: &str = "juliet@capulet.example/tomb";
    const CHAT: Kind = Kind::Message(MessageType::Chat);
    const NORMAL: Kind = Kind::Message(MessageType::Normal);
    const GROUPCHAT: Kind = Kind::Message(MessageType::Groupchat);
    const HEADLINE: Kind = Kind::Message(MessageType::Headline);
    const MESSAGE_ERROR: Kind = Kind::Message(MessageType::Error);
    const AVAILABLE: Kind = Kind::Presence(PresenceType::Available);
    const UNAVAILABLE: Kind = Kind::Presence(PresenceType::Unavailable);
    const SUBSCRIBE: Kind = Kind::Presence(PresenceType::Subscribe);
    const GET: Kind = Kind::Iq(IqType::Get);
    const RESULT: Kind = Kind::Iq(IqType::Result);

    fn assert_rows(to: &str, resources: &[(&str, Option<i8>)], rows: &[(Kind, &str)]) {
        for (kind, expected) in rows {
            assert_eq!(outcome(resources, to, *kind), *expected, "{kind:?} to {to} with {resources:?}");
        }
    }

    /// RFC 6121 section 8.5.3.1; a resource that is not available is connected all the same.
    #[test]
    fn a_full_jid_that_is_held_gets_everything() {
        for priority in [None, Some(-1), Some(5)] {
            let rows = [CHAT, NORMAL, GROUPCHAT, HEADLINE, MESSAGE_ERROR, AVAILABLE, UNAVAILABLE, GET, RESULT]
                .map(|kind| (kind, "balcony"));
            assert_rows(BALCONY, &[("chamber", Some(9)), ("balcony", priority)], &rows);
        }
    }

    /// O20. RFC 6121 section 8.5.3.2.
    #[test]
    fn a_full_jid_that_nobody_holds_falls_back_for_messages_to_a_person_only() {
        let rows = [
            (CHAT, "balcony"),
            (NORMAL, "service-unavailable"),
            (GROUPCHAT, "service-unavailable"),
            (HEADLINE, "dropped"),
            (MESSAGE_ERROR, "dropped"),
            (AVAILABLE, "dropped"),
            (UNAVAILABLE, "dropped"),
            (GET, "service-unavailable"),
            (RESULT, "dropped"),
        ];
        assert_rows(GONE, &[("balcony", Some(0))], &rows);
        for resources in [NOBODY, &[("cell", Some(-1))], &[("balcony", None)]] {
            let rows = [(CHAT, "stored"), (NORMAL, "service-unavailable"), (GROUPCHAT, "service-unavailable")];
            assert_rows(GONE, resources, &rows);
            assert_rows(GONE, resources, &[(GET, "service-unavailable"), (HEADLINE, "dropped")]);
        }
    }

    /// RFC 6121 section 8.5.2.1.
    #[test]
    fn a_bare_jid_reaches_the_most_available_resources() {
        let resources =
            [("balcony", Some(5)), ("chamber", Some(5)), ("garden", Some(1)), ("cell", Some(-1)), ("tomb", None)];
        let rows = [
            (CHAT, "balcony chamber"),
            (NORMAL, "balcony chamber"),
            (GROUPCHAT, "service-unavailable"),
            (HEADLINE, "balcony chamber garden"),
            (MESSAGE_ERROR, "dropped"),
            (AVAILABLE, "balcony chamber garden cell"),
            (UNAVAILABLE, "balcony chamber garden cell"),
            (SUBSCRIBE, "balcony chamber garden cell"),
            (GET, "service-unavailable"),
            (RESULT, "dropped"),
        ];
        assert_rows(BARE, &resources, &rows);
    }

    /// RFC 6121 section 8.5.2.1.1: "If all of the available resources have a negative presence priority, then the
    /// server SHOULD handle the stanza as if there were no available resources".
    #[test]
    fn a_bare_jid_never_reaches_negative_priority_with_a_message() {
        for resources in [&[("cell", Some(-1))][..], &[("tomb", None)], NOBODY] {
            let rows =
                [(CHAT, "stored"), (NORMAL, "stored"), (GROUPCHAT, "service-unavailable"), (HEADLINE, "dropped")];
            assert_rows(BARE, resources, &rows);
        }
        assert_rows(BARE, &[("cell", Some(-1))], &[(AVAILABLE, "cell")]);
    }

    /// RFC 6121 section 8.5.2.2.
    #[test]
    fn a_bare_jid_without_anybody_available_loses_presence_and_refuses_iq() {
        let rows = [(AVAILABLE, "dropped"), (SUBSCRIBE, "dropped"), (GET, "service-unavailable"), (RESULT, "dropped")];
        assert_rows(BARE, &[("tomb", None)], &rows);
    }

    #[test]
    fn what_is_for_another_domain_is_an_error_that_says_which_kind() {
        assert_rows("verona.example", NOBODY, &[(CHAT, "remote-server-not-found"), (RESULT, "dropped")]);
        assert_rows("a@notcapulet.example", NOBODY, &[(AVAILABLE, "remote-server-not-found")]);
        assert_rows("ball@rooms.capulet.example", NOBODY, &[(GROUPCHAT, "item-not-found"), (GET, "item-not-found")]);
        assert_rows("capulet.example", NOBODY, &[(CHAT, "service-unavailable"), (AVAILABLE, "dropped")]);
    }

    #[test]
    fn who_was_replaced_does_not_say_farewell_for_the_new_one() {
        let mut farewell = Stanza::new(UNAVAILABLE);
        farewell.from = Some(Jid::new(BALCONY).unwrap());
        let (present, own) = (route("balcony", Some(0), 2), route("balcony", Some(0), 1).id);
        let is_stale = |routes: &[Arc<Route>], own| is_stale_farewell(Some(routes), own, &farewell);

        assert!(is_stale(std::slice::from_ref(&present), Some(own)));
        assert!(!is_stale(std::slice::from_ref(&present), Some(present.id)), "the client itself says it to somebody");
        assert!(!is_stale(&[route("balcony", None, 2)], Some(own)), "the new one has not said that it is there");
        assert!(!is_stale(&[route("chamber", Some(0), 2)], Some(own)));
    }

    /// What becomes of a message with this payload to an account of which nobody is there.
    fn fate(kind: Kind, payload: &'static str) -> Decision {
        let to = Some(Jid::new(BARE).unwrap());
        let stanza = Stanza { to, payload: payload.into(), ..Stanza::new(kind) };
        decide(Recipient::Account(Whose::Another), None, &stanza)
    }

    /// Chat states to somebody who is away would otherwise come back as errors about nothing a person wrote.
    #[test]
    fn what_is_not_worth_storing_passes_silently() {
        for payload in [
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            "<ping xmlns='urn:x'/><no-store xmlns='urn:xmpp:hints'/>",
        ] {
            assert_eq!(fate(CHAT, payload), Decision::Drop, "{payload}");
        }
    }

    /// T15: what was acknowledged and no XEP calls worthless is stored or comes back.
    #[test]
    fn what_is_worth_something_is_stored_or_comes_back() {
        for payload in [
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "<subject>Verona</subject>",
            "<x xmlns='jabber:x:data' type='form'/>",
        ] {
            assert_eq!(fate(CHAT, payload), Decision::Store, "{payload}");
            assert_eq!(fate(NORMAL, payload), Decision::Store, "{payload}");
        }
        let forbidden = "<body>burn this</body><no-store xmlns='urn:xmpp:hints'/>";
        assert_eq!(fate(CHAT, forbidden), Decision::Bounce(ErrorCondition::ServiceUnavailable));
    }
}
