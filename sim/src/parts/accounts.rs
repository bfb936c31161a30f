//! The account store that all nodes of a world share, and that can be taken away from them: it does not answer while its
//! gate is closed, and says that it is away during an outage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cresset_core::config::properties::OfflineQuota;
use cresset_core::ids::{MemberId, RouteId};
use cresset_core::jid::{BareJid, FullJid, NodePart};
use cresset_core::routing::StanzaName;
use cresset_core::sasl::{Hash, Password, ScramKeys};
use cresset_core::session::{OfflineMessage, RosterPart};
use cresset_core::stanza::Stanza;
use cresset_core::time::UnixMillis;
use cresset_net::accounts::memory::MemoryAccounts;
use cresset_net::accounts::{
    AccountStore, Added, Claimant, ClusterId, ClusterStore, Credentials, Existing, Founding, Identity, Keys,
    NewAccount, OfflineStore, PropertyChange, PropertyStore, PropertyWrite, RosterStore, RosterWrite, Stamp,
    StoreError, StoreFuture, Stored, Written,
};
use futures_util::FutureExt;

use super::gate::Gate;

/// Everybody's password.
pub const PASSWORD: &str = "secret";

/// As cheap as they come: what makes passwords hard to guess is not what is simulated.
const ITERATIONS: u32 = 1;

/// A store with these accounts.
pub fn accounts<'a>(names: impl IntoIterator<Item = &'a str>) -> MemoryAccounts {
    let store = MemoryAccounts::new();
    let password = Password::new(PASSWORD).expect("the password is a good one");
    let keys = |hash| ScramKeys::derive(hash, &password, b"salt of a simulation".to_vec(), ITERATIONS);
    let credentials: Credentials = Hash::ALL.into_iter().map(keys).collect();
    for name in names {
        let name = NodePart::new(name).expect("the name is a localpart");
        let added = store.add(name, credentials.clone()).now_or_never().expect("the store answers at once");
        assert_eq!(added, Ok(Added::Created), "every user has a name of his own");
    }
    store
}

/// Whether a store says that it is away: while anybody wants it so. Clones are the same outage.
#[derive(Clone, Debug, Default)]
pub struct Outage {
    wanted_by: Arc<AtomicU32>,
}

impl Outage {
    /// It is away until [`Outage::end`] is called as often as this.
    pub fn begin(&self) {
        self.wanted_by.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes one [`Outage::begin`] back.
    pub fn end(&self) {
        self.wanted_by.fetch_sub(1, Ordering::AcqRel);
    }

    fn pass(&self) -> Result<(), StoreError> {
        match self.wanted_by.load(Ordering::Acquire) {
            0 => Ok(()),
            _ => Err(StoreError::Unavailable("there is an outage".to_owned())),
        }
    }
}

/// A store behind a gate: a call that comes while it is closed is carried out when it opens, unless there is an outage.
#[derive(Clone, Debug)]
pub struct FallibleAccounts {
    store: MemoryAccounts,
    gate: Gate,
    outage: Outage,
}

impl FallibleAccounts {
    /// The store behind the gate.
    pub fn new(store: MemoryAccounts, gate: Gate, outage: Outage) -> Self {
        FallibleAccounts { store, gate, outage }
    }
}

/// Each call waits at the gate and then is the store's.
macro_rules! behind_the_gate {
    ($($part:ident { $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+ })+) => {
        $(impl $part for FallibleAccounts {
            $(
                fn $name(&self, $($argument: $type),*) -> StoreFuture<'_, $answer> {
                    Box::pin(async move {
                        self.gate.pass().await;
                        self.outage.pass()?;
                        self.store.$name($($argument),*).await
                    })
                }
            )+
        })+
    };
}

behind_the_gate! {
    AccountStore {
        credentials(account: NodePart, draw: i64) -> Keys;
        exists(account: NodePart) -> bool;
        add(account: NodePart, credentials: Credentials) -> Added;
        add_many(accounts: Vec<NewAccount>, existing: Existing) -> Vec<Added>;
        change_credentials(account: NodePart, credentials: Credentials) -> Written;
        remove(account: NodePart) -> Written;
        list(after: Option<NodePart>, max: usize) -> Vec<NodePart>;
    }
    RosterStore {
        roster(account: NodePart, after: Option<BareJid>) -> RosterPart;
        set_contact(account: NodePart, contact: BareJid, name: Option<String>, groups: Vec<String>) -> RosterWrite;
        remove_contact(account: NodePart, contact: BareJid) -> bool;
    }
    OfflineStore {
        store_offline(account: NodePart, message: Stanza, at: UnixMillis, quota: OfflineQuota, name: Option<StanzaName>) -> Stored;
        claim(account: NodePart, claimant: Claimant) -> Vec<OfflineMessage>;
        forget(account: NodePart, keys: Vec<i64>, route: RouteId) -> ();
        is_stored_for(account: NodePart, recipient: FullJid) -> bool;
        offline_count(account: NodePart) -> usize;
    }
    ClusterStore {
        identity(candidate: Founding) -> Identity;
        form(founder: MemberId) -> bool;
        replace_founder(from: MemberId, to: MemberId) -> Identity;
        known_identity() -> Option<Identity>;
        found_anew(from: ClusterId, anew: Founding) -> Identity;
        allocate_member(name: String) -> MemberId;
        stamp(member: MemberId) -> Option<Stamp>;
        replace_stamp(member: MemberId, from: Option<Stamp>, to: Stamp) -> Stamp;
    }
    PropertyStore {
        properties() -> BTreeMap<String, String>;
        set_property(write: PropertyWrite) -> Option<String>;
        property_changes(name: Option<String>, max: usize) -> Vec<PropertyChange>;
    }
}
