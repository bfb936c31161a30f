//! Values as bytes: what goes over the links, into the log and into snapshots.
//!
//! A format byte, then the value as bincode writes it (variable-length integers, little endian). This is the only
//! place that knows bincode, so that it can be replaced; the frame around the bytes (length, checksum) is the
//! business of whoever carries or keeps them.
//!
//! Formats have the numbers of the versions that brought them: see [`format_of`]. What is encoded begins with its
//! format, so a program that meets a later one says so and does not take it for damage. Which version is written is
//! agreed on: by the two ends of a link ([`LinkFormat`]), and by all members for what they keep (the version of the
//! agreed state). Everything that was ever written has an example in `tests/formats`, which every later program reads.
//!
//! Bytes from outside are bounded twice: by the limit of the caller, and by a budget for what they claim to contain
//! that is in proportion to their length, so that twenty bytes cannot ask for a gigabyte.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The oldest format, that of what has never been written in another way.
pub const FORMAT_MIN: u8 = 1;

/// The version that brought [`LinkFormat::Third`].
const THIRD_SINCE_VERSION: u32 = 3;

/// The format of what belongs to a version and is not older than it. Programs of version 2 have written what came with
/// it in the format of version 1, so the second format has no number of its own.
pub fn format_of(version: u32) -> u8 {
    if version < THIRD_SINCE_VERSION {
        return FORMAT_MIN;
    }
    u8::try_from(version).expect("versions are counted by hand")
}

/// How the frames of one link are written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LinkFormat {
    /// That of versions 1 and 2.
    First,
    /// From version 3 on. Destinations have a kind, ranges of numbers are relative, and frames can grow.
    Third,
}

impl LinkFormat {
    /// All of them, oldest first.
    pub const ALL: [LinkFormat; 2] = [LinkFormat::First, LinkFormat::Third];

    /// The format of a link whose ends agreed on this version.
    pub fn of_version(version: u32) -> LinkFormat {
        if version < THIRD_SINCE_VERSION { LinkFormat::First } else { LinkFormat::Third }
    }

    /// Its number, with which everything begins that is written in it.
    pub const fn number(self) -> u8 {
        match self {
            LinkFormat::First => FORMAT_MIN,
            LinkFormat::Third => 3,
        }
    }
}

/// Why bytes are not a value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// More bytes than the caller accepts.
    #[error("{len} bytes, of which at most {limit} are accepted")]
    TooLong {
        /// The length of the bytes.
        len: usize,
        /// What the caller accepts.
        limit: usize,
    },
    /// Not even a format byte.
    #[error("no bytes at all")]
    Empty,
    /// Another format than may be there.
    #[error("of format {found}, and what is read here has format {expected}")]
    Format {
        /// What the bytes begin with.
        found: u8,
        /// The format, or the newest one, that is read.
        expected: u8,
    },
    /// The bytes end early, claim more than they can hold, or hold a value that does not exist.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Bytes are left over.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
}

/// The bytes of a value in the oldest format, format byte first.
///
/// # Panics
///
/// If the type has a shape that bincode cannot write (a sequence of unknown length, `serde(flatten)`), which is an
/// error of the program and not of the value.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes);
    bytes
}

/// Appends the bytes of a value in the oldest format, format byte first.
///
/// # Panics
///
/// As [`encode`].
pub fn encode_into<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    bytes.push(FORMAT_MIN);
    append(value, bytes);
}

/// Appends a value behind the format byte or what stands behind it, as another field.
///
/// # Panics
///
/// As [`encode`].
pub fn append<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(value, bytes, bincode::config::standard())
        .expect("a vector takes every byte, and our types have shapes that bincode can write");
}

/// How many elements of a sequence follow, each of which is written and read by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Length(pub u64);

/// Of a sequence of so many elements.
pub fn length(elements: usize) -> Length {
    Length(u64::try_from(elements).expect("a length has at most 64 bits"))
}

/// The fields behind the format byte, which [`take`] reads.
///
/// # Errors
///
/// If the bytes are not of this format.
pub fn fields_of(bytes: &[u8], format: u8) -> Result<&[u8], WireError> {
    match bytes.split_first() {
        None => Err(WireError::Empty),
        Some((found, fields)) if *found == format => Ok(fields),
        Some((found, _)) => Err(WireError::Format { found: *found, expected: format }),
    }
}

/// The value with which the bytes begin, and how many it has: one field of what [`encode_into`] and [`append`] wrote. The
/// same budget as for [`decode`].
///
/// # Errors
///
/// If they do not begin with one.
pub fn take<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), WireError> {
    // The budget counts an integer by its size in memory, which is at most 16 times its length on the wire; so a value
    // that fits its bytes fits its budget. It is a constant of the type, hence the steps.
    let decoded = match bytes.len() {
        0..=0x1000 => decode_within::<T, 0x1_0000>(bytes),
        0x1001..=0x4_0000 => decode_within::<T, 0x40_0000>(bytes),
        0x4_0001..=0x100_0000 => decode_within::<T, 0x1000_0000>(bytes),
        _ => decode_within::<T, { usize::MAX >> 1 }>(bytes),
    };
    decoded.map_err(|error| WireError::Malformed(error.to_string()))
}

