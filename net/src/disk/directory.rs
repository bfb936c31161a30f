//! The real disk: a data directory and one thread that does the waiting.
//!
//! Operations go into a queue and are carried out in its order by one thread, because blocking calls must not hold up
//! tokio's workers. The queue is bounded by its users: the log has one operation under way, and so has everybody else
//! who writes; readers wait for their answer.
//!
//! That no file descriptor is left is no failure of a disk, and passes. The thread keeps one in reserve for that moment,
//! and waits if it must. Every operation takes what it needs before it changes anything.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::{Disk, DiskError, FileEntry, is_file_name};
use crate::descriptors;

/// Files that the thread keeps open for appending. The log appends to one at a time.
const OPEN_FILES_MAX: usize = 4;

/// How long the thread waits for a file descriptor before it tries again.
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(10);

/// Of so many attempts in a row to get a descriptor the first is logged: about one line in five seconds.
const ATTEMPTS_PER_LINE: u64 = 500;

/// What a file is called while [`Disk::write`] fills it.
const UNFINISHED: &str = ".unfinished";

/// What may be done with a directory that is made: by its owner everything, by others nothing. The log tells who talks to
/// whom, and when.
const PRIVATE_DIRECTORY: u32 = 0o700;

/// The same for a file.
const PRIVATE_FILE: u32 = 0o600;

/// The bits of a mode by which everybody may do something.
const EVERYBODY: u32 = 0o007;

type Work = Box<dyn FnOnce(&mut Directory) + Send>;

/// A data directory. Clones share the thread, which ends when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct DirectoryDisk {
    work: mpsc::Sender<Work>,
}

impl DirectoryDisk {
    /// Opens a directory, making it (and those above it) for its owner alone if it does not exist. What an interrupted
    /// write left behind is removed. One that was made for others, too, is taken with a warning: what is in it is not
    /// theirs, but they see that it is there.
    ///
    /// # Errors
    ///
    /// If the directory cannot be made or read, or another process uses it.
    pub fn open(path: &Path) -> io::Result<Self> {
        make_private(path)?;
        let lock = File::open(path)?;
        if lock.metadata()?.mode() & EVERYBODY != 0 {
            let directory = path.display();
            tracing::warn!(%directory, "everybody on this machine may look into the data directory: chmod o-rwx it");
        }
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another process uses it"),
            TryLockError::Error(error) => error,
        })?;
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            }
        }
        let (work, queue) = mpsc::channel::<Work>();
        let spare = Some(lock.try_clone()?);
        let mut directory = Directory { path: path.to_owned(), kept_open: HashMap::new(), lock, spare };
        std::thread::Builder::new().name("cresset-disk".into()).spawn(move || {
            while let Ok(job) = queue.recv() {
                job(&mut directory);
                directory.keep_spare();
            }
        })?;
        Ok(DirectoryDisk { work })
    }

    /// Puts a job into the queue before it returns, so that calls keep their order.
    fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        file: &str,
        job: impl FnOnce(&mut Directory, &str) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, DiskError>> {
        let name = file.to_owned();
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |directory| {
            let result = if is_file_name(&name) {
                job(directory, &name)
            } else {
                Err(io::Error::new(ErrorKind::InvalidInput, "not a file name"))
            };
            // Who asked may have stopped waiting.
            let _ = answer.send(result.map_err(|error| named(operation, &name, &error)));
        });
        let file = file.to_owned();
        let gone = move || DiskError::Failed { operation, file, reason: "the thread of the disk has ended".into() };
        if self.work.send(work).is_err() {
            return Box::pin(std::future::ready(Err(gone())));
        }
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(gone())) })
    }
}

impl Disk for DirectoryDisk {
    fn list(&self) -> BoxFuture<'static, Result<Vec<FileEntry>, DiskError>> {
        self.run("list", "directory", |directory, _| directory.list())
    }

    fn read(&self, file: &str, offset: u64, len: u64) -> BoxFuture<'static, Result<Vec<u8>, DiskError>> {
        self.run("read", file, move |directory, name| directory.read(name, offset, len))
    }

    fn append_sync(&self, file: &str, offset: u64, bytes: Bytes) -> BoxFuture<'static, Result<(), DiskError>> {
        self.run("append", file, move |directory, name| directory.append_sync(name, offset, &bytes))
    }

    fn truncate(&self, file: &str, bytes: u64) -> BoxFuture<'static, Result<(), DiskError>> {
        self.run("truncate", file, move |directory, name| directory.truncate(name, bytes))
    }

    fn write(&self, file: &str, content: Bytes) -> BoxFuture<'static, Result<(), DiskError>> {
        self.run("write", file, move |directory, name| directory.write(name, &content))
    }

    fn remove(&self, file: &str) -> BoxFuture<'static, Result<(), DiskError>> {
        self.run("remove", file, move |directory, name| directory.remove(name))
    }
}

