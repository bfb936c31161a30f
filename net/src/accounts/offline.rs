//! Messages for those who are away.

use cresset_core::ids::{LogIndex, RouteId};
use cresset_core::routing::StoreAnswer;

use super::StoreError;

/// Messages that one [`claim`](super::Accounts::claim) hands out; the caller asks again until it gets none.
pub const CLAIM_MESSAGES_MAX: usize = 100;

/// Weight of the messages that one claim hands out, one message at least: far below what may wait for a client, or whoever is
/// sent much while away could not log in any more.
pub const CLAIM_BYTES_MAX: usize = 1024 * 1024;

/// Milliseconds for which the name of a stored message is known. Those who decide about the same message do so within
/// seconds of each other, or after the store was away for a while.
pub const NAME_KEPT_MS: u64 = 3_600_000;

/// What became of a message for somebody who is away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// It is kept.
    Kept,
    /// As much waits as may wait, of all or of its sender.
    Full,
    /// There is no such account.
    NoSuchAccount,
}

/// A route that asks for its account's messages, with what its node knows of the account's routes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claimant {
    /// Who asks.
    pub route: RouteId,
    /// The account's routes; what another one of them has claimed stays claimed.
    pub live: Vec<RouteId>,
    /// The position in the log that the view had applied *before* `live` was read from it. A claim of a route that
    /// was bound later is respected, because the view could not know that route.
    pub as_of: LogIndex,
}

impl Claimant {
    /// Whether a message that `holder` has claimed is this claimant's for the taking. A holder of another log belongs to a
    /// node that is by itself, or to a cluster that this node is not in: whether it lives cannot be known, and a message
    /// that comes twice is better than one that never comes.
    pub fn may_take_from(&self, holder: RouteId) -> bool {
        let is_unknown_yet = holder.index.is_in_the_log_of(self.route.index) && holder.index > self.as_of;
        holder != self.route && !is_unknown_yet && !self.live.contains(&holder)
    }
}

/// What the machines that decide about stanzas are told of a message that was to be stored.
pub fn store_answer(stored: &Result<Stored, StoreError>) -> StoreAnswer {
    match stored {
        Ok(Stored::Kept) => StoreAnswer::Kept,
        Ok(Stored::Full | Stored::NoSuchAccount) => StoreAnswer::Refused,
        Err(StoreError::Busy | StoreError::Unavailable(_)) => StoreAnswer::Away,
        Err(StoreError::Unreadable(_) | StoreError::TooMuch(_)) => StoreAnswer::Failed,
    }
}
