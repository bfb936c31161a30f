//! The account store of simulations: a few maps, shared by all nodes of a simulated cluster.
//!
//! Every answer is ready at once and depends on nothing but the calls that were made, in their order. What a real
//! store does badly is added around it (see [`MemoryAccounts::set_available`]).

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard};

use cresset_core::config::properties::{OfflineQuota, Waiting};
use cresset_core::ids::{MemberId, RouteId};
use cresset_core::jid::{BareJid, FullJid, NodePart};
use cresset_core::limits::ROSTER_PART_BYTES_MAX;
use cresset_core::planted;
use cresset_core::routing::StanzaName;
use cresset_core::session::{OfflineMessage, RosterItem, RosterPart, RosterSize, Subscription};
use cresset_core::stanza::Stanza;
use cresset_core::time::UnixMillis;

use super::{
    ACCOUNTS_PER_CALL_MAX, Accounts, Added, CLAIM_BYTES_MAX, CLAIM_MESSAGES_MAX, Claimant, ClusterId, Credentials,
    Existing, Founding, Identity, Keys, NAME_KEPT_MS, NewAccount, PROPERTIES_MAX, PROPERTY_CHANGES_MAX, PropertyChange,
    PropertyWrite, RosterWrite, Stamp, StoreError, StoreFuture, Stored, Written,
};

/// Multiples of it lie evenly in the numbers of 64 bits (Knuth, volume 3, section 6.4).
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

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

impl Tables {
    fn add(&mut self, account: NewAccount, existing: Existing) -> Added {
        match (self.accounts.get_mut(&account.name), existing) {
            (Some(_), Existing::Keep) => Added::Exists,
            (Some(found), Existing::Update) => {
                found.credentials = account.credentials;
                Added::Updated
            }
            (None, Existing::Keep | Existing::Update) => {
                self.accounts_added += 1;
                let draw = self.accounts_added.wrapping_mul(GOLDEN_RATIO).cast_signed();
                self.ring.insert(draw, account.name.clone());
                let credentials = account.credentials;
                let empty = Account { credentials, draw, roster: BTreeMap::new(), messages: BTreeMap::new() };
                self.accounts.insert(account.name, empty);
                Added::Created
            }
        }
    }

    /// Changes an item, or one that is put in for it.
    fn change_item(
        &mut self,
        account: &NodePart,
        contact: BareJid,
        change: impl FnOnce(&mut RosterItem),
    ) -> RosterWrite {
        let Some(found) = self.accounts.get_mut(account) else { return RosterWrite::NoSuchAccount };
        let before = found.roster.get(&contact);
        let mut item = before.cloned().unwrap_or_else(|| RosterItem {
            jid: contact.clone(),
            name: None,
            subscription: Subscription::None,
            asked: false,
            groups: Vec::new(),
        });
        change(&mut item);
        let others = found.roster.values().filter(|other| other.jid != contact).map(stored_bytes);
        let size = RosterSize {
            others: found.roster.len() - usize::from(before.is_some()),
            others_bytes: others.sum(),
            item_bytes: before.map(stored_bytes),
        };
        if !size.has_room_for(stored_bytes(&item)) {
            return RosterWrite::Full;
        }
        found.roster.insert(contact, item.clone());
        RosterWrite::Done(item)
    }
}

impl Account {
    /// What waits, of all and of one sender.
    fn waiting(&self, sender: &str) -> [Waiting; 2] {
        let add = |[all, of_sender]: [Waiting; 2], kept: &Kept| {
            let weight = kept.message.weight();
            let is_theirs = kept.message.sending_account() == sender;
            [all.and_one(weight), if is_theirs { of_sender.and_one(weight) } else { of_sender }]
        };
        self.messages.values().fold(Default::default(), add)
    }

    fn claim(&mut self, claimant: &Claimant) -> Vec<OfflineMessage> {
        let (mut claimed, mut bytes) = (Vec::new(), 0);
        for (&key, waiting) in &mut self.messages {
            if claimed.len() == CLAIM_MESSAGES_MAX || bytes >= CLAIM_BYTES_MAX {
                break;
            }
            if waiting.holder.is_none_or(|holder| claimant.may_take_from(holder)) {
                waiting.holder = Some(claimant.route);
                bytes += waiting.message.weight();
                claimed.push(OfflineMessage { key, message: waiting.message.clone(), at: waiting.at });
            }
        }
        claimed
    }
}

