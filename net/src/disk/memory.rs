//! A disk in memory, for tests: it survives the "process" that uses it, loses what was not synced if asked to, and
//! fails on command.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::{BoxFuture, pending, ready};

use super::{Disk, DiskError, FileEntry};

/// A disk in memory. Clones are the same disk; [`MemoryDisk::reopened`] is the same disk as the next process sees it.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
    boot: u64,
}

#[derive(Debug, Default)]
struct State {
    boot: u64,
    files: BTreeMap<String, Vec<u8>>,
    is_full: bool,
    fails_to_sync: bool,
    /// How many more changes there are before it fails.
    changes_left: Option<u64>,
    is_stalled: bool,
    syncs: u64,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as the next process finds it. Handles of the process before it change nothing any more: its tasks may
    /// still be there, its power is not.
    pub fn reopened(&self) -> MemoryDisk {
        let mut state = self.state();
        state.boot += 1;
        state.is_full = false;
        state.fails_to_sync = false;
        state.changes_left = None;
        state.is_stalled = false;
        MemoryDisk { state: self.state.clone(), boot: state.boot }
    }

    /// From now on there is no room, or there is again.
    pub fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// From now on no write becomes durable.
    pub fn fail_to_sync(&self) {
        self.state().fails_to_sync = true;
    }

    /// After so many more changes nothing becomes durable any more.
    pub fn fail_after(&self, changes: u64) {
        self.state().changes_left = Some(changes);
    }

    /// From now on writes take for ever: what is written is lost in the crash that must follow.
    pub fn stall(&self) {
        self.state().is_stalled = true;
    }

    /// The content of a file, absent if there is none.
    pub fn content(&self, file: &str) -> Option<Vec<u8>> {
        self.state().files.get(file).cloned()
    }

    /// Changes a file behind everybody's back.
    pub fn tamper(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.state().files.entry(file.to_owned()).or_default());
    }

    /// Removes a file behind everybody's back.
    pub fn lose(&self, file: &str) {
        self.state().files.remove(file);
    }

    /// The names of all files, in order.
    pub fn names(&self) -> Vec<String> {
        self.state().files.keys().cloned().collect()
    }

    /// How many writes were made durable.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the files at once, unless the disk is full, broken or somebody else's by now.
    fn change(
        &self,
        operation: &'static str,
        file: &str,
        change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> Result<(), String>,
    ) -> BoxFuture<'static, Result<(), DiskError>> {
        let failed = |reason: String| DiskError::Failed { operation, file: file.to_owned(), reason };
        let mut state = self.state();
        let result = if state.boot != self.boot {
            Err(failed("the process that opened this disk has ended".into()))
        } else if state.is_full && operation != "remove" {
            Err(DiskError::Full { operation, file: file.to_owned() })
        } else if state.is_stalled {
            return Box::pin(pending());
        } else if state.fails_to_sync || state.changes_left == Some(0) {
            Err(failed("input/output error".into()))
        } else {
            state.syncs += 1;
            state.changes_left = state.changes_left.map(|left| left - 1);
            change(&mut state.files).map_err(failed)
        };
        Box::pin(ready(result))
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> BoxFuture<'static, Result<Vec<FileEntry>, DiskError>> {
        let state = self.state();
        let files = state.files.iter().map(|(name, bytes)| FileEntry { name: name.clone(), bytes: bytes.len() as u64 });
        Box::pin(ready(Ok(files.collect())))
    }

    fn read(&self, file: &str, offset: u64, len: u64) -> BoxFuture<'static, Result<Vec<u8>, DiskError>> {
        let state = self.state();
        let result = match state.files.get(file) {
            None => Err(DiskError::Missing { operation: "read", file: file.to_owned() }),
            Some(content) => {
                let end = content.len() as u64;
                let (from, to) = (offset.min(end), offset.saturating_add(len).min(end));
                Ok(content[from as usize..to as usize].to_vec())
            }
        };
        Box::pin(ready(result))
    }

    fn append_sync(&self, file: &str, offset: u64, bytes: Bytes) -> BoxFuture<'static, Result<(), DiskError>> {
        self.change("append", file, |files| {
            let content = files.entry(file.to_owned()).or_default();
            if (content.len() as u64) < offset {
                return Err(format!("it ends at {} and should end at {offset}", content.len()));
            }
            content.truncate(offset as usize);
            content.extend_from_slice(&bytes);
            Ok(())
        })
    }

    fn truncate(&self, file: &str, bytes: u64) -> BoxFuture<'static, Result<(), DiskError>> {
        self.change("truncate", file, |files| {
            if let Some(content) = files.get_mut(file) {
                content.resize(bytes as usize, 0);
            }
            Ok(())
        })
    }

    fn write(&self, file: &str, content: Bytes) -> BoxFuture<'static, Result<(), DiskError>> {
        self.change("write", file, |files| {
            files.insert(file.to_owned(), content.to_vec());
            Ok(())
        })
    }

    fn remove(&self, file: &str) -> BoxFuture<'static, Result<(), DiskError>> {
        self.change("remove", file, |files| {
            files.remove(file);
            Ok(())
        })
    }
}
