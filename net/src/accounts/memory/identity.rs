//! The row by which a cluster knows itself, and its members.

use cresset_core::ids::MemberId;

use super::MemoryAccounts;
use crate::accounts::{ClusterId, ClusterStore, Founding, Identity, Stamp, StoreError, StoreFuture};

impl ClusterStore for MemoryAccounts {
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
}

fn no_identity() -> StoreError {
    StoreError::Unreadable("there is no identity".to_owned())
}
