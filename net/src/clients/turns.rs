//! Whose work the threads do next that serve clients.
//!
//! Whatever a stranger sends costs processor time before anybody knows who he is. So only half of the threads work for
//! strangers at one time, and where more of them have something to say the hosts that they come from take turns, each
//! paying with the time that was spent on it ([`Turns`]). Behind a proxy each connection takes turns for itself.
//!
//! Of the clients that have authenticated those take turns, by their accounts, that use much processor time
//! ([`Allowance`]). No more of them are under way than there are threads: so whoever uses little waits for a slice of
//! time of theirs, however many they are.
//!
//! ```text
//! poll_begin ─▶ a thread is free: it works for this one ─▶ finish ─▶ the next one is woken
//!          └──▶ none is: waits for its turn
//! ```
//!
//! Bounded by the connections: each has one turn.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use cresset_core::admission::{Allowance, Turns};
use cresset_core::jid::BareJid;
use cresset_core::time::Uptime;
use tokio::time::Instant;

/// Threads for which those wait who pay as `P`. Clones are the same.
#[derive(Debug)]
pub struct Threads<P> {
    shared: Arc<Mutex<Shared<P>>>,
}

#[derive(Debug)]
struct Shared<P> {
    free: usize,
    turns: Turns<P, Arc<Mutex<Seat>>>,
}

/// Where one that waits is told.
#[derive(Debug)]
enum Seat {
    Waiting(Waker),
    Called,
    /// It does not wait any more.
    Left,
}

/// One connection's turn.
#[derive(Debug)]
pub(super) struct Turn<P: Ord + Clone> {
    threads: Threads<P>,
    payer: P,
    seat: Option<Arc<Mutex<Seat>>>,
    begun: Option<Instant>,
    /// What the last turn has cost, in microseconds: the next one is expected to cost as much.
    price: u64,
}

impl<P: Ord + Clone> Threads<P> {
    /// So many threads, of which there has to be one at least.
    pub fn new(threads: usize) -> Self {
        Threads { shared: Arc::new(Mutex::new(Shared { free: threads, turns: Turns::default() })) }
    }

    /// For somebody who pays like this.
    pub(super) fn turn(&self, payer: P) -> Turn<P> {
        Turn { threads: self.clone(), payer, seat: None, begun: None, price: 1 }
    }
}

impl<P> Clone for Threads<P> {
    fn clone(&self) -> Self {
        Threads { shared: self.shared.clone() }
    }
}

impl<P: Ord + Clone> Shared<P> {
    /// A thread is free: calls the next one.
    fn call(&mut self) {
        while let Some(seat) = self.turns.pop() {
            match std::mem::replace(&mut *lock(&seat), Seat::Called) {
                Seat::Waiting(waker) => return waker.wake(),
                Seat::Called | Seat::Left => {}
            }
        }
        self.free += 1;
    }
}

impl<P: Ord + Clone> Turn<P> {
    /// Ready when it is this one's turn, which lasts until [`finish`](Turn::finish).
    pub(super) fn poll_begin(&mut self, context: &Context<'_>) -> Poll<()> {
        if self.begun.is_some() {
            return Poll::Ready(());
        }
        let mut shared = lock(&self.threads.shared);
        match &self.seat {
            Some(seat) => match &mut *lock(seat) {
                Seat::Waiting(waker) => {
                    waker.clone_from(context.waker());
                    return Poll::Pending;
                }
                Seat::Called | Seat::Left => {}
            },
            None if shared.free > 0 => shared.free -= 1,
            None => {
                let seat = Arc::new(Mutex::new(Seat::Waiting(context.waker().clone())));
                shared.turns.push(self.payer.clone(), self.price, seat.clone());
                self.seat = Some(seat);
                return Poll::Pending;
            }
        }
        self.seat = None;
        self.begun = Some(Instant::now());
        Poll::Ready(())
    }

    /// Does this work, turn by turn.
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

    /// The turn is over, if it has begun.
    pub(super) fn finish(&mut self) {
        let Some(begun) = self.begun.take() else { return };
        self.price = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        lock(&self.threads.shared).call();
    }
}

impl<P: Ord + Clone> Drop for Turn<P> {
    fn drop(&mut self) {
        self.finish();
        let Some(seat) = self.seat.take() else { return };
        let mut shared = lock(&self.threads.shared);
        // Whoever was called and goes lets the next one have the turn.
        if let Seat::Called = std::mem::replace(&mut *lock(&seat), Seat::Left) {
            shared.call();
        }
    }
}

/// The processor time of one client: it works without asking as long as it uses little.
#[derive(Debug, Default)]
pub(super) struct Pace {
    allowance: Allowance,
    /// Only while it uses much.
    turn: Option<Box<Turn<BareJid>>>,
    waits: bool,
}

