//! The threads that speak to SQLite, and the queues before them.
//!
//! Many jobs share one transaction, and each has a savepoint of its own: what a job that fails has done is undone, its
//! caller is told, and the others are committed without it, together. Only if SQLite gives the whole transaction up
//! because of one job, as it may when the disk is full, are the others run again. So a job is a function that may be
//! called more than once, and nothing of what it did stays when its savepoint or its transaction is rolled back.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::LEAVE_TO_OTHERS;
use crate::accounts::{StoreError, StoreFuture};

/// Jobs that wait for the writer, and as many for the readers. Beyond it the caller waits for room.
const JOBS_WAITING_MAX: usize = 1024;

/// Jobs that share one commit. A bound on what is lost in one failure and on how long the first one waits.
const JOBS_PER_COMMIT_MAX: usize = 512;

/// How often a batch is begun that SQLite gives up because of one of its jobs, each time without that one. Beyond it all
/// of its callers are told what happened: it is the disk then, and not the jobs.
const TRIES_MAX: u32 = 4;

/// How long a caller waits for room in a queue. Beyond it: [`StoreError::Busy`].
const ROOM_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a caller waits for an answer: longer than a commit waits for other processes, so that only a disk that
/// hangs is meant. Beyond it: [`StoreError::Unavailable`].
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// The queues to the threads, which end when it is dropped.
pub(super) struct Threads {
    writes: mpsc::Sender<Box<dyn Job>>,
    reads: mpsc::Sender<Box<dyn Job>>,
    writer: JoinHandle<()>,
    readers: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts one thread for each connection.
    pub(super) fn start<const N: usize>(writer: Connection, readers: [Connection; N]) -> io::Result<Threads> {
        let (writes, written) = mpsc::channel(JOBS_WAITING_MAX);
        let (reads, read) = mpsc::channel(JOBS_WAITING_MAX);
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let writer = named("accounts-write").spawn(move || write_all(&writer, written))?;
        let read = Arc::new(Mutex::new(read));
        let reader = |reader: Connection| {
            let read = Arc::clone(&read);
            named("accounts-read").spawn(move || read_all(&reader, &read))
        };
        let readers = readers.into_iter().map(reader).collect::<io::Result<Vec<_>>>()?;
        Ok(Threads { writes, reads, writer, readers })
    }

    /// Ends the threads when they have done what waits for them, and waits until they have closed the file.
    pub(super) fn close(self) {
        let Threads { writes, reads, writer, readers } = self;
        // The writer goes last and alone: of two that close at once each takes the other for somebody who stays, and
        // neither folds the log in. One that has panicked has nothing left to close.
        drop(reads);
        readers.into_iter().for_each(|reader| drop(reader.join()));
        drop(writes);
        drop(writer.join());
    }

    /// Runs `work` in a transaction and answers when that is on the disk.
    pub(super) fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        Box::pin(ask(&self.writes, work))
    }

    /// Runs `work`, which changes nothing, beside the writer.
    pub(super) fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        Box::pin(ask(&self.reads, work))
    }
}

async fn ask<T: Send + 'static>(
    queue: &mpsc::Sender<Box<dyn Job>>,
    work: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (asker, answer) = oneshot::channel();
    let job = Box::new(Work { work, result: None, asker });
    match timeout(ROOM_TIME_MAX, queue.send(job)).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return Err(thread_ended()),
        Err(_) => return Err(StoreError::Busy),
    }
    match timeout(ANSWER_TIME_MAX, answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(thread_ended()),
        Err(_) => Err(StoreError::Unavailable("it does not answer".to_owned())),
    }
}

fn thread_ended() -> StoreError {
    StoreError::Unavailable("its thread has ended".to_owned())
}

/// Something to do on a connection, with somebody who waits for it.
trait Job: Send {
    /// Whether somebody still waits for the answer.
    fn is_wanted(&self) -> bool;

    /// Does it, in a transaction of the caller's, and keeps the result.
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError>;

    /// Answers with the result that was kept, or with the reason why it does not count.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Work<F, T> {
    work: F,
    result: Option<T>,
    asker: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Work<F, T>
where
    F: Fn(&Connection) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn is_wanted(&self) -> bool {
        !self.asker.is_closed()
    }

    fn run(&mut self, connection: &Connection) -> Result<(), StoreError> {
        self.result = Some((self.work)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Work { work: _, result, asker } = *self;
        let result = outcome.map(|()| result.expect("a job that succeeded has kept its result"));
        // Who does not wait any more does not need the answer.
        let _ = asker.send(result);
    }
}

fn write_all(connection: &Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < JOBS_PER_COMMIT_MAX
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        batch.retain(|job| job.is_wanted());
        if !batch.is_empty() {
            commit(connection, batch);
        }
        if !jobs.is_empty() {
            thread::sleep(LEAVE_TO_OTHERS);
        }
    }
}

