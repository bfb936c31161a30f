//! A node's disk: it outlives the node's processes, takes its time, and breaks as disks do.
//!
//! ```text
//! node ──Disk──▶ queue ──in order, each at its time──▶ files ──what is durable by now──▶ observer
//!                  │ a crash comes in between
//!                  └──▶ the first few happened, one in part (a prefix, or sectors of zeros), the rest did not
//! ```
//!
//! The invariants: what was answered is durable (unless [`planted!`] says otherwise); a crash leaves of the rest only
//! what the trait allows; a handle of an earlier process changes nothing. Everything random comes from the seed.

mod crash;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cresset_core::planted;
use cresset_net::disk::{Disk, DiskError, FileEntry};
use futures_util::future::BoxFuture;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::oneshot;

use crate::plan::Stored;
use crate::trace;

use queue::{Change, Operation, Request};

/// What a disk does wrong as long as it is told to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskTrouble {
    /// There is no room.
    Full,
    /// Nothing becomes durable any more, and who asks is told so.
    FailsToSync,
    /// Reads may give less than there is.
    ReadsShort,
    /// Every operation takes about this much longer.
    Slow(Duration),
}

/// What is on a disk for sure, from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskEvent<'a> {
    /// The file goes to `offset` with what it had, and then on with this; what lay beyond is gone.
    Appended {
        /// The file's name.
        file: &'a str,
        /// Where the bytes begin.
        offset: u64,
        /// The bytes, or what a crash left of them.
        bytes: &'a [u8],
    },
    /// The file was cut.
    Truncated {
        /// The file's name.
        file: &'a str,
        /// How long it is.
        bytes: u64,
    },
    /// The file has this content and no other.
    Written {
        /// The file's name.
        file: &'a str,
        /// The content.
        content: &'a [u8],
    },
    /// There is no such file.
    Removed {
        /// The file's name.
        file: &'a str,
    },
    /// Something in the file is not what was written.
    Damaged {
        /// The file's name.
        file: &'a str,
    },
    /// There is no file at all.
    Lost,
}

/// Is told what becomes durable, in order, at the moment at which it does.
pub type DiskObserver = Box<dyn FnMut(&DiskEvent<'_>) + Send>;

/// The files of a disk.
pub type Files = BTreeMap<String, Vec<u8>>;

/// How a process ends, as its disk sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The process is killed: what the system has accepted, it carries out.
    Kill,
    /// The power goes: what was not durable may be lost.
    PowerLoss,
}

/// A simulated disk. Clones are the same disk; [`SimulatedDisk::reopened`] is the same disk as the next process sees
/// it.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    boot: u64,
}

struct State {
    boot: u64,
    files: Files,
    /// What was asked for and has not happened, in its order.
    queue: std::collections::VecDeque<Operation>,
    troubles: Vec<DiskTrouble>,
    random: StdRng,
    observer: DiskObserver,
}

impl SimulatedDisk {
    /// An empty disk that draws from this generator.
    pub fn new(random: StdRng, observer: DiskObserver) -> Self {
        let state = State {
            boot: 0,
            files: Files::new(),
            queue: std::collections::VecDeque::new(),
            troubles: Vec::new(),
            random,
            observer,
        };
        SimulatedDisk { state: Arc::new(Mutex::new(state)), boot: 0 }
    }

    /// The disk as the next process finds it. Operations of handles before it never end.
    pub fn reopened(&self) -> SimulatedDisk {
        let mut state = self.state();
        state.boot += 1;
        SimulatedDisk { state: self.state.clone(), boot: state.boot }
    }

    /// Lets happen what is due by now.
    pub fn settle(&self) {
        self.state().settle(trace::now());
    }

    /// Goes wrong in this way, until [`SimulatedDisk::end_trouble`] takes it back.
    pub fn begin_trouble(&self, trouble: DiskTrouble) {
        self.state().troubles.push(trouble);
    }

    /// Takes one [`SimulatedDisk::begin_trouble`] back.
    pub fn end_trouble(&self, trouble: DiskTrouble) {
        let troubles = &mut self.state().troubles;
        if let Some(at) = troubles.iter().position(|one| *one == trouble) {
            troubles.remove(at);
        }
    }

    /// The process that used the disk has ended: what was under way happened, or did not, or in part.
    pub fn end_process(&self, ending: Ending) {
        self.state().end_process(trace::now(), ending);
    }

    /// Changes one bit of a file, and says which file that is; nothing if there is none of the kind.
    pub fn flip_bit(&self, of: Stored) -> Option<String> {
        self.state().flip_bit(of)
    }

    /// Removes the log, in which the votes are, and leaves the rest.
    pub fn lose_votes(&self) {
        self.state().lose_votes();
    }

    /// What is durable now.
    pub fn files(&self) -> Files {
        self.state().files.clone()
    }

    /// Puts other files in the place of all that are there.
    pub fn restore(&self, files: Files) {
        self.state().restore(files);
    }

    /// Whether there is any file.
    pub fn is_empty(&self) -> bool {
        self.state().files.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an operation into the queue before it returns; the future waits for its time.
    fn ask<T: Send + 'static>(&self, request: Request, answer: oneshot::Receiver<T>) -> BoxFuture<'static, T> {
        let mut state = self.state();
        if state.boot != self.boot {
            return Box::pin(std::future::pending());
        }
        let now = trace::now();
        let due = state.due(now);
        let is_reported = planted!(SyncSkipped) && request.is_report_of_a_sync();
        let mut operation = Operation { request, due, is_reported };
        if is_reported {
            // The bug: the caller is told at once, and it happens long after.
            operation.due += Duration::from_millis(state.random.random_range(50..500));
            operation.request.report();
        }
        state.queue.push_back(operation);
        drop(state);
        let disk = self.clone();
        Box::pin(async move {
            if due > now && !is_reported {
                tokio::time::sleep(due - now).await;
            }
            disk.state().settle(trace::now().max(due));
            match answer.await {
                Ok(answer) => answer,
                // The process has ended with the disk in between; nobody is told anything.
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn change(&self, change: Change) -> BoxFuture<'static, Result<(), DiskError>> {
        let (done, answer) = oneshot::channel();
        self.ask(Request::Change { change, done: Some(done) }, answer)
    }
}

impl Disk for SimulatedDisk {
    fn list(&self) -> BoxFuture<'static, Result<Vec<FileEntry>, DiskError>> {
        let (done, answer) = oneshot::channel();
        self.ask(Request::List { done }, answer)
    }

    fn read(&self, file: &str, offset: u64, len: u64) -> BoxFuture<'static, Result<Vec<u8>, DiskError>> {
        let (done, answer) = oneshot::channel();
        self.ask(Request::Read { file: file.to_owned(), offset, len, done }, answer)
    }

    fn append_sync(&self, file: &str, offset: u64, bytes: Bytes) -> BoxFuture<'static, Result<(), DiskError>> {
        self.change(Change::Append { file: file.to_owned(), offset, bytes })
    }

    fn truncate(&self, file: &str, bytes: u64) -> BoxFuture<'static, Result<(), DiskError>> {
        self.change(Change::Truncate { file: file.to_owned(), bytes })
    }

    fn write(&self, file: &str, content: Bytes) -> BoxFuture<'static, Result<(), DiskError>> {
        self.change(Change::Write { file: file.to_owned(), content })
    }

    fn remove(&self, file: &str) -> BoxFuture<'static, Result<(), DiskError>> {
        self.change(Change::Remove { file: file.to_owned() })
    }
}
