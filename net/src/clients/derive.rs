//! Where keys are derived from passwords, which takes milliseconds of a processor: beside the tasks, or in a simulation
//! within them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cresset_core::admission::{Party, Turns};
use cresset_core::sasl::{Derivation, ScramKeys};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

/// A place where keys are derived.
pub trait Derive: Send + Sync + 'static {
    /// Does the work for somebody of this party.
    fn derive(&self, party: Party, derivation: Derivation) -> BoxFuture<'static, ScramKeys>;
}

/// Derives in the caller's task, so that a simulation does not depend on other threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeriveHere;

impl Derive for DeriveHere {
    fn derive(&self, _party: Party, derivation: Derivation) -> BoxFuture<'static, ScramKeys> {
        Box::pin(async move { derivation.run() })
    }
}

/// Derives on a few threads of their own. A client that comes when all are busy waits for its turn, which it gets by its
/// party: those who flood the server with passwords wait for each other.
#[derive(Clone, Debug)]
pub struct DerivePool {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    threads_free: usize,
    turns: Turns<Party, Job>,
}

#[derive(Debug)]
struct Job {
    derivation: Derivation,
    asker: oneshot::Sender<ScramKeys>,
}

/// After so many jobs of one party those are taken out whose clients have gone.
const JOBS_PER_LOOK: usize = 256;

impl DerivePool {
    /// At most so many derivations at once.
    pub fn new(threads: usize) -> Self {
        DerivePool { shared: Arc::new(Mutex::new(Shared { threads_free: threads.max(1), turns: Turns::default() })) }
    }
}

impl Derive for DerivePool {
    fn derive(&self, party: Party, derivation: Derivation) -> BoxFuture<'static, ScramKeys> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let (asker, answer) = oneshot::channel();
            let first = lock(&shared).take_in(party, Job { derivation, asker });
            if let Some(job) = first {
                tokio::task::spawn_blocking(move || work_off(&shared, job));
            }
            answer.await.expect("deriving keys does not panic")
        })
    }
}

impl Shared {
    /// Takes a job in; gives the one that a free thread is to begin with, if one is free.
    fn take_in(&mut self, party: Party, job: Job) -> Option<Job> {
        let price = u64::from(job.derivation.iterations);
        self.turns.push(party, price, job);
        if self.turns.waiting(&party).is_multiple_of(JOBS_PER_LOOK) {
            self.turns.retain(&party, |job| !job.asker.is_closed());
        }
        self.threads_free = self.threads_free.checked_sub(1)?;
        self.next()
    }

    /// The next job that somebody waits for. If there is none the thread is free.
    fn next(&mut self) -> Option<Job> {
        let job = std::iter::from_fn(|| self.turns.pop()).find(|job| !job.asker.is_closed());
        if job.is_none() {
            self.threads_free += 1;
        }
        job
    }
}

/// Works on one thread until nobody waits.
fn work_off(shared: &Mutex<Shared>, first: Job) {
    let mut next = Some(first);
    while let Some(Job { derivation, asker }) = next {
        // Who does not wait any more does not need the answer.
        let _ = asker.send(derivation.run());
        next = lock(shared).next();
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cresset_core::admission::Host;
    use cresset_core::sasl::{Hash, Password};
    use futures_util::FutureExt;

    use super::*;
    use crate::runtime;

    /// O5: an honest log-in behind a flood of PLAIN from another address waits for little of it.
    #[tokio::test]
    async fn a_flood_from_one_address_does_not_delay_another() {
        runtime::scope(1, async {
            let pool = DerivePool::new(1);
            let done = Arc::new(AtomicUsize::new(0));
            let flood: Vec<_> = (0..400)
                .map(|_| {
                    let (work, done) = (pool.derive(party(1), derivation()), done.clone());
                    runtime::spawn(async move {
                        work.await;
                        done.fetch_add(1, Ordering::Relaxed);
                    })
                })
                .collect();
            tokio::task::yield_now().await;

            pool.derive(party(2), derivation()).await;

            assert!(done.load(Ordering::Relaxed) < 200, "{done:?}");
            futures_util::future::join_all(flood).await;
            is_idle(&pool).await;
        })
        .await;
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_done_and_not_kept() {
        runtime::scope(1, async {
            let pool = DerivePool::new(1);
            lock(&pool.shared).threads_free = 0;
            for _ in 0..10_000 {
                assert!(pool.derive(party(1), derivation()).now_or_never().is_none());
            }
            assert!(lock(&pool.shared).turns.waiting(&party(1)) <= JOBS_PER_LOOK);
            lock(&pool.shared).threads_free = 1;

            let keys = pool.derive(party(2), derivation()).await;

            assert!(keys.matches(&derivation().run()));
            is_idle(&pool).await;
            assert_eq!(lock(&pool.shared).turns.waiting(&party(1)), 0);
        })
        .await;
    }

    /// The thread looks for more work after it has answered.
    async fn is_idle(pool: &DerivePool) {
        while lock(&pool.shared).threads_free == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    fn derivation() -> Derivation {
        let password = Password::new("secret").expect("a password");
        Derivation { hash: Hash::Sha256, password, salt: vec![1; 16], iterations: 50 }
    }

    fn party(host: u8) -> Party {
        Party::Host(Host::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))))
    }
}
