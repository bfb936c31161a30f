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
//!
//! How the frames are laid out is agreed on by the two ends of a link. In the first format they are what bincode makes
//! of them, in order and nothing else. In the third one they are
//!
//! ```text
//! parcel     3 │ 0 │ number │ kind of destination │ length, destination │ stanza │ name
//! nudge      3 │ 1 │ number │ route                      Taken      3 │ 0 │ number
//! recall     3 │ 2 │ ranges                              Settled    3 │ 1 │ ranges
//! confirmed  3 │ 3 │ ranges                              Returned   3 │ 2 │ index │ ranges
//! ```
//!
//! with ranges as they follow each other: the distance from the end of the one before, and the length. What a program of
//! a later version may add has an answer: fields behind those that are known are ignored; a parcel for a kind of
//! destination that is not known is given back, and the home decides again; a frame of another kind is skipped. So what
//! must not be skipped, or counts as a parcel does, needs a format of its own.

use serde::{Deserialize, Serialize};

use crate::ids::{LogIndex, RouteId, Sequence};
use crate::routing::arrivals::StanzaName;
use crate::stanza::Stanza;
use crate::wire::{self, Length, LinkFormat, WireError};

/// From the home to the owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DataFrame {
    /// A stanza for somebody at the owner's.
    Parcel {
        /// Counts what the home sends on this lane, from 1 and without gaps.
        number: Sequence,
        /// Whom it is for.
        destination: Destination,
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

/// Where a parcel goes at its owner's. The stanza in it says by its address whom it is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Destination {
    /// The session that holds this route.
    Session(RouteId),
    /// Somebody of a kind that has this number and that this program does not know. Only ever read.
    Unknown(u8),
}

const SESSION: u8 = 0;

const PARCEL: u8 = 0;
const NUDGE: u8 = 1;
const RECALL: u8 = 2;
const CONFIRMED: u8 = 3;

const TAKEN: u8 = 0;
const SETTLED: u8 = 1;
const RETURNED: u8 = 2;

/// A frame in the first format. Borrowed to be written.
#[derive(Serialize, Deserialize)]
enum FirstFrame<S, R> {
    Parcel { number: Sequence, route: RouteId, stanza: S, name: Option<StanzaName> },
    Nudge { number: Sequence, route: RouteId },
    Recall { ranges: R },
    Confirmed { ranges: R },
}

impl DataFrame {
    /// Appends its bytes.
    ///
    /// # Panics
    ///
    /// If it is for somebody of an unknown kind.
    pub fn encode_into(&self, format: LinkFormat, bytes: &mut Vec<u8>) {
        match format {
            LinkFormat::First => wire::encode_into(&self.as_first(), bytes),
            LinkFormat::Third => {
                bytes.push(format.number());
                self.append_third(bytes);
            }
        }
    }

    /// The frame that the bytes hold; nothing if it is of a kind that is not known.
    ///
    /// # Errors
    ///
    /// If they are of another format, or are no frame of this one.
    pub fn decode(bytes: &[u8], format: LinkFormat) -> Result<Option<DataFrame>, WireError> {
        match format {
            LinkFormat::First => wire::decode(bytes, bytes.len()).map(|frame| Some(DataFrame::of_first(frame))),
            LinkFormat::Third => DataFrame::read_third(wire::fields_of(bytes, format.number())?),
        }
    }

    fn as_first(&self) -> FirstFrame<&Stanza, &[NumberRange]> {
        match self {
            DataFrame::Parcel { number, destination: Destination::Session(route), stanza, name } => {
                FirstFrame::Parcel { number: *number, route: *route, stanza, name: *name }
            }
            DataFrame::Parcel { destination: Destination::Unknown(_), .. } => unknown_is_only_read(),
            DataFrame::Nudge { number, route } => FirstFrame::Nudge { number: *number, route: *route },
            DataFrame::Recall { ranges } => FirstFrame::Recall { ranges },
            DataFrame::Confirmed { ranges } => FirstFrame::Confirmed { ranges },
        }
    }

    fn of_first(frame: FirstFrame<Stanza, Vec<NumberRange>>) -> DataFrame {
        match frame {
            FirstFrame::Parcel { number, route, stanza, name } => {
                DataFrame::Parcel { number, destination: Destination::Session(route), stanza, name }
            }
            FirstFrame::Nudge { number, route } => DataFrame::Nudge { number, route },
            FirstFrame::Recall { ranges } => DataFrame::Recall { ranges },
            FirstFrame::Confirmed { ranges } => DataFrame::Confirmed { ranges },
        }
    }

    fn append_third(&self, bytes: &mut Vec<u8>) {
        match self {
            DataFrame::Parcel { number, destination, stanza, name } => {
                wire::append(&(PARCEL, number), bytes);
                destination.append(bytes);
                wire::append(&(stanza, name), bytes);
            }
            DataFrame::Nudge { number, route } => wire::append(&(NUDGE, number, route), bytes),
            DataFrame::Recall { ranges } => append_ranges(RECALL, ranges, bytes),
            DataFrame::Confirmed { ranges } => append_ranges(CONFIRMED, ranges, bytes),
        }
    }

