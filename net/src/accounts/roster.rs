//! An item of a roster (RFC 6121 section 2.1.2).

use cresset_core::jid::BareJid;

/// One contact of an account, with the state of the subscriptions between them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RosterItem {
    /// The contact.
    pub jid: BareJid,
    /// What the user calls the contact.
    pub name: Option<String>,
    /// Who sees whose presence.
    pub subscription: Subscription,
    /// The user has asked to see the contact's presence and has no answer (`ask='subscribe'`).
    pub asked: bool,
    /// The contact has asked to see the user's presence and has no answer ("pending in").
    pub asking: bool,
    /// The user has approved a request that has not come yet (RFC 6121 section 3.4).
    pub approved: bool,
    /// The groups, ordered.
    pub groups: Vec<String>,
}

/// Who sees whose presence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Subscription {
    /// Nobody.
    #[default]
    None,
    /// The user sees the contact's.
    To,
    /// The contact sees the user's.
    From,
    /// Both see each other's.
    Both,
}
