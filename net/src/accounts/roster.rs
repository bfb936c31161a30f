//! The part of the store that keeps rosters.

use cresset_core::jid::{BareJid, NodePart};
use cresset_core::session::{RosterItem, RosterPart};

use super::StoreFuture;

/// The contacts of accounts, as their users have put them together.
pub trait RosterStore: Send + Sync + 'static {
    /// The items of an account's roster that follow a contact, or the first ones, ordered by JID: at most
    /// [`ROSTER_PART_BYTES_MAX`](cresset_core::limits::ROSTER_PART_BYTES_MAX) as they are stored, and one at least if
    /// there is any. Empty if there is no such account.
    fn roster(&self, account: NodePart, after: Option<BareJid>) -> StoreFuture<'_, RosterPart>;

    /// Puts a contact into a roster, or changes what the user calls it and its groups, whatever the state of the
    /// subscriptions is meanwhile; answers the item that results. How much fits says
    /// [`RosterSize::has_room_for`](cresset_core::session::RosterSize::has_room_for).
    fn set_contact(
        &self,
        account: NodePart,
        contact: BareJid,
        name: Option<String>,
        groups: Vec<String>,
    ) -> StoreFuture<'_, RosterWrite>;

    /// Takes an item out of a roster; answers whether it was there.
    fn remove_contact(&self, account: NodePart, contact: BareJid) -> StoreFuture<'_, bool>;
}

/// What became of a contact that was to be put into a roster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RosterWrite {
    /// It is there, like this.
    Done(RosterItem),
    /// The roster has as many items or bytes as it may have.
    Full,
    /// There is no such account.
    NoSuchAccount,
}