impl Accounts for MemoryAccounts {
    fn credentials(&self, account: NodePart, draw: i64) -> StoreFuture<'_, Keys> {
        self.with(move |tables| {
            let keys_of = |name: &NodePart| tables.accounts.get(name).map(|account| account.credentials.clone());
            let drawn = tables.ring.range(draw..).next().or_else(|| tables.ring.first_key_value());
            Ok(match keys_of(&account) {
                Some(own) => Keys::Own(own),
                None => Keys::Drawn(drawn.and_then(|(_, name)| keys_of(name)).unwrap_or_default()),
            })
        })
    }

    fn exists(&self, account: NodePart) -> StoreFuture<'_, bool> {
        self.with(move |tables| Ok(tables.accounts.contains_key(&account)))
    }

    fn add(&self, account: NodePart, credentials: Credentials) -> StoreFuture<'_, Added> {
        self.with(move |tables| Ok(tables.add(NewAccount { name: account, credentials }, Existing::Keep)))
    }

    fn add_many(&self, accounts: Vec<NewAccount>, existing: Existing) -> StoreFuture<'_, Vec<Added>> {
        self.with(move |tables| {
            super::within_one_call(accounts.len())?;
            Ok(accounts.into_iter().map(|account| tables.add(account, existing)).collect())
        })
    }

    fn change_credentials(&self, account: NodePart, credentials: Credentials) -> StoreFuture<'_, Written> {
        self.with(move |tables| {
            let Some(found) = tables.accounts.get_mut(&account) else { return Ok(Written::NoSuchAccount) };
            found.credentials = credentials;
            Ok(Written::Done)
        })
    }

    fn remove(&self, account: NodePart) -> StoreFuture<'_, Written> {
        self.with(move |tables| match tables.accounts.remove(&account) {
            Some(removed) => {
                tables.ring.remove(&removed.draw);
                Ok(Written::Done)
            }
            None => Ok(Written::NoSuchAccount),
        })
    }

    fn list(&self, after: Option<NodePart>, max: usize) -> StoreFuture<'_, Vec<NodePart>> {
        self.with(move |tables| {
            let names = tables.accounts.keys().filter(|name| after.as_ref().is_none_or(|after| *name > after));
            Ok(names.take(max.min(ACCOUNTS_PER_CALL_MAX)).cloned().collect())
        })
    }

    fn roster(&self, account: NodePart, after: Option<BareJid>) -> StoreFuture<'_, RosterPart> {
        self.with(move |tables| {
            let mut part = RosterPart { items: Vec::new(), is_last: true };
            let mut bytes = 0;
            let roster = tables.accounts.get(&account).map(|account| &account.roster);
            let begin = after.as_ref().map_or(Unbounded, Excluded);
            let following = roster.into_iter().flat_map(|roster| roster.range::<BareJid, _>((begin, Unbounded)));
            for (_, item) in following {
                bytes += stored_bytes(item);
                if bytes > ROSTER_PART_BYTES_MAX && !part.items.is_empty() {
                    part.is_last = false;
                    break;
                }
                part.items.push(item.clone());
            }
            Ok(part)
        })
    }

    fn set_contact(
        &self,
        account: NodePart,
        contact: BareJid,
        name: Option<String>,
        groups: Vec<String>,
    ) -> StoreFuture<'_, RosterWrite> {
        self.with(move |tables| {
            Ok(tables.change_item(&account, contact, |item| {
                item.name = name;
                item.groups = groups;
            }))
        })
    }

    fn remove_contact(&self, account: NodePart, contact: BareJid) -> StoreFuture<'_, bool> {
        self.with(move |tables| {
            let found = tables.accounts.get_mut(&account);
            Ok(found.is_some_and(|found| found.roster.remove(&contact).is_some()))
        })
    }

    fn store_offline(
        &self,
        account: NodePart,
        message: Stanza,
        at: UnixMillis,
        quota: OfflineQuota,
        name: Option<StanzaName>,
    ) -> StoreFuture<'_, Stored> {
        self.with(move |tables| {
            let Some(found) = tables.accounts.get_mut(&account) else { return Ok(Stored::NoSuchAccount) };
            tables.names.retain(|_, kept| kept.0.saturating_add(NAME_KEPT_MS) > at.0);
            if name.is_some_and(|name| tables.names.contains_key(&name)) {
                return Ok(Stored::Kept);
            }
            let weight = message.weight();
            let [all, of_sender] = found.waiting(message.sending_account()).map(|waiting| waiting.and_one(weight));
            if !all.is_within(quota.account) || !of_sender.is_within(quota.sender) {
                return Ok(Stored::Full);
            }
            tables.names.extend(name.map(|name| (name, at)));
            tables.messages_stored += 1;
            found.messages.insert(tables.messages_stored, Kept { message, at, holder: None });
            Ok(Stored::Kept)
        })
    }

    fn claim(&self, account: NodePart, claimant: Claimant) -> StoreFuture<'_, Vec<OfflineMessage>> {
        self.with(move |tables| {
            Ok(tables.accounts.get_mut(&account).map(|found| found.claim(&claimant)).unwrap_or_default())
        })
    }

    fn forget(&self, account: NodePart, keys: Vec<i64>, route: RouteId) -> StoreFuture<'_, ()> {
        self.with(move |tables| {
            let Some(found) = tables.accounts.get_mut(&account) else { return Ok(()) };
            for key in keys {
                let is_theirs = found.messages.get(&key).is_some_and(|waiting| waiting.holder == Some(route));
                if is_theirs && !planted!(OfflineHandedOutTwice) {
                    found.messages.remove(&key);
                }
            }
            Ok(())
        })
    }

    fn is_stored_for(&self, account: NodePart, recipient: FullJid) -> StoreFuture<'_, bool> {
        self.with(move |tables| {
            let Some(found) = tables.accounts.get(&account) else { return Ok(false) };
            Ok(found.messages.values().any(|waiting| waiting.message.to.as_ref().is_some_and(|to| *to == recipient)))
        })
    }

    fn offline_count(&self, account: NodePart) -> StoreFuture<'_, usize> {
        self.with(move |tables| Ok(tables.accounts.get(&account).map_or(0, |found| found.messages.len())))
    }

    fn identity(&self, candidate: Founding) -> StoreFuture<'_, Identity> {
        self.with(move |tables| Ok(tables.identity.get_or_insert_with(|| candidate.into_identity()).clone()))
    }

    fn form(&self, founder: MemberId) -> StoreFuture<'_, bool> {
        self.with(move |tables| {
            let identity = tables.identity.as_mut().ok_or_else(no_identity)?;
            identity.formed |= identity.founder == founder;
            Ok(identity.founder == founder)
        })
    }

    fn replace_founder(&self, from: MemberId, to: MemberId) -> StoreFuture<'_, Identity> {
        self.with(move |tables| {
            let identity = tables.identity.as_mut().ok_or_else(no_identity)?;
            if identity.founder == from && !identity.formed {
                identity.founder = to;
            }
            Ok(identity.clone())
        })
    }

    fn known_identity(&self) -> StoreFuture<'_, Option<Identity>> {
        self.with(move |tables| Ok(tables.identity.clone()))
    }

    fn found_anew(&self, from: ClusterId, anew: Founding) -> StoreFuture<'_, Identity> {
        self.with(move |tables| {
            let identity = tables.identity.as_mut().ok_or_else(no_identity)?;
            if identity.cluster_id == from {
                let fake_salt_secret = identity.fake_salt_secret.clone();
                *identity = Identity { fake_salt_secret, ..anew.into_identity() };
                let accounts = tables.accounts.values_mut();
                accounts.flat_map(|account| account.messages.values_mut()).for_each(|waiting| waiting.holder = None);
            }
            Ok(identity.clone())
        })
    }

    fn allocate_member(&self, _name: String) -> StoreFuture<'_, MemberId> {
        self.with(move |tables| {
            tables.members += 1;
            Ok(MemberId(tables.members))
        })
    }

    fn stamp(&self, member: MemberId) -> StoreFuture<'_, Option<Stamp>> {
        self.with(move |tables| Ok(tables.stamps.get(&member).copied()))
    }

    fn replace_stamp(&self, member: MemberId, from: Option<Stamp>, to: Stamp) -> StoreFuture<'_, Stamp> {
        self.with(move |tables| {
            let last = tables.stamps.entry(member).or_insert(to);
            if Some(*last) == from {
                *last = to;
            }
            Ok(*last)
        })
    }

    fn properties(&self) -> StoreFuture<'_, BTreeMap<String, String>> {
        self.with(|tables| {
            Ok(tables.properties.iter().take(PROPERTIES_MAX).map(|(n, v)| (n.clone(), v.clone())).collect())
        })
    }

    fn set_property(&self, write: PropertyWrite) -> StoreFuture<'_, Option<String>> {
        self.with(move |tables| {
            let old = match &write.value {
                Some(value) => tables.properties.insert(write.name.clone(), value.clone()),
                None => tables.properties.remove(&write.name),
            };
            if let Some(change) = write.onto(old.clone()) {
                tables.changes.push_front(change);
                tables.changes.truncate(PROPERTY_CHANGES_MAX);
            }
            Ok(old)
        })
    }

    fn property_changes(&self, name: Option<String>, max: usize) -> StoreFuture<'_, Vec<PropertyChange>> {
        self.with(move |tables| {
            let changes = tables.changes.iter().filter(|change| name.as_ref().is_none_or(|name| *name == change.name));
            Ok(changes.take(max).cloned().collect())
        })
    }
}

/// As the databases have it that write groups as JSON, but for what has to be escaped.
fn stored_bytes(item: &RosterItem) -> usize {
    let groups: usize = item.groups.iter().map(|group| group.len() + 3).sum();
    item.jid.as_str().len() + item.name.as_ref().map_or(0, String::len) + groups.max(1) + 1
}

fn no_identity() -> StoreError {
    StoreError::Unreadable("there is no identity".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
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
