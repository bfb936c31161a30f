//! What is going to happen, in the order of its time; what is due at the same time happens in the order in which it was
//! put in.

use std::cmp::Reverse;
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

/// The queue. What is put in lies still in its slot while the order of the slots is found: it is large, and an order is found
/// by moving things about.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// When, the how manieth, and in which slot; the earliest is the greatest.
    order: BinaryHeap<Reverse<(Moment, u64, usize)>>,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    count: u64,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Queue { order: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), count: 0 }
    }

    pub(super) fn push(&mut self, at: Moment, what: T) {
        self.count += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(what);
        self.order.push(Reverse((at, self.count, slot)));
    }

    pub(super) fn pop(&mut self) -> Option<(Moment, T)> {
        let Reverse((at, _, slot)) = self.order.pop()?;
        self.free.push(slot);
        Some((at, self.slots[slot].take().expect("what is in the order is in its slot")))
    }

    /// How much was ever put in.
    pub(super) fn count(&self) -> u64 {
        self.count
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