fn read_all(connection: &Connection, jobs: &Mutex<mpsc::Receiver<Box<dyn Job>>>) {
    loop {
        // Whoever waits for a job holds the lock; the others wait for the lock.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(mut job) = job else { return };
        if job.is_wanted() {
            let outcome = job.run(connection);
            job.answer(outcome);
        }
    }
}

/// Why nothing of a batch is committed.
struct Broken {
    /// The job with which SQLite gave the transaction up; none if it could not be begun or committed.
    by: Option<usize>,
    error: StoreError,
}

fn commit(connection: &Connection, mut jobs: Vec<Box<dyn Job>>) {
    for tries in 1.. {
        match in_transaction(connection, &mut jobs) {
            Ok(outcomes) => return jobs.into_iter().zip(outcomes).for_each(|(job, outcome)| job.answer(outcome)),
            Err(Broken { by: Some(by), error }) if tries < TRIES_MAX => jobs.remove(by).answer(Err(error)),
            Err(Broken { by: _, error }) => {
                return jobs.into_iter().for_each(|job| job.answer(Err(error.clone())));
            }
        }
    }
}

/// Runs all jobs in one transaction and commits what those have done that have not failed. Gives what became of each.
fn in_transaction(connection: &Connection, jobs: &mut [Box<dyn Job>]) -> Result<Vec<Result<(), StoreError>>, Broken> {
    let broken = |error: rusqlite::Error| Broken { by: None, error: error.into() };
    // Rolls back when it is dropped without having been committed.
    let mut transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(broken)?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for (at, job) in jobs.iter_mut().enumerate() {
        let by_this_job = |error| Broken { by: Some(at), error };
        outcomes.push(on_savepoint(&mut transaction, job.as_mut()).map_err(by_this_job)?);
    }
    transaction.commit().map_err(broken)?;
    Ok(outcomes)
}

/// Runs a job and undoes it if it fails. Gives what became of it.
///
/// # Errors
///
/// The transaction is gone, or it is not certain that the job is undone.
fn on_savepoint(transaction: &mut Transaction<'_>, job: &mut dyn Job) -> Result<Result<(), StoreError>, StoreError> {
    let mut savepoint = transaction.savepoint()?;
    let outcome = job.run(&savepoint);
    if let Err(error) = &outcome {
        savepoint.rollback().map_err(|_| error.clone())?;
    }
    savepoint.commit()?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;

    fn open(path: &Path) -> Connection {
        let connection = Connection::open(path).expect("a database");
        connection.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE IF NOT EXISTS t (v)").expect("a table");
        connection
    }

    fn rows(connection: &Connection) -> Result<i64, StoreError> {
        Ok(connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
    }

    /// A job, and how it is answered.
    fn job<T: Send + 'static>(
        work: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>) {
        let (asker, answer) = oneshot::channel();
        (Box::new(Work { work, result: None, asker }), answer)
    }

    /// O12: the others of its batch were committed one by one, each with a wait for the disk.
    #[test]
    fn a_batch_with_bad_jobs_is_one_commit_without_them() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("t.sqlite");
        let connection = open(&path);
        let (mut jobs, mut answers) = (Vec::new(), Vec::new());
        for number in 0..100 {
            let path = path.clone();
            // What is committed while the batch is run, as another process sees it.
            let (job, answer) = job(move |connection| {
                connection.execute("INSERT INTO t VALUES (?1)", [number])?;
                match number % 10 {
                    3 => Err(StoreError::TooMuch(number.to_string())),
                    _ => rows(&Connection::open(&path)?),
                }
            });
            jobs.push(job);
            answers.push(answer);
        }

        commit(&connection, jobs);

        for (number, answer) in answers.iter_mut().enumerate() {
            let expected = if number % 10 == 3 { Err(StoreError::TooMuch(number.to_string())) } else { Ok(0) };
            assert_eq!(answer.try_recv(), Ok(expected), "{number}");
        }
        assert_eq!(rows(&open(&path)), Ok(90));
    }

    /// As SQLite itself does for some failures of the disk.
    #[test]
    fn a_job_that_ends_the_transaction_takes_nobody_along() {
        let directory = TempDir::new().expect("a directory");
        let connection = open(&directory.path().join("t.sqlite"));
        let (good, mut done) = job(|connection| Ok(connection.execute("INSERT INTO t VALUES (1)", [])?));
        let (bad, mut failed) = job(|connection| -> Result<(), StoreError> {
            connection.execute_batch("INSERT INTO t VALUES (2); ROLLBACK")?;
            Err(StoreError::Busy)
        });

        commit(&connection, vec![good, bad]);

        assert_eq!(failed.try_recv(), Ok(Err(StoreError::Busy)));
        assert_eq!(done.try_recv(), Ok(Ok(1)));
        assert_eq!(rows(&connection), Ok(1));
    }
}