impl Pace {
    /// Ready when the client may work on. Nobody pays for one that has no account: such a one is a stranger, who takes
    /// turns anyway, and lets the others have the thread for once.
    pub(super) fn poll_begin(
        &mut self,
        context: &Context<'_>,
        now: Uptime,
        threads: &Threads<BareJid>,
        account: Option<&BareJid>,
    ) -> Poll<()> {
        if let Some(turn) = self.turn.as_mut().filter(|_| self.waits) {
            std::task::ready!(turn.poll_begin(context));
            self.waits = false;
            self.allowance.renew(now);
            return Poll::Ready(());
        }
        self.allowance.goes_on(now);
        if !self.allowance.is_used_up() {
            return Poll::Ready(());
        }
        self.allowance.renew(now);
        let is_called = account.is_none_or(|account| {
            let turn = self.turn.get_or_insert_with(|| Box::new(threads.turn(account.clone())));
            turn.finish();
            self.waits = true;
            turn.poll_begin(context).is_ready()
        });
        if is_called {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// The client has nothing to do.
    pub(super) fn pause(&mut self, now: Uptime) {
        self.allowance.pause(now);
        self.turn = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cresset_core::admission::{Origin, Party};

    use super::*;

    /// O2: a flood from one place, and one stranger from another.
    #[tokio::test(start_paused = true)]
    async fn a_place_with_one_stranger_is_heard_among_the_first_of_a_flood() {
        let (threads, context) = (Threads::new(1), Context::from_waker(Waker::noop()));
        let mut first = threads.turn(1);
        assert!(first.poll_begin(&context).is_ready());
        let mut flood: Vec<Turn<u8>> = (0..100).map(|_| threads.turn(1)).collect();
        assert!(flood.iter_mut().all(|stranger| stranger.poll_begin(&context).is_pending()));
        let mut honest = threads.turn(2);
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

    /// Those who come through one proxy cannot be told apart by their address: who has cost little is heard first.
    #[tokio::test(start_paused = true)]
    async fn a_stranger_behind_a_proxy_does_not_wait_for_a_flood_behind_it() {
        let (threads, proxy) = (Threads::new(1), Origin::Shared(std::net::Ipv4Addr::LOCALHOST.into()));
        let mut flood: Vec<Turn<Party>> = (0..20).map(|number| threads.turn(proxy.party(number))).collect();
        for _ in 0..60 {
            dear_turn(&mut flood).await;
        }
        let mut honest = threads.turn(proxy.party(20));

        let mut heard = 0;
        while honest.poll_begin(&Context::from_waker(Waker::noop())).is_pending() {
            dear_turn(&mut flood).await;
            heard += 1;
        }

        assert!(heard <= 2, "{heard}");
        honest.finish();
    }

    /// All of them have something to say, and one is heard, which takes its time.
    async fn dear_turn(flood: &mut [Turn<Party>]) {
        let context = Context::from_waker(Waker::noop());
        let mut called = None;
        for (at, stranger) in flood.iter_mut().enumerate() {
            if stranger.poll_begin(&context).is_ready() {
                called = Some(at);
            }
        }
        tokio::time::advance(Duration::from_millis(10)).await;
        flood[called.expect("one of them is called")].finish();
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_handed_on_by_one_that_goes() {
        let (threads, context) = (Threads::new(1), Context::from_waker(Waker::noop()));
        let mut first = threads.turn(1);
        assert!(first.poll_begin(&context).is_ready());
        let (mut called, mut waiting, mut last) = (threads.turn(1), threads.turn(1), threads.turn(1));
        for turn in [&mut called, &mut waiting, &mut last] {
            assert!(turn.poll_begin(&context).is_pending());
        }
        drop(waiting);
        drop(first);

        drop(called);

        assert!(last.poll_begin(&context).is_ready());
        drop(last);
        assert_eq!(lock(&threads.shared).free, 1);
    }

    /// O2. However many sessions an account keeps busy, no more of them are under way than there are threads, and another
    /// account that uses much as well has its turn next.
    #[tokio::test(start_paused = true)]
    async fn who_uses_much_waits_for_its_turn_and_who_uses_little_does_not() {
        let (threads, context) = (Threads::new(2), Context::from_waker(Waker::noop()));
        let [attacker, other] = ["mallory@example.org", "romeo@example.org"].map(|jid| jid.parse().expect("a JID"));
        let at = |microseconds| Uptime::new(Duration::from_micros(microseconds));
        let mut flood: Vec<Pace> = (0..100).map(|_| Pace::default()).collect();
        let begin = |pace: &mut Pace, now, account| pace.poll_begin(&context, at(now), &threads, Some(account));
        assert!(flood.iter_mut().all(|pace| begin(pace, 0, &attacker).is_ready()));
        let mut little = Pace::default();
        assert!(begin(&mut little, 0, &other).is_ready());
        little.pause(at(10));

        assert!(flood.iter_mut().all(|pace| begin(pace, 1000, &attacker).is_pending()));
        let mut much = Pace::default();
        assert!(begin(&mut much, 1000, &other).is_ready() && begin(&mut much, 2000, &other).is_pending());
        let under_way: Vec<_> =
            flood.iter_mut().filter_map(|pace| begin(pace, 2000, &attacker).is_ready().then_some(pace)).collect();

        assert_eq!(under_way.len(), 2);
        assert!(begin(&mut little, 2000, &other).is_ready());
        for pace in under_way {
            assert!(begin(&mut much, 2000, &other).is_pending());
            pace.pause(at(2500));
        }
        assert!(begin(&mut much, 3000, &other).is_ready());
    }
}
