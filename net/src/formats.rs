//! What was ever written to be read by other programs is read by this one, byte for byte: `tests/formats` has an example
//! of each format and version, and each room says which values are in its own.
//!
//! An example is written once, by the first program that has the format, and never again: what it holds is out there, on
//! disks and in programs that run. `CRESSET_WRITE_FORMATS=1 cargo test -p cresset-net formats` writes those that are
//! missing, and nothing else.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cresset_core::fencing::Times;

/// Something that has been written in one version of one format.
pub(crate) struct Example {
    /// Its file below `tests/formats`: the format, and the version that brought it.
    pub(crate) file: &'static str,
    /// As this program writes it for those who are of that version.
    pub(crate) written: Vec<u8>,
    /// Whether these bytes hold what the room has written out.
    pub(crate) holds: Holds,
}

type Holds = Box<dyn Fn(&[u8]) -> bool>;

/// The times in force in examples.
pub(crate) const TIMES: Times = Times {
    heartbeat: Duration::from_millis(250),
    lease: Duration::from_secs(3),
    drift_percent: 5,
    expel_after: Duration::from_secs(4),
};

impl Example {
    pub(crate) fn new(file: &'static str, written: Vec<u8>, holds: impl Fn(&[u8]) -> bool + 'static) -> Example {
        Example { file, written, holds: Box::new(holds) }
    }
}

/// Several byte strings as one, each behind its length of four bytes.
pub(crate) fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&u32::try_from(part.len()).expect("an example is short").to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// What [`joined`] has put together.
pub(crate) fn parts(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (part, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        parts.push(part.to_vec());
        bytes = rest;
    }
    parts
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/formats")
}

fn examples() -> Vec<Example> {
    let of_rooms = [
        crate::links::tests::examples(),
        crate::consensus::examples(),
        crate::control::examples(),
        crate::run::examples(),
    ];
    of_rooms.into_iter().flatten().collect()
}

/// H10, G11.
#[test]
fn every_format_that_was_ever_written_is_read_and_written_byte_for_byte() {
    for Example { file, written, holds } in examples() {
        let path = folder().join(file);
        if env::var_os("CRESSET_WRITE_FORMATS").is_some() && !path.exists() {
            fs::write(&path, &written).expect("there is room");
        }
        let kept = fs::read(&path).unwrap_or_else(|error| panic!("tests/formats/{file}: {error}"));
        assert!(holds(&kept), "tests/formats/{file} is not read as what it is");
        assert_eq!(written, kept, "tests/formats/{file} is not what is written today");
    }
}

#[test]
fn no_example_is_left_out() {
    let named: BTreeSet<String> = examples().iter().map(|example| example.file.to_owned()).collect();
    let entries = fs::read_dir(folder()).expect("a folder of the repository");
    let there = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(named, there);
}
