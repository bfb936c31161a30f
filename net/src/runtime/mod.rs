//! Tasks, and the one generator of randomness that they and openraft share.
//!
//! [`Rt`] is tokio with a seeded generator in place of the thread's: the node runs inside one [`scope`], every task is
//! started by [`spawn`], and so a simulated node that starts from the same seed draws the same numbers. The seed of a
//! real node comes from the operating system. Outside of a scope `spawn` panics.

use std::future::Future;

use openraft_rt::AsyncRuntime;
use openraft_rt::deterministic_rng::DeterministicRng;
#[cfg(not(cresset_simulated))]
use openraft_rt_tokio::TokioRuntime;
use rand::SeedableRng;
use rand::rngs::StdRng;

use tokio::runtime::{Builder, Runtime};

mod polled;
mod process;

/// Threads of the control plane: one for whatever has a lot to do, and one that is free then.
const CONTROL_THREADS: usize = 2;

/// How much the threads that serve clients give way to the others: a third of the processor time of an equal, when there is
/// not enough for everybody (sched(7), "The nice value").
#[cfg(target_os = "linux")]
const CLIENTS_NICE: i32 = 5;

pub(crate) use polled::{abandon, is_working, polled};
pub use process::{Delays, ProcessRuntime, Standstill, process};

/// The runtime of openraft and of this crate.
#[cfg(not(cresset_simulated))]
pub type Rt = DeterministicRng<TokioRuntime>;

/// The runtime of openraft and of this crate, whose tasks a simulation can make stand still.
#[cfg(cresset_simulated)]
pub type Rt = DeterministicRng<ProcessRuntime>;

/// Starts a task that draws its randomness from a seed derived from the caller's.
///
/// # Panics
///
/// Outside of a [`scope`].
pub fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Rt::spawn(future)
}

/// Threads on which tasks run that serve clients. A node has them apart from the threads of its control plane, and of a
/// lower priority: clients that keep every processor busy do not keep a lease from being renewed. A simulation has one
/// thread for everything.
#[derive(Clone, Debug, Default)]
pub struct Workers(Option<tokio::runtime::Handle>);

impl Workers {
    /// Those of this runtime.
    pub fn of(handle: tokio::runtime::Handle) -> Self {
        Workers(Some(handle))
    }

    /// Those that run the caller.
    pub fn here() -> Self {
        Workers(None)
    }

    /// How many they are. A simulation has one.
    pub fn threads(&self) -> usize {
        self.0.as_ref().map_or(1, |handle| handle.metrics().num_workers())
    }

    /// As [`spawn`], on these threads. What the task spawns runs on them as well.
    ///
    /// # Panics
    ///
    /// Outside of a [`scope`].
    pub fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let _there = self.0.as_ref().map(tokio::runtime::Handle::enter);
        spawn(future)
    }
}

/// The threads of a node: those of its control plane, and those that serve clients.
///
/// # Errors
///
/// The system has no threads left.
pub fn threads() -> std::io::Result<(Runtime, Runtime)> {
    let control = Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("cresset-control")
        .enable_all()
        .build()?;
    let clients =
        Builder::new_multi_thread().thread_name("cresset-clients").on_thread_start(give_way).enable_all().build()?;
    Ok((control, clients))
}

/// Lowers the priority of the calling thread. On Linux a thread has one of its own (setpriority(2), "C library/kernel
/// differences"); elsewhere it would be the process's.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), CLIENTS_NICE) {
        tracing::warn!(%error, "threads that serve clients have the priority of those that hold the lease");
    }
}

/// Runs a future, and all that it spawns, with the randomness of one seed.
pub fn scope<F: Future>(seed: u64, future: F) -> impl Future<Output = F::Output> {
    Rt::scope(seed, future)
}

/// A generator of this task's own, seeded from the scope.
///
/// # Panics
///
/// Outside of a [`scope`].
pub fn generator() -> StdRng {
    StdRng::from_rng(&mut Rt::thread_rng())
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    async fn draw() -> (u64, u64) {
        let spawned = spawn(async { generator().random::<u64>() }).await.expect("the task does not panic");
        (spawned, generator().random::<u64>())
    }

    #[tokio::test]
    async fn the_same_seed_gives_the_same_numbers_in_every_task() {
        assert_eq!(scope(7, draw()).await, scope(7, draw()).await);
        assert_ne!(scope(7, draw()).await, scope(8, draw()).await);
    }
}
