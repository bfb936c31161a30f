//! Whom a stanza is for: the one place that compares its address with the domain that is served.
//!
//! | `to` | recipient |
//! |---|---|
//! | `node@domain/resource` | [`Session`](Recipient::Session) |
//! | `node@domain` | [`Account`](Recipient::Account) |
//! | none | as if it were the bare JID of the sender (RFC 6120 section 10.3) |
//! | `domain`, `domain/resource` | [`Service`](Recipient::Service) of the domain |
//! | a domain below it, with or without node and resource | [`Service`](Recipient::Service) of its own |
//! | another domain | [`Remote`](Recipient::Remote) |
//!
//! Only the address counts: whether there is such an account or session is not asked, so nothing that follows from the
//! kind alone tells anybody who exists. What a recipient of each kind does with a stanza is said in two places:
//! `routing/decide` delivers it, `services` answers requests.
//!
//! A kind of its own, as a room will be, is a variant and a row here, above the row of the domains below ours. The compiler
//! then names each place that has to say what such a recipient does with a stanza.

use super::Stanza;
use crate::jid::{DomainPart, Jid};

/// Whom a stanza is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recipient {
    /// The holder of a full JID.
    Session,
    /// Something that runs for the bare JID of a user, whether or not somebody is online.
    Account(Whose),
    /// Something that runs for the server.
    Service(Service),
    /// Somebody at another domain.
    Remote,
}

/// Whose account it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// The sender's.
    Own,
    /// That of another user.
    Another,
}

/// What a server has at its own domain and below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// The domain itself (RFC 6120 section 10.5.1).
    Domain,
    /// A part of it that has a name of its own: `domain/resource` (RFC 6120 section 10.5.2).
    Resource,
    /// A domain below ours, which would be a service of ours, and anybody there (RFC 6120 section 10.4).
    Subdomain,
}

impl Recipient {
    /// Whom the stanza is for at the server of `domain`; nobody if it says neither that nor who sends it.
    pub fn of(domain: &DomainPart, stanza: &Stanza) -> Option<Recipient> {
        let sender = stanza.from.as_ref();
        let (to, is_full) = match &stanza.to {
            Some(to) => (to, to.is_full()),
            None => (sender?, false),
        };
        if to.domain() != *domain {
            return Some(elsewhere(domain, to));
        }
        Some(match (to.node(), is_full) {
            (Some(_), true) => Recipient::Session,
            (Some(node), false) => {
                let is_own = sender.is_some_and(|from| from.node() == Some(node) && from.domain() == to.domain());
                Recipient::Account(if is_own { Whose::Own } else { Whose::Another })
            }
            (None, false) => Recipient::Service(Service::Domain),
            (None, true) => Recipient::Service(Service::Resource),
        })
    }

    /// Whether it is a user of this domain, by account or by session, whether or not there is one.
    pub fn is_user(self) -> bool {
        match self {
            Recipient::Session | Recipient::Account(Whose::Own | Whose::Another) => true,
            Recipient::Service(Service::Domain | Service::Resource | Service::Subdomain) | Recipient::Remote => false,
        }
    }
}

fn elsewhere(domain: &DomainPart, to: &Jid) -> Recipient {
    let is_below = to.domain().as_str().strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
    if is_below { Recipient::Service(Service::Subdomain) } else { Recipient::Remote }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stanza::{Kind, MessageType};

    fn recipient(to: Option<&str>, from: Option<&str>) -> Option<Recipient> {
        let [to, from] = [to, from].map(|jid| jid.map(|jid| Jid::new(jid).unwrap()));
        let stanza = Stanza { to, from, ..Stanza::new(Kind::Message(MessageType::Chat)) };
        Recipient::of(&DomainPart::new("capulet.example").unwrap(), &stanza)
    }

    #[test]
    fn each_address_names_a_recipient_of_one_kind() {
        for (to, expected) in [
            ("juliet@capulet.example/balcony", Recipient::Session),
            ("romeo@capulet.example/orchard", Recipient::Session),
            ("juliet@capulet.example", Recipient::Account(Whose::Another)),
            ("romeo@capulet.example", Recipient::Account(Whose::Own)),
            ("capulet.example", Recipient::Service(Service::Domain)),
            ("capulet.example/orchard", Recipient::Service(Service::Resource)),
            ("rooms.capulet.example", Recipient::Service(Service::Subdomain)),
            ("ball@a.rooms.capulet.example/romeo", Recipient::Service(Service::Subdomain)),
            ("verona.example", Recipient::Remote),
            ("romeo@notcapulet.example/orchard", Recipient::Remote),
            ("example", Recipient::Remote),
        ] {
            assert_eq!(recipient(Some(to), Some("romeo@capulet.example/orchard")), Some(expected), "{to}");
        }
    }

    /// RFC 6120 section 10.3: not to the session that sends it.
    #[test]
    fn what_names_nobody_is_for_the_account_of_its_sender() {
        assert_eq!(recipient(None, Some("romeo@capulet.example/orchard")), Some(Recipient::Account(Whose::Own)));
        assert_eq!(recipient(None, Some("capulet.example")), Some(Recipient::Service(Service::Domain)));
        assert_eq!(recipient(None, Some("romeo@verona.example/orchard")), Some(Recipient::Remote));
        assert_eq!(recipient(None, None), None);
    }

    #[test]
    fn who_does_not_say_his_name_has_no_account() {
        assert_eq!(recipient(Some("juliet@capulet.example"), None), Some(Recipient::Account(Whose::Another)));
        let namesake = recipient(Some("juliet@capulet.example"), Some("juliet@verona.example/a"));
        assert_eq!(namesake, Some(Recipient::Account(Whose::Another)));
    }
}
