//! What is going to happen, in the order of its time; what is due at the same time happens in the order in which it was
//! put in.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Nanoseconds since the world began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub(super) struct Moment(pub(super) u64);

impl Moment {
    /// A moment that never comes.
    pub(super) const NEVER: Moment = Moment(u64::MAX);

    pub(super) fn after(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(nanoseconds(time)))
    }

    /// Time since `earlier`; none if it is not earlier.
    pub(super) fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Time since the world began.
    pub(super) fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl From<Duration> for Moment {
    fn from(since_start: Duration) -> Moment {
        Moment(nanoseconds(since_start))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Due<T>>,
    count: u64,
}

#[derive(Debug)]
struct Due<T> {
    at: Moment,
    number: u64,
    what: T,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Queue { heap: BinaryHeap::new(), count: 0 }
    }

    pub(super) fn push(&mut self, at: Moment, what: T) {
        self.count += 1;
        self.heap.push(Due { at, number: self.count, what });
    }

    pub(super) fn pop(&mut self) -> Option<(Moment, T)> {
        self.heap.pop().map(|due| (due.at, due.what))
    }

    /// How much was ever put in.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The heap hands out the greatest first, so the earliest is the greatest.
impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_the_same_time_keeps_its_order() {
        let mut queue = Queue::new();
        queue.push(Moment(2), "c");
        queue.push(Moment(1), "a");
        queue.push(Moment(1), "b");

        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, what)| what).collect();

        assert_eq!(order, ["a", "b", "c"]);
    }
}
