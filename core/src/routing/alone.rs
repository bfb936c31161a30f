//! For whom a node has stored something while it was by itself: whoever is there of them is told when it is not any more,
//! because another node may have claimed what it saw before that was stored.

use std::collections::BTreeSet;

use crate::jid::BareJid;

/// Accounts that are noted one by one, at some hundred bytes each. If there are more, everybody who is there is told.
const NOTED_MAX: usize = 65_536;

/// What a node notes of what it stores.
#[derive(Debug, Default)]
pub enum StoredAlone {
    /// It is in a cluster: nothing.
    #[default]
    NotAlone,
    /// It is by itself and has stored something for these.
    For(BTreeSet<BareJid>),
    /// For more than are noted.
    Many,
}

impl StoredAlone {
    /// The node is by itself from here on.
    pub fn begin(&mut self) {
        if let StoredAlone::NotAlone = self {
            *self = StoredAlone::For(BTreeSet::new());
        }
    }

    /// Something is stored for an account.
    pub fn note(&mut self, account: &BareJid) {
        if let StoredAlone::For(accounts) = self {
            accounts.insert(account.clone());
            if accounts.len() > NOTED_MAX {
                *self = StoredAlone::Many;
            }
        }
    }

    /// The node is not by itself any more: who is to be told, of those accounts that are there.
    pub fn end(&mut self, there: impl FnOnce() -> BTreeSet<BareJid>) -> BTreeSet<BareJid> {
        match std::mem::take(self) {
            StoredAlone::NotAlone => BTreeSet::new(),
            StoredAlone::For(accounts) => accounts,
            StoredAlone::Many => there(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn those_are_told_for_whom_a_node_by_itself_has_stored_something() {
        let mut stored = StoredAlone::default();
        stored.note(&account(1));
        stored.begin();
        stored.note(&account(2));
        stored.begin();
        stored.note(&account(2));

        assert_eq!(stored.end(there), BTreeSet::from([account(2)]));
        stored.note(&account(4));
        assert_eq!(stored.end(there), BTreeSet::new());
    }

    #[test]
    fn where_there_are_too_many_everybody_is_told_who_is_there() {
        let mut stored = StoredAlone::default();
        stored.begin();
        (0..=NOTED_MAX).for_each(|number| stored.note(&account(number)));
        stored.note(&account(0));

        assert_eq!(stored.end(there), BTreeSet::from([account(3)]));
    }

    fn account(number: usize) -> BareJid {
        format!("user{number}@example.org").parse().unwrap()
    }

    fn there() -> BTreeSet<BareJid> {
        BTreeSet::from([account(3)])
    }
}
