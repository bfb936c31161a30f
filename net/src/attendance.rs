//! Attends to many strangers at a time, on the ports on which somebody has to say first what it wants.
//!
//! ```text
//! begin ─▶ a first step, silent ─▶ goes_on: in earnest, the next step ─▶ leaves
//!               └───────────────────────┴──▶ given up, because its seat is needed: its step is dropped
//! ```
//!
//! Everything runs within the task of whoever calls [`Attendance::next`]. What came with a connection is read when the
//! system has told the runtime of it, and that happens while the task waits. So whoever accepts strangers waits before it
//! lets the next one in for as long as [`Attendance::next_after`] says: a peer whose first words came with its connection
//! is heard, however many others come. Who has to go if there are too many is decided in [`cresset_core::admission`].

use std::collections::BTreeMap;
use std::time::Duration;

use cresset_core::admission::Seats;
use cresset_core::time::Uptime;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

/// Strangers of origins `K`, each with a step under way that ends as an `S`.
pub(crate) struct Attendance<K, S> {
    seats: Seats<K>,
    started: Instant,
    /// Dropping one ends the step of that seat.
    kept: BTreeMap<u64, oneshot::Sender<()>>,
    steps: FuturesUnordered<BoxFuture<'static, (u64, Option<S>)>>,
}

impl<K: Ord + Copy, S: Send + 'static> Attendance<K, S> {
    /// For so many strangers at a time. Beyond it one is given up for the next.
    pub(crate) fn new(seats_max: usize) -> Self {
        Attendance {
            seats: Seats::new(seats_max),
            started: Instant::now(),
            kept: BTreeMap::new(),
            steps: FuturesUnordered::new(),
        }
    }

    /// How long to wait before the next stranger is let in: not at all if there is a seat. It is to be asked again after
    /// each step that has ended.
    pub(crate) fn next_after(&self) -> Duration {
        self.seats.next_at().since(self.now())
    }

    /// Attends to one more. Its first step is made for the number of its seat.
    pub(crate) fn begin<F>(&mut self, origin: K, step: impl FnOnce(u64) -> F)
    where
        F: Future<Output = S> + Send + 'static,
    {
        let seated = self.seats.take(self.now(), origin);
        if let Some(number) = seated.instead_of {
            self.kept.remove(&number);
        }
        self.push(seated.number, step(seated.number));
    }

    /// The stranger has said what it wants, and this is the next step.
    pub(crate) fn goes_on(&mut self, number: u64, step: impl Future<Output = S> + Send + 'static) {
        self.is_in_earnest(number);
        self.push(number, step);
    }

    /// The stranger has said what it wants.
    pub(crate) fn is_in_earnest(&mut self, number: u64) {
        self.seats.is_in_earnest(number);
    }

    /// The stranger is attended to no more.
    pub(crate) fn leaves(&mut self, number: u64) {
        self.seats.leave(number);
    }

    /// The next step that has ended, with the seat; nothing if none is under way. Those that were given up are not told.
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<(u64, S)> {
        loop {
            if let (number, Some(ended)) = self.steps.next().await? {
                self.kept.remove(&number);
                return Some((number, ended));
            }
        }
    }

    fn now(&self) -> Uptime {
        Uptime::new(self.started.elapsed())
    }

    fn push(&mut self, number: u64, step: impl Future<Output = S> + Send + 'static) {
        let (keep, given_up) = oneshot::channel();
        self.kept.insert(number, keep);
        self.steps.push(Box::pin(async move {
            tokio::select! {
                biased;
                _ = given_up => (number, None),
                ended = step => (number, Some(ended)),
            }
        }));
    }
}

/// Does this after a while. For accepting connections: dropping the future loses none if dropping that one does not.
pub(crate) async fn after<T>(wait: Duration, next: impl Future<Output = T>) -> T {
    // A timer takes a millisecond at least.
    if !wait.is_zero() {
        sleep(wait).await;
    }
    next.await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn who_is_in_earnest_is_attended_to_while_the_silent_are_given_up() {
        let mut attendance: Attendance<(), &str> = Attendance::new(2);
        attendance.begin((), |_| ready("asks"));
        let (number, asks) = attendance.next().await.expect("it has asked");
        let (answer, answered) = oneshot::channel();
        attendance.goes_on(number, async move { answered.await.expect("it is answered") });

        for _ in 0..100 {
            attendance.begin((), |_| pending());
        }
        answer.send("is answered").expect("it waits");

        assert_eq!((asks, attendance.next().await), ("asks", Some((number, "is answered"))));
    }

    /// O16.
    #[tokio::test(start_paused = true)]
    async fn the_next_stranger_waits_until_the_last_one_could_be_looked_at() {
        let mut attendance: Attendance<(), ()> = Attendance::new(1);
        assert!(attendance.next_after().is_zero());
        attendance.begin((), |_| pending());

        let wait = attendance.next_after();
        assert!(!wait.is_zero());
        tokio::time::advance(wait).await;

        assert!(attendance.next_after().is_zero());
    }

    #[tokio::test]
    async fn a_step_that_is_given_up_is_dropped() {
        let mut attendance: Attendance<(), ()> = Attendance::new(1);
        let (held, dropped) = oneshot::channel::<()>();
        attendance.begin((), |_| async move {
            pending::<()>().await;
            drop(held);
        });

        attendance.begin((), |_| ready(()));

        assert_eq!(attendance.next().await, Some((2, ())));
        assert!(attendance.next().await.is_none() && dropped.await.is_err());
    }
}