/// The next field of `fields`, which are those behind it afterwards.
///
/// # Errors
///
/// As [`take`].
pub fn next<T: DeserializeOwned>(fields: &mut &[u8]) -> Result<T, WireError> {
    let (value, taken) = take(fields)?;
    *fields = &fields[taken..];
    Ok(value)
}

/// The value that the bytes hold in the oldest format, all of them and nothing else.
///
/// # Errors
///
/// If there are more than `limit` bytes, or they are not exactly one value of this format.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, WireError> {
    within(bytes, limit)?;
    whole(fields_of(bytes, FORMAT_MIN)?)
}

/// As [`decode`], of every format up to `newest`: for what is laid out in one way and can hold what came later.
///
/// # Errors
///
/// As [`decode`]. A later format is [`WireError::Format`], whatever follows it.
pub fn decode_up_to<T: DeserializeOwned>(bytes: &[u8], limit: usize, newest: u8) -> Result<T, WireError> {
    within(bytes, limit)?;
    let (&found, fields) = bytes.split_first().ok_or(WireError::Empty)?;
    if !(FORMAT_MIN..=newest).contains(&found) {
        return Err(WireError::Format { found, expected: newest });
    }
    whole(fields)
}

fn within(bytes: &[u8], limit: usize) -> Result<(), WireError> {
    if bytes.len() > limit { Err(WireError::TooLong { len: bytes.len(), limit }) } else { Ok(()) }
}

fn whole<T: DeserializeOwned>(mut fields: &[u8]) -> Result<T, WireError> {
    let value = next(&mut fields)?;
    if fields.is_empty() { Ok(value) } else { Err(WireError::Trailing(fields.len())) }
}

fn decode_within<T: DeserializeOwned, const BUDGET: usize>(
    body: &[u8],
) -> Result<(T, usize), bincode::error::DecodeError> {
    bincode::serde::decode_from_slice(body, bincode::config::standard().with_limit::<BUDGET>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_it_was() {
        let value = (7_u64, vec![Some("juliet".to_owned()), None], [1_u8; 3]);

        assert_eq!(decode(&encode(&value), 1000), Ok(value));
    }

    #[test]
    fn small_integers_fit_the_budget_of_every_length() {
        for count in [10, 5000, 300_000] {
            let value = vec![1_u64; count];
            assert_eq!(decode(&encode(&value), usize::MAX), Ok(value));
        }
    }

    /// G9.
    #[test]
    fn every_shortened_form_is_refused() {
        let bytes = encode(&(300_u64, "romeo".to_owned(), vec![1_u16, 2, 3]));

        for len in 0..bytes.len() {
            assert!(decode::<(u64, String, Vec<u16>)>(&bytes[..len], 1000).is_err(), "{len} bytes");
        }
    }

    /// G8.
    #[test]
    fn a_length_that_the_bytes_cannot_hold_is_refused() {
        let mut claim = vec![FORMAT_MIN, 253];
        claim.extend_from_slice(&(1_u64 << 40).to_le_bytes());

        assert!(matches!(decode::<Vec<u8>>(&claim, 1000), Err(WireError::Malformed(_))));
        assert!(matches!(decode::<String>(&claim, 1000), Err(WireError::Malformed(_))));
        assert!(matches!(decode::<Vec<u64>>(&claim, 1000), Err(WireError::Malformed(_))));
    }

    /// G11.
    #[test]
    fn what_is_too_long_or_of_another_format_or_followed_by_more_is_refused_by_name() {
        let mut bytes = encode(&5_u64);

        assert_eq!(decode::<u64>(&bytes, 1), Err(WireError::TooLong { len: 2, limit: 1 }));
        bytes.push(0);
        assert_eq!(decode::<u64>(&bytes, 10), Err(WireError::Trailing(1)));
        bytes[0] = 9;
        assert_eq!(decode::<u64>(&bytes, 10), Err(WireError::Format { found: 9, expected: 1 }));
        assert_eq!(decode::<u64>(&[], 10), Err(WireError::Empty));
    }

    #[test]
    fn what_may_be_of_several_formats_is_read_up_to_the_newest() {
        for (format, expected) in [(1, Ok(5)), (3, Ok(5)), (4, Err(WireError::Format { found: 4, expected: 3 }))] {
            assert_eq!(decode_up_to::<u64>(&[format, 5], 10, 3), expected, "format {format}");
        }
    }

    #[test]
    fn a_format_has_the_number_of_the_version_that_brought_it() {
        assert_eq!([1, 2, 3, 4].map(format_of), [1, 1, 3, 4]);
        assert_eq!([1, 2, 3, 4].map(|version| LinkFormat::of_version(version).number()), [1, 1, 3, 3]);
    }
}
