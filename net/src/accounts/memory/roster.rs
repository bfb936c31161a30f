//! Rosters.

use std::ops::Bound::{Excluded, Unbounded};

use cresset_core::jid::{BareJid, NodePart};
use cresset_core::limits::ROSTER_PART_BYTES_MAX;
use cresset_core::session::{RosterItem, RosterPart, RosterSize, Subscription};

use super::{MemoryAccounts, Tables};
use crate::accounts::{RosterStore, RosterWrite, StoreFuture};

impl RosterStore for MemoryAccounts {
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
}

impl Tables {
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

/// As the databases have it that write groups as JSON, but for what has to be escaped.
fn stored_bytes(item: &RosterItem) -> usize {
    let groups: usize = item.groups.iter().map(|group| group.len() + 3).sum();
    item.jid.as_str().len() + item.name.as_ref().map_or(0, String::len) + groups.max(1) + 1
}
