//! Whose bytes are looked at next among the clients that have not authenticated.
//!
//! Whatever a stranger sends costs processor time before anybody knows who he is. So only half of the threads that serve
//! clients work for strangers at one time, and where more strangers have something to say the places that they come from
//! take turns, each paying with the time that was spent on it ([`Turns`]). A client that has authenticated waits for none
//! of this.
//!
//! ```text
//! poll_begin ─▶ a thread is free: the stranger is heard ─▶ finish ─▶ the next one is woken
//!          └──▶ none is: waits for its turn
//! ```
//!
//! Bounded by the connections: each has one turn.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use cresset_core::sasl::throttle::Place;
use cresset_core::sasl::turns::Turns;
use tokio::time::Instant;

/// The turns of all strangers of one node. Clones are the same.
#[derive(Clone, Debug)]
pub struct Strangers {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    threads_free: usize,
    turns: Turns<Arc<Mutex<Seat>>>,
}

/// Where one that waits is told.
#[derive(Debug)]
enum Seat {
    Waiting(Waker),
    Called,
    /// It does not wait any more.
    Left,
}

/// One stranger.
#[derive(Debug)]
pub(super) struct Stranger {
    strangers: Strangers,
    place: Place,
    seat: Option<Arc<Mutex<Seat>>>,
    begun: Option<Instant>,
    /// What the last turn has cost, in microseconds: the next one is expected to cost as much.
    price: u64,
}

impl Strangers {
    /// For a node that serves its clients by so many threads.
    pub fn new(threads: usize) -> Self {
        let shared = Shared { threads_free: (threads / 2).max(1), turns: Turns::default() };
        Strangers { shared: Arc::new(Mutex::new(shared)) }
    }

    /// Somebody who comes from this address.
    pub(super) fn at(&self, address: IpAddr) -> Stranger {
        Stranger { strangers: self.clone(), place: Place::of(address), seat: None, begun: None, price: 1 }
    }
}

impl Shared {
    /// A thread is done with a stranger: calls the next one.
    fn call(&mut self) {
        while let Some(seat) = self.turns.pop() {
            match std::mem::replace(&mut *lock(&seat), Seat::Called) {
                Seat::Waiting(waker) => return waker.wake(),
                Seat::Called | Seat::Left => {}
            }
        }
        self.threads_free += 1;
    }
}

impl Stranger {
    /// Ready when it is the stranger's turn, which lasts until [`finish`](Stranger::finish).
    pub(super) fn poll_begin(&mut self, context: &Context<'_>) -> Poll<()> {
        let mut shared = lock(&self.strangers.shared);
        match &self.seat {
            Some(seat) => match &mut *lock(seat) {
                Seat::Waiting(waker) => {
                    waker.clone_from(context.waker());
                    return Poll::Pending;
                }
                Seat::Called | Seat::Left => {}
            },
            None if shared.threads_free > 0 => shared.threads_free -= 1,
            None => {
                let seat = Arc::new(Mutex::new(Seat::Waiting(context.waker().clone())));
                shared.turns.push(self.place, self.price, seat.clone());
                self.seat = Some(seat);
                return Poll::Pending;
            }
        }
        self.seat = None;
        self.begun = Some(Instant::now());
        Poll::Ready(())
    }

    /// Does what a stranger wants, turn by turn.
    pub(super) async fn hear<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        poll_fn(|context| {
            std::task::ready!(self.poll_begin(context));
            let polled = work.as_mut().poll(context);
            self.finish();
            polled
        })
        .await
    }

    /// The stranger was heard.
    pub(super) fn finish(&mut self) {
        let Some(begun) = self.begun.take() else { return };
        self.price = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        lock(&self.strangers.shared).call();
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.finish();
        let Some(seat) = self.seat.take() else { return };
        let mut shared = lock(&self.strangers.shared);
        // Whoever was called and goes lets the next one have the turn.
        if let Seat::Called = std::mem::replace(&mut *lock(&seat), Seat::Left) {
            shared.call();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// O2: a flood from one place, and one stranger from another.
    #[tokio::test(start_paused = true)]
    async fn a_place_with_one_stranger_is_heard_among_the_first_of_a_flood() {
        let (strangers, context) = (Strangers::new(2), Context::from_waker(Waker::noop()));
        let mut first = strangers.at(address(1));
        assert!(first.poll_begin(&context).is_ready());
        let mut flood: Vec<Stranger> = (0..100).map(|_| strangers.at(address(1))).collect();
        assert!(flood.iter_mut().all(|stranger| stranger.poll_begin(&context).is_pending()));
        let mut honest = strangers.at(address(2));
        assert!(honest.poll_begin(&context).is_pending());

        first.finish();
        let mut heard = 0;
        while honest.poll_begin(&context).is_pending() {
            for stranger in &mut flood {
                if stranger.poll_begin(&context).is_ready() {
                    heard += 1;
                    stranger.finish();
                }
            }
        }

        assert!(heard <= 2, "{heard}");
        honest.finish();
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_handed_on_by_a_stranger_that_goes() {
        let (strangers, context) = (Strangers::new(1), Context::from_waker(Waker::noop()));
        let mut first = strangers.at(address(1));
        assert!(first.poll_begin(&context).is_ready());
        let (mut called, mut waiting, mut last) =
            (strangers.at(address(1)), strangers.at(address(1)), strangers.at(address(1)));
        for stranger in [&mut called, &mut waiting, &mut last] {
            assert!(stranger.poll_begin(&context).is_pending());
        }
        drop(waiting);
        drop(first);

        drop(called);

        assert!(last.poll_begin(&context).is_ready());
        drop(last);
        assert_eq!(lock(&strangers.shared).threads_free, 1);
    }

    fn address(host: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))
    }
}
