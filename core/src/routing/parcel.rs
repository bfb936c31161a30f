//! A stanza on its way to one session, with the place that answers for it.

use serde::{Deserialize, Serialize};

use crate::ids::{Incarnation, MemberId, RouteId, Sequence};
use crate::routing::arrivals::StanzaName;
use crate::routing::decide::may_go_elsewhere;
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

/// What becomes of a parcel when the session for which it was is over and was not done with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leftover {
    /// Nothing: nobody misses it, or it is decided about where the other copy is.
    Nothing,
    /// This node decides again. A session may take it under its name again, if it has one.
    DecidedHere(Option<StanzaName>),
    /// It goes back to its home.
    GivenBack,
}

impl Parcel {
    /// What becomes of it when its session is over: of one of this life of the node, or of an earlier one; by a node that
    /// has links or is between two lives.
    pub fn leftover(&self, is_of_this_life: bool, has_links: bool) -> Leftover {
        match self.home {
            Home::Here { .. } | Home::Named { .. } if !may_go_elsewhere(&self.stanza) => Leftover::Nothing,
            Home::Here { .. } => Leftover::DecidedHere(None),
            Home::Named { name, .. } => Leftover::DecidedHere(Some(name)),
            // Still stored: whoever claims next gets it.
            Home::Offline { .. } => Leftover::Nothing,
            // The homes of what an earlier life held have decided about it.
            Home::Member { .. } if !is_of_this_life => Leftover::Nothing,
            Home::Member { .. } if has_links => Leftover::GivenBack,
            Home::Member { .. } => Leftover::DecidedHere(None),
        }
    }
}

impl Home {
    /// Its place if it comes back; none if this node has not decided about it yet.
    pub fn turn(self) -> Option<Turn> {
        match self {
            Home::Here { turn } | Home::Named { turn, .. } => Some(turn),
            Home::Member { .. } | Home::Offline { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BootId;
    use crate::stanza::{Kind, MessageType, PresenceType, STANZA_OVERHEAD_BYTES};

    const MESSAGE: Kind = Kind::Message(MessageType::Chat);
    const PRESENCE: Kind = Kind::Presence(PresenceType::Available);
    const TURN: Turn = Turn(1);

    #[test]
    fn what_only_this_node_has_is_decided_here_if_it_is_of_use_to_anybody() {
        let name = StanzaName { home: BootId(1), owner: BootId(1), number: Sequence(1) };
        let (here, named) = (Home::Here { turn: TURN }, Home::Named { name, turn: TURN });
        for is_of_this_life in [true, false] {
            assert_eq!(parcel(MESSAGE, here).leftover(is_of_this_life, true), Leftover::DecidedHere(None));
            assert_eq!(parcel(MESSAGE, named).leftover(is_of_this_life, true), Leftover::DecidedHere(Some(name)));
            assert_eq!(parcel(PRESENCE, here).leftover(is_of_this_life, true), Leftover::Nothing);
            assert_eq!(parcel(PRESENCE, named).leftover(is_of_this_life, true), Leftover::Nothing);
        }
    }

    #[test]
    fn what_another_member_has_goes_back_to_it_within_one_life() {
        let (member, incarnation) = (MemberId(1), Incarnation(1));
        let theirs = parcel(MESSAGE, Home::Member { member, incarnation, number: Sequence(1) });

        assert_eq!(theirs.leftover(true, true), Leftover::GivenBack);
        assert_eq!(theirs.leftover(true, false), Leftover::DecidedHere(None));
        assert_eq!(theirs.leftover(false, true), Leftover::Nothing);
    }

    #[test]
    fn what_is_stored_stays_stored() {
        let stored = parcel(MESSAGE, Home::Offline { key: 1, claimant: RouteId::default() });

        assert_eq!(stored.leftover(true, true), Leftover::Nothing);
    }

    fn parcel(kind: Kind, home: Home) -> Parcel {
        Parcel { stanza: Stanza::new(kind), route: RouteId::default(), home }
    }

    /// O9. The heads of five allocations take 16 bytes each.
    #[test]
    fn the_overhead_of_a_stanza_covers_a_parcel_in_a_queue_that_has_just_doubled() {
        let bytes = 2 * size_of::<Parcel>() + 5 * 16;
        assert!(bytes <= STANZA_OVERHEAD_BYTES, "{bytes}");
    }
}
