//! The roster of the account (RFC 6121 section 2), as the store has it. What the client says of it is read and written
//! in `roster_requests`.

use crate::jid::BareJid;
use crate::session::StoreUnavailable;

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
    /// The groups, ordered, each once.
    pub groups: Vec<String>,
}

/// Who sees whose presence (RFC 6121 section 2.1.2.5).
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

impl Subscription {
    /// The value of the attribute `subscription`.
    pub const fn name(self) -> &'static str {
        match self {
            Subscription::None => "none",
            Subscription::To => "to",
            Subscription::From => "from",
            Subscription::Both => "both",
        }
    }
}

/// What a session wants of its account's roster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RosterOrder {
    /// All items. Answer: [`RosterAnswer::Loaded`].
    Load,
    /// Puts a contact in, or changes its name and groups; the state of the subscriptions stays as it is. Answer:
    /// [`RosterAnswer::Set`].
    Set {
        /// The contact.
        jid: BareJid,
        /// What the user calls the contact.
        name: Option<String>,
        /// The groups, ordered, each once.
        groups: Vec<String>,
    },
    /// Takes a contact out. Answer: [`RosterAnswer::Removed`].
    Remove(BareJid),
}

/// What became of a [`RosterOrder`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RosterAnswer {
    /// The roster, in whatever order.
    Loaded(Result<Vec<RosterItem>, StoreUnavailable>),
    /// What became of a contact that was to be put in.
    Set(Result<RosterItem, RosterRefusal>),
    /// Which contact was taken out; none if it was not there.
    Removed(Result<Option<BareJid>, StoreUnavailable>),
}

/// Why a contact could not be put into the roster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RosterRefusal {
    /// It has [`ROSTER_ITEMS_MAX`](crate::limits::ROSTER_ITEMS_MAX) items.
    #[error("the roster is full")]
    Full,
    /// The accounts cannot be reached.
    #[error("the accounts cannot be reached")]
    Unavailable,
}
