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

mod standstill;

pub use standstill::{ProcessRuntime, Standstill, process};

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
