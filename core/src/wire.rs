//! Values as bytes: what goes over the links, into the log and into snapshots.
//!
//! A version byte, then the value as bincode writes it (variable-length integers, little endian). This is the only
//! place that knows bincode, so that it can be replaced; the frame around the bytes (length, checksum) is the
//! business of whoever carries or keeps them.
//!
//! Bytes from outside are bounded twice: by the limit of the caller, and by a budget for what they claim to contain
//! that is in proportion to their length, so that twenty bytes cannot ask for a gigabyte.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version of the encoding, the first byte of everything that is encoded.
pub const WIRE_VERSION: u8 = 1;

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
    /// Not even a version byte.
    #[error("no bytes at all")]
    Empty,
    /// A version that this program does not understand.
    #[error("encoding version {0} is not understood")]
    Version(u8),
    /// The bytes end early, claim more than they can hold, or hold a value that does not exist.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Bytes are left over.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
}

/// The bytes of a value, version byte first.
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

/// Appends the bytes of a value, version byte first.
///
/// # Panics
///
/// As [`encode`].
pub fn encode_into<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    bytes.push(WIRE_VERSION);
    append(value, bytes);
}

/// Appends a value behind what [`encode_into`] has written, as another field of it.
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

/// Where the fields begin that [`take`] reads.
///
/// # Errors
///
/// If the bytes are not of this version.
pub fn check_version(bytes: &[u8]) -> Result<usize, WireError> {
    match bytes.first() {
        None => Err(WireError::Empty),
        Some(&WIRE_VERSION) => Ok(1),
        Some(&version) => Err(WireError::Version(version)),
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

/// The value that the bytes hold, all of them and nothing else.
///
/// # Errors
///
/// If there are more than `limit` bytes, or they are not exactly one value of this version.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, WireError> {
    if bytes.len() > limit {
        return Err(WireError::TooLong { len: bytes.len(), limit });
    }
    let body = &bytes[check_version(bytes)?..];
    let (value, taken) = take(body)?;
    if taken < body.len() {
        return Err(WireError::Trailing(body.len() - taken));
    }
    Ok(value)
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
        let mut claim = vec![WIRE_VERSION, 253];
        claim.extend_from_slice(&(1_u64 << 40).to_le_bytes());

        assert!(matches!(decode::<Vec<u8>>(&claim, 1000), Err(WireError::Malformed(_))));
        assert!(matches!(decode::<String>(&claim, 1000), Err(WireError::Malformed(_))));
        assert!(matches!(decode::<Vec<u64>>(&claim, 1000), Err(WireError::Malformed(_))));
    }

    /// G11.
    #[test]
    fn what_is_too_long_or_of_another_version_or_followed_by_more_is_refused_by_name() {
        let mut bytes = encode(&5_u64);

        assert_eq!(decode::<u64>(&bytes, 1), Err(WireError::TooLong { len: 2, limit: 1 }));
        bytes.push(0);
        assert_eq!(decode::<u64>(&bytes, 10), Err(WireError::Trailing(1)));
        bytes[0] = 9;
        assert_eq!(decode::<u64>(&bytes, 10), Err(WireError::Version(9)));
        assert_eq!(decode::<u64>(&[], 10), Err(WireError::Empty));
    }
}
