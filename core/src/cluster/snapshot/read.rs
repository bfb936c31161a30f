//! A state from bytes, in steps.

use std::sync::Arc;

use super::{HEADER_BYTES, MAGIC, SNAPSHOT_BYTES_MAX, SnapshotError};
use crate::cluster::routes::Routes;
use crate::cluster::{AgreedTimes, ClusterState, Member, Route, TIMES_SINCE_VERSION, VersionRange};
use crate::ids::{LogIndex, MemberId};
use crate::wire::{self, Length, WireError};

/// Bytes whose checksum is taken in the time in which one route is read.
const CHECKED_PER_ROUTE: usize = 4096;

/// Reads a snapshot.
#[derive(Debug)]
pub struct SnapshotReader<'a> {
    /// Behind the header.
    content: &'a [u8],
    version: u32,
    /// What the checksum should be.
    expected: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The checksum is taken, up to there.
    Checking(crc32fast::Hasher, usize),
    /// So many routes are still to be read, from there on.
    Routes { state: Box<ClusterState>, left: u64, at: usize },
}

impl<'a> SnapshotReader<'a> {
    /// Nothing is read yet but the header.
    ///
    /// # Errors
    /// If the bytes begin like no snapshot, or like one of a version that is not understood.
    pub fn new(bytes: &'a [u8], understood: VersionRange) -> Result<SnapshotReader<'a>, SnapshotError> {
        let (header, content) = bytes.split_at_checked(HEADER_BYTES).ok_or(SnapshotError::NotASnapshot)?;
        let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes are four bytes"));
        if header[..4] != *MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let (version, expected) = (number(4), number(8));
        if !understood.includes(version) {
            return Err(SnapshotError::Version { found: version, understood });
        }
        if content.len() > SNAPSHOT_BYTES_MAX {
            return Err(WireError::TooLong { len: content.len(), limit: SNAPSHOT_BYTES_MAX }.into());
        }
        Ok(SnapshotReader { content, version, expected, stage: Stage::Checking(crc32fast::Hasher::new(), 0) })
    }

    /// Does as much as reading so many routes costs; the state, if that was the last of it.
    ///
    /// # Errors
    /// If the bytes are not exactly a snapshot. There is no next step.
    pub fn step(&mut self, routes_max: usize) -> Result<Option<ClusterState>, SnapshotError> {
        match &mut self.stage {
            Stage::Checking(checksum, checked) => {
                let until = checked.saturating_add(routes_max.saturating_mul(CHECKED_PER_ROUTE));
                let until = until.min(self.content.len());
                checksum.update(&self.content[*checked..until]);
                *checked = until;
                if until == self.content.len() {
                    let found = checksum.clone().finalize();
                    self.stage = self.begin(found)?;
                }
                Ok(None)
            }
            Stage::Routes { state, left, at } => {
                for _ in 0..routes_max {
                    if *left == 0 {
                        break;
                    }
                    let route: Route = take(self.content, at)?;
                    state.routes.insert(Arc::new(route));
                    *left -= 1;
                }
                if *left > 0 { Ok(None) } else { self.finish().map(Some) }
            }
        }
    }

    /// Reads what comes before the routes.
    fn begin(&self, found: u32) -> Result<Stage, SnapshotError> {
        if self.expected != found {
            return Err(SnapshotError::Damaged { expected: self.expected, found });
        }
        let mut at = self.content.len() - wire::fields_of(self.content, wire::FORMAT_MIN)?.len();
        let (applied, members, voters): (LogIndex, Vec<Member>, Vec<MemberId>) = take(self.content, &mut at)?;
        let Length(left) = take(self.content, &mut at)?;
        let state = ClusterState {
            version: self.version,
            applied,
            members: members.into_iter().map(|member| (member.id, member)).collect(),
            voters: voters.into_iter().collect(),
            routes: Routes::default(),
            times: AgreedTimes::default(),
        };
        Ok(Stage::Routes { state: Box::new(state), left, at })
    }

    /// Reads what comes behind them.
    fn finish(&mut self) -> Result<ClusterState, SnapshotError> {
        let again = Stage::Checking(crc32fast::Hasher::new(), 0);
        let Stage::Routes { mut state, mut at, .. } = std::mem::replace(&mut self.stage, again) else {
            unreachable!("the routes were read a moment ago");
        };
        let expected: u64 = take(self.content, &mut at)?;
        if self.version >= TIMES_SINCE_VERSION {
            state.times = take(self.content, &mut at)?;
            let reasons = state.times.refusals();
            if !reasons.is_empty() {
                return Err(SnapshotError::UnsafeTimes { reasons });
            }
        }
        if at < self.content.len() {
            return Err(WireError::Trailing(self.content.len() - at).into());
        }
        match state.digest() {
            found if found == expected => Ok(*state),
            found => Err(SnapshotError::Digest { expected, found }),
        }
    }
}

/// The next value.
fn take<T: serde::de::DeserializeOwned>(content: &[u8], at: &mut usize) -> Result<T, SnapshotError> {
    let (value, taken) = wire::take(&content[*at..])?;
    *at += taken;
    Ok(value)
}
