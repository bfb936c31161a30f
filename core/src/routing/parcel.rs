//! A stanza on its way to one session, with the place that answers for it.

use serde::{Deserialize, Serialize};

use crate::ids::{Incarnation, MemberId, RouteId, Sequence};
use crate::routing::arrivals::StanzaName;
use crate::routing::row::Turn;
use crate::stanza::Stanza;

/// A stanza for the session that holds one route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parcel {
    /// What to deliver.
    pub stanza: Stanza,
    /// The holding it is for; a later holder of the same JID does not get it by this parcel.
    pub route: RouteId,
    /// Who keeps the other copy until this one is settled.
    pub home: Home,
}

/// Who answers for a parcel: who is told when it is settled, and who routes it again when it could not be delivered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Home {
    /// This node: sender and recipient are connected to the same one, or the server itself made the stanza.
    Here {
        /// Its place if it comes back.
        turn: Turn,
    },
    /// This node, and somebody else may have it by that name: another session, or another node.
    Named {
        /// Which.
        name: StanzaName,
        /// Its place if it comes back.
        turn: Turn,
    },
    /// The member to which the sender is connected; `number` counts on its lane to this node.
    Member {
        /// The sender's node.
        member: MemberId,
        /// The life of that node in which it counted.
        incarnation: Incarnation,
        /// Its number for the parcel.
        number: Sequence,
    },
    /// The offline store, which keeps the message under this key.
    Offline {
        /// The key of the stored message.
        key: i64,
        /// The holding that has claimed it, which may have been followed by another one of the same session.
        claimant: RouteId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::STANZA_OVERHEAD_BYTES;

    /// O9. The heads of five allocations take 16 bytes each.
    #[test]
    fn the_overhead_of_a_stanza_covers_a_parcel_in_a_queue_that_has_just_doubled() {
        let bytes = 2 * size_of::<Parcel>() + 5 * 16;
        assert!(bytes <= STANZA_OVERHEAD_BYTES, "{bytes}");
    }
}
