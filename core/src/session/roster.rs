//! The roster of the account (RFC 6121 section 2), as the store has it. What the client says of it is read and written
//! in `roster_requests`.

use crate::jid::BareJid;
use crate::limits::{ROSTER_BYTES_MAX, ROSTER_ITEMS_MAX};
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

/// Some items of a roster, ordered by JID.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RosterPart {
    /// The items: at most [`ROSTER_PART_BYTES_MAX`](crate::limits::ROSTER_PART_BYTES_MAX) of them, one at least if there
    /// is any.
    pub items: Vec<RosterItem>,
    /// Whether the roster has no items behind these.
    pub is_last: bool,
}

/// What a roster has besides one contact, and what it has of that contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RosterSize {
    /// The other contacts.
    pub others: usize,
    /// The bytes of the other contacts as they are stored.
    pub others_bytes: usize,
    /// The bytes of this one; absent if it is not there.
    pub item_bytes: Option<usize>,
}

impl RosterSize {
    /// Whether the contact may have so many bytes from here on. A roster that is larger than it may be can still be made
    /// smaller.
    pub fn has_room_for(self, bytes: usize) -> bool {
        let grows = self.item_bytes.is_none_or(|before| bytes > before);
        let fits = self.others < ROSTER_ITEMS_MAX && self.others_bytes.saturating_add(bytes) <= ROSTER_BYTES_MAX;
        fits || !grows
    }
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
    /// The items that follow a contact, or the first ones. Answer: [`RosterAnswer::Loaded`].
    Load {
        /// The contact.
        after: Option<BareJid>,
    },
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
    /// Items of the roster.
    Loaded(Result<RosterPart, StoreUnavailable>),
    /// What became of a contact that was to be put in.
    Set(Result<RosterItem, RosterRefusal>),
    /// Which contact was taken out; none if it was not there.
    Removed(Result<Option<BareJid>, StoreUnavailable>),
}

/// Why a contact could not be put into the roster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RosterRefusal {
    /// It has as many items or bytes as it may have ([`RosterSize::has_room_for`]).
    #[error("the roster is full")]
    Full,
    /// The accounts cannot be reached.
    #[error("the accounts cannot be reached")]
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O11. What is too large already can be read and made smaller, by one change after the other.
    #[test]
    fn a_roster_has_room_up_to_its_bounds_and_may_always_shrink() {
        let size = |others, others_bytes, item_bytes| RosterSize { others, others_bytes, item_bytes };

        assert!(size(ROSTER_ITEMS_MAX - 1, ROSTER_BYTES_MAX - 100, None).has_room_for(100));
        assert!(!size(0, ROSTER_BYTES_MAX - 100, None).has_room_for(101));
        assert!(!size(ROSTER_ITEMS_MAX, 0, None).has_room_for(1));
        assert!(!size(0, ROSTER_BYTES_MAX, Some(100)).has_room_for(101));
        assert!(size(0, 40 * ROSTER_BYTES_MAX, Some(100)).has_room_for(100));
        assert!(size(ROSTER_ITEMS_MAX + 1, 0, Some(100)).has_room_for(99));
    }
}
