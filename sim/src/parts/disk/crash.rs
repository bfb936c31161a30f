//! What a crash leaves, and what time and cosmic rays do to a disk.

use std::time::Duration;

use cresset_net::disk::DiskError;
use rand::RngExt;

use super::queue::{Change, Operation, Request};
use super::{DiskEvent, Ending, Files, State};
use crate::plan::Stored;

/// What disks write in one piece.
const SECTOR_BYTES: usize = 512;

impl State {
    /// The first few operations that were under way happened, one in part, the rest did not.
    pub(super) fn end_process(&mut self, now: Duration, ending: Ending) {
        self.settle(now);
        let changes: Vec<(Change, bool)> = self
            .queue
            .drain(..)
            .filter_map(|Operation { request, is_reported, .. }| match request {
                Request::Change { change, .. } => Some((change, is_reported)),
                Request::List { .. } | Request::Read { .. } => None,
            })
            .collect();
        // A system that has told a process that its bytes are written keeps them when only the process dies.
        let kept = match ending {
            Ending::Kill => changes.iter().rposition(|(_, is_reported)| *is_reported).map_or(0, |last| last + 1),
            Ending::PowerLoss => 0,
        };
        let happened = self.random.random_range(kept..=changes.len());
        for (change, _) in &changes[..happened] {
            // Nobody is there to be told of an error.
            let _: Result<(), DiskError> = self.happen(change);
        }
        if let Some((change, _)) = changes.get(happened) {
            self.happen_in_part(change, ending);
        }
    }

    /// What remains of a change that was interrupted: of an append a part, of everything else nothing.
    pub(super) fn happen_in_part(&mut self, change: &Change, ending: Ending) {
        let Change::Append { file, offset, bytes } = change else { return };
        let is_there = self.files.get(file).map_or(*offset == 0, |content| content.len() as u64 >= *offset);
        if !is_there {
            return;
        }
        let mut part = bytes.to_vec();
        if ending == Ending::PowerLoss && self.random.random_bool(0.5) {
            self.forget_sectors(*offset as usize, &mut part);
        } else {
            part.truncate(self.random.random_range(0..=bytes.len()));
        }
        self.append(file, *offset, &part);
    }

    /// Sectors reach the disk in any order: the file has its length, and zeros where one is missing.
    fn forget_sectors(&mut self, offset: usize, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let end = (((offset + at) / SECTOR_BYTES + 1) * SECTOR_BYTES - offset).min(bytes.len());
            if self.random.random_bool(0.5) {
                bytes[at..end].fill(0);
            }
            at = end;
        }
    }

    pub(super) fn flip_bit(&mut self, of: Stored) -> Option<String> {
        let prefix = match of {
            Stored::Log => "log-",
            Stored::Snapshot => "snapshot-",
        };
        let names: Vec<String> = self
            .files
            .iter()
            .filter(|(name, content)| name.starts_with(prefix) && !content.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        if names.is_empty() {
            return None;
        }
        let name = names[self.random.random_range(0..names.len())].clone();
        let content = self.files.get_mut(&name)?;
        let at = self.random.random_range(0..content.len());
        content[at] ^= 1 << self.random.random_range(0..8);
        (self.observer)(&DiskEvent::Damaged { file: &name });
        Some(name)
    }

    pub(super) fn lose_votes(&mut self) {
        let logs: Vec<String> = self.files.keys().filter(|name| name.starts_with("log-")).cloned().collect();
        for file in logs {
            self.files.remove(&file);
            (self.observer)(&DiskEvent::Removed { file: &file });
        }
    }

    pub(super) fn restore(&mut self, files: Files) {
        self.queue.clear();
        (self.observer)(&DiskEvent::Lost);
        for (file, content) in &files {
            (self.observer)(&DiskEvent::Written { file, content });
        }
        self.files = files;
    }
}
