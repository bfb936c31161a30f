//! Messages for those who are away.

use cresset_core::config::properties::{OfflineQuota, Waiting};
use cresset_core::ids::RouteId;
use cresset_core::jid::{FullJid, NodePart};
use cresset_core::planted;
use cresset_core::routing::StanzaName;
use cresset_core::session::OfflineMessage;
use cresset_core::stanza::Stanza;
use cresset_core::time::UnixMillis;

use super::{Account, Kept, MemoryAccounts};
use crate::accounts::{CLAIM_BYTES_MAX, CLAIM_MESSAGES_MAX, Claimant, NAME_KEPT_MS, OfflineStore, StoreFuture, Stored};

impl OfflineStore for MemoryAccounts {
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