/// What the thread owns.
struct Directory {
    path: PathBuf,
    kept_open: HashMap<String, File>,
    /// The directory itself. Held as long as the thread runs, so that no two processes write into one log.
    lock: File,
    /// A file descriptor that is given up for one that is needed.
    spare: Option<File>,
}

impl Directory {
    fn list(&mut self) -> io::Result<Vec<FileEntry>> {
        let path = self.path.clone();
        let mut files = Vec::new();
        for entry in self.open(|| fs::read_dir(&path))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let metadata = entry.metadata()?;
            if metadata.is_file() && is_file_name(&name) {
                files.push(FileEntry { name, bytes: metadata.len() });
            }
        }
        files.sort();
        Ok(files)
    }

    fn read(&mut self, name: &str, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let path = self.path.join(name);
        let file = self.open(|| File::open(&path))?;
        let there = file.metadata()?.len().saturating_sub(offset).min(len);
        let mut bytes = vec![0; usize::try_from(there).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn append_sync(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if !self.kept_open.contains_key(name) {
            let path = self.path.join(name);
            let is_made = !path.exists();
            if is_made && offset > 0 {
                return Err(ErrorKind::NotFound.into());
            }
            let file = self
                .open(|| OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE_FILE).open(&path))?;
            if is_made {
                self.sync_directory()?;
            }
            if self.kept_open.len() >= OPEN_FILES_MAX {
                self.kept_open.clear();
            }
            self.kept_open.insert(name.to_owned(), file);
        }
        let file = self.kept_open.get(name).ok_or(ErrorKind::NotFound)?;
        let end = file.metadata()?.len();
        if end < offset {
            return Err(io::Error::other(format!("it ends at {end} and should end at {offset}")));
        }
        if end > offset {
            file.set_len(offset)?;
        }
        file.write_all_at(bytes, offset)?;
        file.sync_data()
    }

    fn truncate(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        let path = self.path.join(name);
        let file = self.open(|| OpenOptions::new().write(true).open(&path))?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn write(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.kept_open.remove(name);
        let unfinished = self.path.join(format!("{name}{UNFINISHED}"));
        let written = self.write_unfinished(&unfinished, content);
        if written.is_err() {
            // It was never anybody's file. If it cannot be removed either, the next start does it.
            let _ = fs::remove_file(&unfinished);
        }
        written?;
        fs::rename(&unfinished, self.path.join(name))?;
        self.sync_directory()
    }

    fn write_unfinished(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        let file =
            self.open(|| OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_FILE).open(path))?;
        file.write_all_at(content, 0)?;
        file.sync_all()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.kept_open.remove(name);
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        self.sync_directory()
    }

    /// Makes names durable (fsync(2): "Calling fsync() does not necessarily ensure that the entry in the directory
    /// containing the file has also reached disk").
    fn sync_directory(&self) -> io::Result<()> {
        self.lock.sync_all()
    }

    /// Opens something, as soon as there is a file descriptor for it.
    fn open<T>(&mut self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let mut attempts = 0_u64;
        loop {
            match open() {
                Err(error) if descriptors::are_used_up(&error) => {
                    if attempts.is_multiple_of(ATTEMPTS_PER_LINE) {
                        tracing::warn!(%error, "the data directory waits for a file descriptor");
                    }
                    attempts += 1;
                    let gave_spare = self.spare.take().is_some();
                    if !gave_spare && self.kept_open.is_empty() {
                        std::thread::sleep(DESCRIPTOR_PAUSE);
                    } else if !gave_spare {
                        self.kept_open.clear();
                    }
                }
                opened => return opened,
            }
        }
    }

    /// Has a descriptor in reserve again, if there is one.
    fn keep_spare(&mut self) {
        if self.spare.is_none() {
            self.spare = self.lock.try_clone().ok();
        }
    }
}

/// Makes a directory, and those above it, for its owner alone. One that is there stays as it is.
///
/// # Errors
///
/// If it cannot be made.
pub fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(path)
}

fn named(operation: &'static str, file: &str, error: &io::Error) -> DiskError {
    let file = file.to_owned();
    if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        DiskError::Full { operation, file }
    } else if error.kind() == ErrorKind::NotFound {
        DiskError::Missing { operation, file }
    } else {
        DiskError::Failed { operation, file, reason: error.to_string() }
    }
}
