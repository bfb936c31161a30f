//! What two members say to each other on a data lane.
//!
//! A lane belongs to the member that sends parcels on it, the *home*; the answers of the *owner* travel back on the
//! same connection. Numbers belong to one life of the home and one life of the owner, not to a connection: after a
//! connection was lost the next one goes on where the owner says it is.
//!
//! ```text
//! home                                     owner
//!   │◀───────────── Taken{upto} ─────────────│   first thing on every connection: resume after this
//!   │── Recall{ranges} ─────────────────────▶│   what became of these? (answers may have been lost)
//!   │── Parcel{number, ..} ─────────────────▶│
//!   │◀───────────── Taken{upto} ─────────────│   in the sessions' queues: two members hold it
//!   │◀───────────── Settled{ranges} ─────────│   forget it
//!   │◀───────────── Returned{ranges, index} ─│   not here at index: decide again
//!   │── Confirmed{ranges} ──────────────────▶│   decided again, and somebody else holds it
//! ```

use serde::{Deserialize, Serialize};

use crate::ids::{LogIndex, RouteId, Sequence};
use crate::routing::arrivals::StanzaName;
use crate::stanza::Stanza;

/// From the home to the owner.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum DataFrame {
    /// A stanza for the session that holds a route.
    Parcel {
        /// Counts what the home sends on this lane, from 1 and without gaps.
        number: Sequence,
        /// The holding it is for.
        route: RouteId,
        /// What to deliver.
        stanza: Stanza,
        /// By which name somebody may have it already.
        name: Option<StanzaName>,
    },
    /// Messages for this session's account were stored: let it claim them.
    Nudge {
        /// As for a parcel, and in the same row.
        number: Sequence,
        /// The holding it is for.
        route: RouteId,
    },
    /// Asks what became of parcels that the owner has taken.
    Recall {
        /// Which; at most [`RANGES_PER_FRAME_MAX`].
        ranges: Vec<NumberRange>,
    },
    /// These returned parcels were decided again and another place answers for them.
    Confirmed {
        /// Which; at most [`RANGES_PER_FRAME_MAX`].
        ranges: Vec<NumberRange>,
    },
}

/// From the owner to the home.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum DataAnswer {
    /// Everything up to this number is in the hands of the owner. The first frame on every connection.
    Taken {
        /// The last number.
        upto: Sequence,
    },
    /// These parcels are done with.
    Settled {
        /// Which; at most [`RANGES_PER_FRAME_MAX`].
        ranges: Vec<NumberRange>,
    },
    /// The sessions for which these parcels were are not here.
    Returned {
        /// Which; at most [`RANGES_PER_FRAME_MAX`].
        ranges: Vec<NumberRange>,
        /// How far the owner had applied the log when it looked.
        index: LogIndex,
    },
}

/// Numbers from `first` to `last`, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NumberRange {
    /// The lowest.
    pub first: Sequence,
    /// The highest; not below `first`.
    pub last: Sequence,
}

/// Ranges in one frame; what does not fit goes into the next one. Keeps a frame below 64 KiB.
pub const RANGES_PER_FRAME_MAX: usize = 2048;

/// Adds a number that is greater than all before it.
pub(super) fn push_number(ranges: &mut Vec<NumberRange>, number: Sequence) {
    match ranges.last_mut() {
        Some(range) if range.last.0 + 1 == number.0 => range.last = number,
        Some(_) | None => ranges.push(NumberRange { first: number, last: number }),
    }
}

/// Numbers in any order as ranges in order.
pub(super) fn ranges_of(mut numbers: Vec<Sequence>) -> Vec<NumberRange> {
    numbers.sort_unstable();
    let mut ranges = Vec::new();
    for number in numbers {
        push_number(&mut ranges, number);
    }
    ranges
}