    fn read_third(mut fields: &[u8]) -> Result<Option<DataFrame>, WireError> {
        let fields = &mut fields;
        Ok(Some(match wire::next(fields)? {
            PARCEL => {
                let number = wire::next(fields)?;
                let destination = Destination::read(fields)?;
                let (stanza, name) = wire::next(fields)?;
                DataFrame::Parcel { number, destination, stanza, name }
            }
            NUDGE => {
                let (number, route) = wire::next(fields)?;
                DataFrame::Nudge { number, route }
            }
            RECALL => DataFrame::Recall { ranges: read_ranges(fields)? },
            CONFIRMED => DataFrame::Confirmed { ranges: read_ranges(fields)? },
            _ => return Ok(None),
        }))
    }
}

impl Destination {
    /// Its kind, and then what says who of that kind, by its length: so one that is not known can be passed over.
    fn append(self, bytes: &mut Vec<u8>) {
        match self {
            Destination::Session(route) => {
                let mut who = Vec::with_capacity(ROUTE_BYTES_MAX);
                wire::append(&route, &mut who);
                wire::append(&(SESSION, who), bytes);
            }
            Destination::Unknown(_) => unknown_is_only_read(),
        }
    }

    fn read(fields: &mut &[u8]) -> Result<Destination, WireError> {
        let (kind, Length(length)): (u8, Length) = wire::next(fields)?;
        let beyond = || WireError::Malformed("a destination goes beyond its frame".into());
        let length = usize::try_from(length).map_err(|_| beyond())?;
        let (mut who, rest) = fields.split_at_checked(length).ok_or_else(beyond)?;
        *fields = rest;
        match kind {
            SESSION => wire::next(&mut who).map(Destination::Session),
            kind => Ok(Destination::Unknown(kind)),
        }
    }
}

/// Bytes of a route: an integer of at most nine, and one of at most five.
const ROUTE_BYTES_MAX: usize = 14;

