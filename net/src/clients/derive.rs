//! Where keys are derived from passwords, which takes milliseconds of a processor: beside the tasks, or in a simulation
//! within them.

use std::sync::Arc;

use cresset_core::sasl::{Derivation, ScramKeys};
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// A place where keys are derived.
pub trait Derive: Send + Sync + 'static {
    /// Does the work.
    fn derive(&self, derivation: Derivation) -> BoxFuture<'static, ScramKeys>;
}

/// Derives in the caller's task, so that a simulation does not depend on other threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeriveHere;

impl Derive for DeriveHere {
    fn derive(&self, derivation: Derivation) -> BoxFuture<'static, ScramKeys> {
        Box::pin(async move { derivation.run() })
    }
}

/// Derives on a few threads of their own; who comes when all are busy waits, and his client with him.
#[derive(Clone, Debug)]
pub struct DerivePool {
    threads: Arc<Semaphore>,
}

impl DerivePool {
    /// At most so many derivations at once.
    pub fn new(threads: usize) -> Self {
        DerivePool { threads: Arc::new(Semaphore::new(threads.max(1))) }
    }
}

impl Derive for DerivePool {
    fn derive(&self, derivation: Derivation) -> BoxFuture<'static, ScramKeys> {
        let threads = self.threads.clone();
        Box::pin(async move {
            let _thread = threads.acquire_owned().await.expect("the semaphore is never closed");
            tokio::task::spawn_blocking(|| derivation.run()).await.expect("deriving keys does not panic")
        })
    }
}
