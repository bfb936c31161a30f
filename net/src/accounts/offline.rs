//! The part of the store that keeps messages for those who are away.

use cresset_core::config::properties::OfflineQuota;
use cresset_core::ids::{LogIndex, RouteId};
use cresset_core::jid::{FullJid, NodePart};
use cresset_core::routing::{StanzaName, StoreAnswer};
use cresset_core::session::OfflineMessage;
use cresset_core::stanza::Stanza;
use cresset_core::time::UnixMillis;

use super::{StoreError, StoreFuture};

/// Messages that one [`claim`](OfflineStore::claim) hands out; the caller asks again until it gets none.
pub const CLAIM_MESSAGES_MAX: usize = 100;

/// Weight of the messages that one claim hands out, one message at least: far below what may wait for a client, or whoever is
/// sent much while away could not log in any more.
pub const CLAIM_BYTES_MAX: usize = 1024 * 1024;

/// Milliseconds for which the name of a stored message is known. Those who decide about the same message do so within
/// seconds of each other, or after the store was away for a while.
pub const NAME_KEPT_MS: u64 = 3_600_000;

/// Messages for accounts whose users are away.
pub trait OfflineStore: Send + Sync + 'static {
    /// Keeps a message for an account, if what waits for it is within the quota then, and what its sender has sent of
    /// that. One that was kept by the same name within the last [`NAME_KEPT_MS`] milliseconds is not kept again, whether
    /// it is still there or was handed out.
    fn store_offline(
        &self,
        account: NodePart,
        message: Stanza,
        at: UnixMillis,
        quota: OfflineQuota,
        name: Option<StanzaName>,
    ) -> StoreFuture<'_, Stored>;

    /// Hands out to one route the oldest messages that no other live route has claimed, at most
    /// [`CLAIM_MESSAGES_MAX`] and [`CLAIM_BYTES_MAX`]. The claimant does not get again what it claimed before.
    fn claim(&self, account: NodePart, claimant: Claimant) -> StoreFuture<'_, Vec<OfflineMessage>>;

    /// Forgets messages that arrived. Only what is still claimed by this route goes.
    fn forget(&self, account: NodePart, keys: Vec<i64>, route: RouteId) -> StoreFuture<'_, ()>;

    /// Whether a message to exactly this full JID waits for an account, claimed or not.
    fn is_stored_for(&self, account: NodePart, recipient: FullJid) -> StoreFuture<'_, bool>;

    /// How many messages wait for an account, claimed ones included.
    fn offline_count(&self, account: NodePart) -> StoreFuture<'_, usize>;
}

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
