//! Places that a simulation must have visited: `sometimes!("a_bind_waits_for_a_slow_member")`.
//!
//! Only a build with `--cfg cresset_simulated` counts visits; in every other one the macro is nothing. The counters
//! belong to the thread, because a simulation is one thread, and they are kept apart by what the node that visits is at
//! the moment, which whoever drives the nodes says by [`enter`].

/// Counts a visit to the place of that name, which is unique in the workspace; with a condition, only if it holds.
#[macro_export]
macro_rules! sometimes {
    ($name:literal) => {
        $crate::probe::visit($name)
    };
    ($condition:expr, $name:literal) => {
        if cfg!(cresset_simulated) && $condition {
            $crate::probe::visit($name)
        }
    };
}

/// What a node is in the cluster at the moment of a visit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Part {
    /// It does not take part yet, or not any more.
    #[default]
    Outside,
    /// It leads.
    Leader,
    /// It votes and follows.
    Follower,
    /// It follows without a vote.
    Learner,
}

#[cfg(not(cresset_simulated))]
mod counters {
    use super::Part;

    /// Does nothing in this build.
    #[inline(always)]
    pub fn visit(_: &'static str) {}

    /// Does nothing in this build.
    #[inline(always)]
    pub fn enter(_: Part) {}
}

#[cfg(cresset_simulated)]
mod counters {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    use super::Part;

    /// How often each place was visited by which part.
    pub type Visits = BTreeMap<(&'static str, Part), u64>;

    thread_local! {
        static PART: Cell<Part> = const { Cell::new(Part::Outside) };
        static VISITS: RefCell<Visits> = const { RefCell::new(BTreeMap::new()) };
    }

    /// Counts a visit.
    pub fn visit(name: &'static str) {
        VISITS.with_borrow_mut(|visits| *visits.entry((name, PART.get())).or_default() += 1);
    }

    /// From now on, visits of this thread are those of a node that plays this part.
    pub fn enter(part: Part) {
        PART.set(part);
    }

    /// The visits of this thread since they were last taken.
    pub fn take() -> Visits {
        VISITS.take()
    }
}

pub use counters::*;