fn unknown_is_only_read() -> ! {
    unreachable!("a home sends to destinations that it knows")
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

impl DataAnswer {
    /// Its bytes.
    pub fn encode(&self, format: LinkFormat) -> Vec<u8> {
        match format {
            LinkFormat::First => wire::encode(self),
            LinkFormat::Third => {
                let mut bytes = vec![format.number()];
                match self {
                    DataAnswer::Taken { upto } => wire::append(&(TAKEN, upto), &mut bytes),
                    DataAnswer::Settled { ranges } => append_ranges(SETTLED, ranges, &mut bytes),
                    DataAnswer::Returned { ranges, index } => {
                        wire::append(&(RETURNED, index), &mut bytes);
                        wire::append(&relative(ranges), &mut bytes);
                    }
                }
                bytes
            }
        }
    }

    /// The answer that the bytes hold; nothing if it is of a kind that is not known.
    ///
    /// # Errors
    ///
    /// If they are of another format, or are no answer of this one.
    pub fn decode(bytes: &[u8], format: LinkFormat) -> Result<Option<DataAnswer>, WireError> {
        match format {
            LinkFormat::First => wire::decode(bytes, bytes.len()).map(Some),
            LinkFormat::Third => DataAnswer::read_third(wire::fields_of(bytes, format.number())?),
        }
    }

    fn read_third(mut fields: &[u8]) -> Result<Option<DataAnswer>, WireError> {
        let fields = &mut fields;
        Ok(Some(match wire::next(fields)? {
            TAKEN => DataAnswer::Taken { upto: wire::next(fields)? },
            SETTLED => DataAnswer::Settled { ranges: read_ranges(fields)? },
            RETURNED => {
                let index = wire::next(fields)?;
                DataAnswer::Returned { ranges: read_ranges(fields)?, index }
            }
            _ => return Ok(None),
        }))
    }
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

fn append_ranges(kind: u8, ranges: &[NumberRange], bytes: &mut Vec<u8>) {
    wire::append(&kind, bytes);
    wire::append(&relative(ranges), bytes);
}

/// Each range as its distance from the number behind the one before, which is below it in what was returned in another
/// order, and how many numbers it has beside the first. Numbers that follow each other closely are two bytes a range.
fn relative(ranges: &[NumberRange]) -> Vec<(i64, u64)> {
    let mut expected = 0_u64;
    ranges
        .iter()
        .map(|NumberRange { first, last }| {
            let distance = first.0.wrapping_sub(expected).cast_signed();
            expected = last.0.wrapping_add(1);
            (distance, last.0.wrapping_sub(first.0))
        })
        .collect()
}

fn read_ranges(fields: &mut &[u8]) -> Result<Vec<NumberRange>, WireError> {
    let relative: Vec<(i64, u64)> = wire::next(fields)?;
    let mut expected = 0_u64;
    let ranges = relative.into_iter().map(|(distance, more)| {
        let first = expected.wrapping_add_signed(distance);
        let last = first.wrapping_add(more);
        expected = last.wrapping_add(1);
        NumberRange { first: Sequence(first), last: Sequence(last) }
    });
    Ok(ranges.collect())
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::{Kind, MessageType};

    const ROUTE: RouteId = RouteId { index: LogIndex(70_000), position: 3 };

    fn parcel() -> DataFrame {
        let stanza = Stanza::new(Kind::Message(MessageType::Chat));
        DataFrame::Parcel { number: Sequence(9), destination: Destination::Session(ROUTE), stanza, name: None }
    }

    fn range(first: u64, last: u64) -> NumberRange {
        NumberRange { first: Sequence(first), last: Sequence(last) }
    }

    fn encoded(frame: &DataFrame, format: LinkFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame.encode_into(format, &mut bytes);
        bytes
    }

    #[test]
    fn every_frame_and_answer_comes_back_in_every_format() {
        let ranges = vec![range(1, 1), range(70_000, 70_009), range(5, 4), range(u64::MAX, u64::MAX), range(0, 0)];
        let frames = [
            parcel(),
            DataFrame::Nudge { number: Sequence(10), route: ROUTE },
            DataFrame::Recall { ranges: ranges.clone() },
            DataFrame::Confirmed { ranges: Vec::new() },
        ];
        let answers = [
            DataAnswer::Taken { upto: Sequence(u64::MAX) },
            DataAnswer::Settled { ranges: ranges.clone() },
            DataAnswer::Returned { ranges, index: LogIndex(7) },
        ];
        for format in LinkFormat::ALL {
            for frame in &frames {
                assert_eq!(DataFrame::decode(&encoded(frame, format), format).as_ref(), Ok(&Some(frame.clone())));
            }
            for answer in &answers {
                assert_eq!(DataAnswer::decode(&answer.encode(format), format).as_ref(), Ok(&Some(answer.clone())));
            }
        }
    }

    #[test]
    fn what_is_of_another_format_than_was_agreed_is_refused_by_name() {
        let (first, third) = (LinkFormat::First, LinkFormat::Third);
        let answer = DataAnswer::Taken { upto: Sequence(1) };

        let refused = Err(WireError::Format { found: 3, expected: 1 });
        assert_eq!(DataFrame::decode(&encoded(&parcel(), third), first), refused);
        assert_eq!(DataAnswer::decode(&answer.encode(third), first), Err(WireError::Format { found: 3, expected: 1 }));
        let refused = Err(WireError::Format { found: 1, expected: 3 });
        assert_eq!(DataFrame::decode(&encoded(&parcel(), first), third), refused);
    }

    /// A later program may know more kinds of destinations. How it names one of them is its own business.
    #[test]
    fn a_parcel_for_an_unknown_kind_of_destination_is_read_up_to_its_end() {
        let (number, stanza) = (Sequence(9), Stanza::new(Kind::Message(MessageType::Chat)));
        let mut bytes = vec![LinkFormat::Third.number()];
        wire::append(&(PARCEL, number, 200_u8, "juliet@example.org", &stanza, None::<StanzaName>), &mut bytes);

        let read = DataFrame::decode(&bytes, LinkFormat::Third);

        let destination = Destination::Unknown(200);
        assert_eq!(read, Ok(Some(DataFrame::Parcel { number, destination, stanza, name: None })));
    }

    #[test]
    fn unknown_fields_are_ignored_and_unknown_kinds_skipped_and_the_first_format_has_neither() {
        let mut longer = encoded(&parcel(), LinkFormat::Third);
        longer.extend_from_slice(b"more");
        assert_eq!(DataFrame::decode(&longer, LinkFormat::Third), Ok(Some(parcel())));
        assert_eq!(DataFrame::decode(&[3, 77, 1, 2], LinkFormat::Third), Ok(None));
        assert_eq!(DataAnswer::decode(&[3, 77, 1, 2], LinkFormat::Third), Ok(None));

        let mut longer = encoded(&parcel(), LinkFormat::First);
        longer.extend_from_slice(b"more");
        assert_eq!(DataFrame::decode(&longer, LinkFormat::First), Err(WireError::Trailing(4)));
        assert!(matches!(DataFrame::decode(&[1, 77, 1, 2], LinkFormat::First), Err(WireError::Malformed(_))));
    }

    #[test]
    fn ranges_that_follow_each_other_closely_take_two_bytes_each() {
        let ranges: Vec<_> = (0..100).map(|at| range(1_000_000 + 3 * at, 1_000_001 + 3 * at)).collect();
        let settled = DataAnswer::Settled { ranges };

        let [first, third] = LinkFormat::ALL.map(|format| settled.encode(format).len());
        assert!(third < 210 && first > 1000, "{first} and {third} bytes");
    }
}
