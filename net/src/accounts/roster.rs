//! Rosters.

use cresset_core::session::RosterItem;

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
