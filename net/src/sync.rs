//! What the threads of the message path share is made of these. They are the standard library's and papaya's, and with the
//! feature `interleavings` those of the checker, which decides at each of them which thread runs next. Only the tests of
//! that name can run then.
//!
//! Who owns what of it is said at the [top of this crate](crate).

#[cfg(not(feature = "interleavings"))]
pub(crate) use {
    papaya::HashMap as Table,
    std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
};

#[cfg(feature = "interleavings")]
pub(crate) use {
    checked::Table,
    shuttle::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
};

/// Another thread may run here, as it may anywhere. Says so to the checker, which knows nothing of tokio's channels; they
/// are taken at their word, and checked by tokio's own tests.
#[inline]
pub(crate) fn others_run() {
    #[cfg(feature = "interleavings")]
    checked::others_run();
}

/// Whether the product has this fault on purpose. Only the tests of interleavings plant any.
#[cfg(not(feature = "interleavings"))]
pub(crate) const fn has(_fault: Fault) -> bool {
    false
}

#[cfg(feature = "interleavings")]
pub(crate) use checked::has;
#[cfg(all(test, feature = "interleavings"))]
pub(crate) use checked::with;

/// A fault between threads, which its harness in `interleavings` has to find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The session is found by its route before it has what came early.
    RouteBeforeParcels,
    /// What a parcel is for is looked up, and the parcel left as early, in two steps.
    EarlyInTwoSteps,
    /// A session that enters is told once what the gate was.
    GateToldOnce,
    /// A session that enters does not look again in which life of the node it is.
    LifeReadOnce,
    /// A transport is left with a session in two steps.
    AttachInTwoSteps,
    /// A mailbox is found empty and closed in two steps.
    CloseInTwoSteps,
    /// A session looks for what waits, and says whom to wake, in two steps.
    SleepInTwoSteps,
    /// Whoever waits for room in the queue of a lane is not told of its end.
    WaitersNotTold,
    /// The queue of a lane refuses while it is drained.
    RefusedBeforeDrained,
}

#[cfg(feature = "interleavings")]
mod checked {
    use std::cell::Cell;
    use std::fmt;
    use std::hash::{BuildHasher, Hash};

    use shuttle::sync::atomic::{AtomicBool, Ordering};

    use super::Fault;

    thread_local! {
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    pub(crate) fn has(fault: Fault) -> bool {
        PLANTED.get() == Some(fault)
    }

    /// Runs this with a fault. The checker runs all its threads on the thread that calls it.
    #[cfg(test)]
    pub(crate) fn with<T>(fault: Option<Fault>, run: impl FnOnce() -> T) -> T {
        PLANTED.set(fault);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        PLANTED.set(None);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    pub(super) fn others_run() {
        // Whatever the checker knows is a place at which others run; this has no other effect.
        AtomicBool::new(false).load(Ordering::SeqCst);
    }

    /// papaya's map, each of whose operations is a place at which others run. That one operation is one step is papaya's
    /// word.
    pub(crate) struct Table<K, V, S = std::hash::RandomState>(papaya::HashMap<K, V, S>);

    impl<K, V, S: Default> Default for Table<K, V, S> {
        fn default() -> Self {
            Table(papaya::HashMap::default())
        }
    }

    impl<K, V, S> fmt::Debug for Table<K, V, S> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Table").finish_non_exhaustive()
        }
    }

    impl<K: Hash + Eq, V, S: BuildHasher> Table<K, V, S> {
        pub(crate) fn pin(&self) -> papaya::HashMapRef<'_, K, V, S, papaya::LocalGuard<'_>> {
            others_run();
            self.0.pin()
        }

        pub(crate) fn len(&self) -> usize {
            others_run();
            self.0.len()
        }
    }
}
