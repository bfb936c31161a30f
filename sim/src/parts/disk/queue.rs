//! What is asked of a disk, when it happens, and what comes of it.

use std::time::Duration;

use bytes::Bytes;
use cresset_net::disk::{DiskError, FileEntry, is_file_name};
use rand::RngExt;
use tokio::sync::oneshot;

use super::{DiskEvent, DiskTrouble, State};

/// Something that waits for its time.
pub(super) struct Operation {
    pub(super) request: Request,
    pub(super) due: Duration,
    /// Whoever asked was told that it has happened.
    pub(super) is_reported: bool,
}

/// What was asked.
pub(super) enum Request {
    List { done: oneshot::Sender<Result<Vec<FileEntry>, DiskError>> },
    Read { file: String, offset: u64, len: u64, done: oneshot::Sender<Result<Vec<u8>, DiskError>> },
    Change { change: Change, done: Option<oneshot::Sender<Result<(), DiskError>>> },
}

/// Something that changes what is on the disk.
pub(super) enum Change {
    Append { file: String, offset: u64, bytes: Bytes },
    Truncate { file: String, bytes: u64 },
    Write { file: String, content: Bytes },
    Remove { file: String },
}

impl Request {
    /// Whether the answer says that something is durable that was not there before.
    pub(super) fn is_report_of_a_sync(&self) -> bool {
        matches!(self, Request::Change { change: Change::Append { .. } | Change::Write { .. }, .. })
    }

    /// Tells whoever asked that it has happened.
    pub(super) fn report(&mut self) {
        if let Request::Change { done, .. } = self
            && let Some(done) = done.take()
        {
            // Who asked may have stopped waiting.
            let _ = done.send(Ok(()));
        }
    }
}

impl Change {
    fn named(&self) -> (&'static str, &str) {
        match self {
            Change::Append { file, .. } => ("append", file),
            Change::Truncate { file, .. } => ("truncate", file),
            Change::Write { file, .. } => ("write", file),
            Change::Remove { file } => ("remove", file),
        }
    }

    fn failed(&self, reason: &str) -> DiskError {
        let (operation, file) = self.named();
        DiskError::Failed { operation, file: file.to_owned(), reason: reason.to_owned() }
    }
}

impl State {
    /// When something that is asked for now happens: after everything before it, and usually within two milliseconds.
    pub(super) fn due(&mut self, now: Duration) -> Duration {
        let milliseconds = match self.random.random_range(0..100) {
            0..50 => 0,
            50..85 => 1,
            85..95 => 2,
            _ => self.random.random_range(3..10),
        };
        let mut slower = Duration::ZERO;
        for trouble in &self.troubles {
            if let DiskTrouble::Slow(delay) = trouble {
                slower += delay.mul_f64(self.random.random_range(0.5..1.5));
            }
        }
        let due = now + Duration::from_millis(milliseconds) + slower;
        self.queue.back().map_or(due, |last| due.max(last.due))
    }

    /// Lets happen what is due.
    pub(super) fn settle(&mut self, now: Duration) {
        while self.queue.front().is_some_and(|first| first.due <= now) {
            let Some(Operation { request, .. }) = self.queue.pop_front() else { return };
            self.carry_out(request);
        }
    }

    pub(super) fn carry_out(&mut self, request: Request) {
        // Who asked may have stopped waiting, wherever an answer is not taken.
        match request {
            Request::List { done } => drop(done.send(Ok(self.list()))),
            Request::Read { file, offset, len, done } => drop(done.send(self.read(&file, offset, len))),
            Request::Change { change, done } => {
                let result = self.try_to(&change);
                if let Some(done) = done {
                    drop(done.send(result));
                }
            }
        }
    }

    fn list(&self) -> Vec<FileEntry> {
        self.files.iter().map(|(name, content)| FileEntry { name: name.clone(), bytes: content.len() as u64 }).collect()
    }

    fn read(&mut self, file: &str, offset: u64, len: u64) -> Result<Vec<u8>, DiskError> {
        let Some(content) = self.files.get(file) else {
            return Err(DiskError::Missing { operation: "read", file: file.to_owned() });
        };
        let end = content.len() as u64;
        let (from, to) = (offset.min(end) as usize, offset.saturating_add(len).min(end) as usize);
        let mut bytes = content[from..to].to_vec();
        if self.troubles.contains(&DiskTrouble::ReadsShort) && self.random.random_bool(0.5) {
            bytes.truncate(self.random.random_range(0..=bytes.len()));
        }
        Ok(bytes)
    }

    fn try_to(&mut self, change: &Change) -> Result<(), DiskError> {
        let (operation, file) = change.named();
        if !is_file_name(file) {
            return Err(change.failed("not a file name"));
        }
        let needs_room = matches!(change, Change::Append { .. } | Change::Write { .. });
        if self.troubles.contains(&DiskTrouble::Full) && needs_room {
            return Err(DiskError::Full { operation, file: file.to_owned() });
        }
        if self.troubles.contains(&DiskTrouble::FailsToSync) {
            self.happen_in_part(change, super::Ending::Kill);
            return Err(change.failed("Input/output error (os error 5)"));
        }
        self.happen(change)
    }

    pub(super) fn happen(&mut self, change: &Change) -> Result<(), DiskError> {
        match change {
            Change::Append { file, offset, bytes } => {
                let end = self.files.get(file).map_or(0, Vec::len);
                if (end as u64) < *offset {
                    return Err(change.failed(&format!("it ends at {end} and should end at {offset}")));
                }
                self.append(file, *offset, bytes);
            }
            Change::Truncate { file, bytes } => {
                let Some(content) = self.files.get_mut(file) else {
                    return Err(DiskError::Missing { operation: "truncate", file: file.clone() });
                };
                content.resize(*bytes as usize, 0);
                (self.observer)(&DiskEvent::Truncated { file, bytes: *bytes });
            }
            Change::Write { file, content } => {
                self.files.insert(file.clone(), content.to_vec());
                (self.observer)(&DiskEvent::Written { file, content });
            }
            Change::Remove { file } => {
                if self.files.remove(file).is_some() {
                    (self.observer)(&DiskEvent::Removed { file });
                }
            }
        }
        Ok(())
    }

    /// Puts bytes at a place up to which the file is there.
    pub(super) fn append(&mut self, file: &str, offset: u64, bytes: &[u8]) {
        let content = self.files.entry(file.to_owned()).or_default();
        content.truncate(offset as usize);
        content.extend_from_slice(bytes);
        (self.observer)(&DiskEvent::Appended { file, offset, bytes });
    }
}
