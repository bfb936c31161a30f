//! The account store of simulations: a few maps, shared by all nodes of a simulated cluster.
//!
//! Every answer is ready at once and depends on nothing but the calls that were made, in their order. What a real
//! store does badly is added around it (see [`MemoryAccounts::set_available`]).

mod credentials;
mod identity;
mod offline;
mod properties;
mod roster;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use cresset_core::ids::{MemberId, RouteId};
use cresset_core::jid::{BareJid, NodePart};
use cresset_core::routing::StanzaName;
use cresset_core::session::RosterItem;
use cresset_core::stanza::Stanza;
use cresset_core::time::UnixMillis;

use super::{Credentials, Identity, PropertyChange, Stamp, StoreError, StoreFuture};

/// An account store in memory. Clones share what is stored.
#[derive(Clone, Debug, Default)]
pub struct MemoryAccounts {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    unavailable: bool,
    /// How many more answers there are before it goes away.
    answers_left: Option<u64>,
    accounts: BTreeMap<NodePart, Account>,
    accounts_added: u64,
    ring: BTreeMap<i64, NodePart>,
    messages_stored: i64,
    names: BTreeMap<StanzaName, UnixMillis>,
    identity: Option<Identity>,
    members: u64,
    stamps: BTreeMap<MemberId, Stamp>,
    properties: BTreeMap<String, String>,
    changes: VecDeque<PropertyChange>,
}

#[derive(Debug)]
struct Account {
    credentials: Credentials,
    /// Its place in the ring.
    draw: i64,
    roster: BTreeMap<BareJid, RosterItem>,
    messages: BTreeMap<i64, Kept>,
}

#[derive(Debug)]
struct Kept {
    message: Stanza,
    at: UnixMillis,
    holder: Option<RouteId>,
}

impl MemoryAccounts {
    /// An empty store.
    pub fn new() -> MemoryAccounts {
        MemoryAccounts::default()
    }

    /// Says whether the store answers from now on; if not, everything is [`StoreError::Unavailable`] and nothing is
    /// done.
    pub fn set_available(&self, available: bool) {
        let mut tables = self.lock();
        tables.unavailable = !available;
        tables.answers_left = None;
    }

    /// Goes away by itself after so many more answers, until it is made available again.
    pub fn fail_after(&self, answers: u64) {
        self.lock().answers_left = Some(answers);
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("nothing panics while it holds the tables")
    }

    /// A future that does `work` on the tables when it is first polled.
    fn with<'a, T: Send + 'a>(
        &'a self,
        work: impl FnOnce(&mut Tables) -> Result<T, StoreError> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let mut tables = self.lock();
            let is_last = tables.answers_left == Some(0);
            tables.answers_left = tables.answers_left.map(|left| left.saturating_sub(1));
            if tables.unavailable || is_last {
                return Err(StoreError::Unavailable("switched off".to_owned()));
            }
            work(&mut tables)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::AccountStore;
    use crate::accounts::contract::{self, name};

    contract::contract_tests!((MemoryAccounts::new(), ()));

    #[tokio::test]
    async fn a_store_that_is_switched_off_does_nothing() {
        let store = MemoryAccounts::new();
        let other_node = store.clone();

        store.set_available(false);
        let refused = other_node.add(name("juliet"), Credentials::default()).await;
        store.set_available(true);

        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert_eq!(other_node.exists(name("juliet")).await, Ok(false));
    }
}
