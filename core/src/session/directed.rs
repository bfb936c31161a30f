//! To whom the client has sent presence directly: they are told when the session goes (RFC 6121 section 4.6.3).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::jid::Jid;
use crate::limits::{DIRECTED_PRESENCE_BYTES_MAX, DIRECTED_PRESENCE_MAX};

/// Entities that have directed presence of a session, in bounded memory.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Directed {
    entities: BTreeSet<Jid>,
    /// Of their JIDs.
    bytes: usize,
}

impl Directed {
    /// Remembers an entity; answers whether there was room for it.
    pub(super) fn insert(&mut self, entity: Jid) -> bool {
        if self.entities.contains(&entity) {
            return true;
        }
        let bytes = self.bytes + entity.as_str().len();
        let has_room = self.entities.len() < DIRECTED_PRESENCE_MAX && bytes <= DIRECTED_PRESENCE_BYTES_MAX;
        if has_room {
            self.entities.insert(entity);
            self.bytes = bytes;
        }
        has_room
    }

    /// The entity is to be told nothing more.
    pub(super) fn remove(&mut self, entity: &Jid) {
        if self.entities.remove(entity) {
            self.bytes -= entity.as_str().len();
        }
    }

    /// Everybody.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Jid> {
        self.entities.iter()
    }

    /// Everybody, who is forgotten.
    pub(super) fn take(&mut self) -> BTreeSet<Jid> {
        self.bytes = 0;
        std::mem::take(&mut self.entities)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// O9.
    #[test]
    fn long_addresses_fill_the_room_before_many_do() {
        let entity = |number: usize| -> Jid { format!("a@b.example/{number:0>1000}").parse().unwrap() };
        let mut directed = Directed::default();

        let taken = (0..DIRECTED_PRESENCE_MAX).filter(|number| directed.insert(entity(*number))).count();

        assert!(taken * 1012 <= DIRECTED_PRESENCE_BYTES_MAX && taken > 200, "{taken}");
        assert!(directed.insert(entity(0)), "it is there already");
        directed.remove(&entity(0));
        assert!(directed.insert(entity(999)), "there is room again");
        assert_eq!(directed.take().len(), taken);
        assert!(directed.insert(entity(1)));
    }
}
