//! Accounts and their keys.

use std::collections::BTreeMap;

use cresset_core::jid::NodePart;

use super::{Account, MemoryAccounts, Tables};
use crate::accounts::{
    ACCOUNTS_PER_CALL_MAX, AccountStore, Added, Credentials, Existing, Keys, NewAccount, StoreFuture, Written,
    within_one_call,
};

/// Multiples of it lie evenly in the numbers of 64 bits (Knuth, volume 3, section 6.4).
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

impl AccountStore for MemoryAccounts {
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
            within_one_call(accounts.len())?;
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
}
