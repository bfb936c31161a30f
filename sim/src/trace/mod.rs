//! What happened, in order: a hash over all of it, and lines for whoever looks.
//!
//! Every record has its simulated time and its place. Records of the network come with their bytes. The hash tells two
//! runs apart at the first byte that differs; the lines say where that was.

pub mod host;
mod log;

use std::cell::Cell;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use log::NodeLog;

/// How much of a run is shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Detail {
    /// Nothing but the verdict.
    #[default]
    Nothing,
    /// What clients, nodes and the world did.
    Events,
    /// That, and what the nodes log.
    Log,
    /// That, and every packet.
    Packets,
}

/// Who is shown the lines.
pub type Watcher = Box<dyn FnMut(&str) + Send>;

/// The trace of one run. Clones are the same trace.
#[derive(Clone)]
pub struct Trace {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    hash: Sha256,
    /// Of what was noted quickly: a hash that finds differences and withstands nobody.
    quick: DefaultHasher,
    records: u64,
    detail: Detail,
    watcher: Option<Watcher>,
}

/// The sum of a trace. Equal sums mean equal runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceHash(pub [u8; 32]);

impl Trace {
    /// An empty trace that shows this much to the watcher.
    pub fn new(detail: Detail, watcher: Option<Watcher>) -> Self {
        Trace {
            inner: Arc::new(Mutex::new(Inner {
                hash: Sha256::new(),
                quick: DefaultHasher::new(),
                records: 0,
                detail,
                watcher,
            })),
        }
    }

    /// Notes something at one place, now.
    pub fn note(&self, detail: Detail, place: &str, text: fmt::Arguments<'_>) {
        self.note_bytes(detail, place, text, &[]);
    }

    /// Notes what something is instead of how it is written, which nobody does unless he watches.
    pub fn note_quickly(&self, detail: Detail, place: &str, what: &(impl Hash + fmt::Display)) {
        let at = now();
        let mut inner = self.lock();
        inner.records += 1;
        (at, place).hash(&mut inner.quick);
        what.hash(&mut inner.quick);
        if detail <= inner.detail
            && let Some(watcher) = &mut inner.watcher
        {
            watcher(&format!("{:>9.3} {place:<6} {what}", at.as_secs_f64()));
        }
    }

    /// Notes something that has bytes.
    pub fn note_bytes(&self, detail: Detail, place: &str, text: fmt::Arguments<'_>, bytes: &[u8]) {
        let at = now();
        let line = format!("{:>9.3} {place:<6} {text}", at.as_secs_f64());
        let mut inner = self.lock();
        inner.records += 1;
        inner.hash.update((line.len() as u64).to_be_bytes());
        inner.hash.update(&line);
        inner.hash.update((bytes.len() as u64).to_be_bytes());
        inner.hash.update(bytes);
        if detail <= inner.detail
            && let Some(watcher) = &mut inner.watcher
        {
            // Two packets that differ only inside are to differ in their lines.
            let sum = (!bytes.is_empty()).then(|| TraceHash(Sha256::digest(bytes).into()));
            watcher(&sum.map_or(line.clone(), |sum| format!("{line} #{sum}")));
        }
    }

    /// The sum of what was noted so far.
    pub fn sum(&self) -> TraceHash {
        let inner = self.lock();
        TraceHash(inner.hash.clone().chain_update(inner.quick.finish().to_be_bytes()).finalize().into())
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.lock().records
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    static BETWEEN_STEPS: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Simulated time since the world began: a host's, while one runs, or the world's between two steps.
pub fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_else(|| BETWEEN_STEPS.get())
}

/// Says what time it is while no host runs.
pub(crate) fn set_now(now: Duration) {
    BETWEEN_STEPS.set(now);
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("records", &self.records()).field("sum", &self.sum()).finish()
    }
}

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceHash({self})")
    }
}
