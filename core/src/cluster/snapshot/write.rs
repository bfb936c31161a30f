//! A frozen state as bytes, in steps.

use std::sync::Arc;

use super::{Frozen, HEADER_BYTES, MAGIC};
use crate::cluster::routes::Routes;
use crate::cluster::{Route, TIMES_SINCE_VERSION};
use crate::{planted, wire};

/// Bytes of a route in a snapshot, roughly.
const ROUTE_BYTES: usize = 96;

/// Writes a snapshot.
#[derive(Debug)]
pub struct SnapshotWriter {
    frozen: Frozen,
    bytes: Vec<u8>,
    /// Of what is written behind the header.
    checksum: crc32fast::Hasher,
    next: usize,
}

impl SnapshotWriter {
    /// Nothing is written yet.
    ///
    /// # Panics
    /// If routes are missing.
    pub fn new(frozen: Frozen) -> SnapshotWriter {
        assert!(frozen.is_complete(), "a snapshot has all routes of its state");
        let frozen = if planted!(SnapshotDropsLast) { without_the_last_route(frozen) } else { frozen };
        let mut bytes = Vec::with_capacity(HEADER_BYTES + ROUTE_BYTES * frozen.routes.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&frozen.version.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let mut writer = SnapshotWriter { frozen, bytes, checksum: crc32fast::Hasher::new(), next: 0 };
        writer.append(|frozen, bytes| {
            wire::encode_into(&(frozen.applied, &frozen.members, &frozen.voters), bytes);
            wire::append(&wire::length(frozen.routes.len()), bytes);
        });
        writer
    }

    /// Writes so many routes more; the whole snapshot if these were the last.
    pub fn step(&mut self, routes_max: usize) -> Option<Vec<u8>> {
        let from = self.next;
        self.next = from.saturating_add(routes_max).min(self.frozen.routes.len());
        let until = self.next;
        self.append(|frozen, bytes| {
            for route in &frozen.routes[from..until] {
                wire::append(Arc::<Route>::as_ref(route), bytes);
            }
        });
        if self.next < self.frozen.routes.len() {
            return None;
        }
        self.append(|frozen, bytes| {
            wire::append(&frozen.digest, bytes);
            if frozen.version >= TIMES_SINCE_VERSION {
                wire::append(&frozen.times, bytes);
            }
        });
        let checksum = std::mem::take(&mut self.checksum).finalize();
        self.bytes[8..HEADER_BYTES].copy_from_slice(&checksum.to_be_bytes());
        Some(std::mem::take(&mut self.bytes))
    }

    fn append(&mut self, write: impl FnOnce(&Frozen, &mut Vec<u8>)) {
        let from = self.bytes.len();
        write(&self.frozen, &mut self.bytes);
        self.checksum.update(&self.bytes[from..]);
    }
}

/// The planted bug.
fn without_the_last_route(mut frozen: Frozen) -> Frozen {
    let last = frozen.routes.iter().enumerate().max_by_key(|(_, route)| route.id).map(|(at, _)| at);
    let lost = last.map(|at| frozen.routes.remove(at));
    let mut routes = Routes::default();
    frozen.routes.iter().for_each(|route| routes.insert(route.clone()));
    if let Some(lost) = lost {
        let mut with_it = routes.clone();
        with_it.insert(lost);
        frozen.digest = frozen.digest.wrapping_sub(with_it.digest()).wrapping_add(routes.digest());
    }
    frozen
}
