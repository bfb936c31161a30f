//! A simulated process can be made to stand still, as SIGSTOP does it: none of its tasks runs until it goes on, and then
//! each finds what has happened meanwhile, its timers among it. Only in the simulator's build do the tasks of a node
//! belong to a process that could.
//!
//! A task of it can also be late ([`Delays`]): a real one waits for a processor while the others go on, and finds more than
//! one thing that has happened when its turn comes.
//!
//! The invariant: tasks that stood still go on in the order in which something happened for them.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use openraft_rt::AsyncRuntime;
use openraft_rt_tokio::TokioRuntime;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::{Sleep, sleep};

/// Whether a process stands still. Clones are the same process.
#[derive(Clone, Debug, Default)]
pub struct Standstill {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    stands_still: bool,
    waiting: Vec<Waker>,
    /// How often its tasks were run since time last went on.
    turns: u64,
    delays: Option<Delays>,
}

/// How late the tasks of a process are.
#[derive(Debug)]
pub struct Delays {
    /// What decides.
    pub random: StdRng,
    /// Of a hundred turns, how many are late.
    pub percent: u32,
    /// How late a turn is at most. Half of those that are late let only those past who are ready.
    pub worst: Duration,
}

impl Delays {
    fn draw(&mut self) -> Option<Duration> {
        let is_late = self.random.random_ratio(self.percent, 100);
        is_late.then(|| {
            let is_let_past = self.random.random_bool(0.5);
            if is_let_past { Duration::ZERO } else { self.random.random_range(Duration::ZERO..=self.worst) }
        })
    }
}

/// Turns of all tasks of a process at one moment of simulated time. No work is that much: the process is in a loop that
/// does not end.
const TURNS_MAX: u64 = 100_000;

tokio::task_local! {
    static PROCESS: Standstill;
}

impl Standstill {
    /// A process whose tasks are late.
    pub fn with(delays: Delays) -> Self {
        let state = State { delays: Some(delays), ..State::default() };
        Standstill { state: Arc::new(Mutex::new(state)) }
    }

    /// From now on nothing of the process runs.
    pub fn begin(&self) {
        self.state().stands_still = true;
    }

    /// Everything goes on.
    pub fn end(&self) {
        let waiting = {
            let mut state = self.state();
            state.stands_still = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Time goes on. A process that never lets it is found out.
    pub fn time_goes_on(&self) {
        self.state().turns = 0;
    }

    /// Whether nothing of the process runs.
    pub fn is_on(&self) -> bool {
        self.state().stands_still
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a future, and all that it spawns, as one process.
pub fn process<F: Future>(standstill: Standstill, future: F) -> impl Future<Output = F::Output> {
    PROCESS.scope(standstill.clone(), Task { process: standstill, future: Box::pin(future), late: None })
}

/// A future of a process.
struct Task<F> {
    process: Standstill,
    future: Pin<Box<F>>,
    /// Its turn has come, and it waits still.
    late: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Task<F> {
    type Output = F::Output;

    /// # Panics
    ///
    /// If the process does not come to rest.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Task { process, future, late } = &mut *self;
        {
            let mut state = process.state();
            if state.stands_still {
                if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.waiting.push(context.waker().clone());
                }
                return Poll::Pending;
            }
            state.turns += 1;
            assert!(state.turns <= TURNS_MAX, "the tasks of this process keep each other busy for ever");
            if late.is_none()
                && let Some(time) = state.delays.as_mut().and_then(Delays::draw)
            {
                *late = Some(Box::pin(sleep(time)));
                if time.is_zero() {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        if let Some(waits) = late.as_mut() {
            ready!(waits.as_mut().poll(context));
            *late = None;
        }
        future.as_mut().poll(context)
    }
}

/// Tokio, whose tasks belong to the process that starts them, if one does.
#[derive(Debug)]
pub struct ProcessRuntime(TokioRuntime);

impl AsyncRuntime for ProcessRuntime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: Send + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + Send> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <TokioRuntime as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: Send + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        match PROCESS.try_with(Clone::clone) {
            Ok(standstill) => TokioRuntime::spawn(process(standstill, future)),
            Err(_) => TokioRuntime::spawn(future),
        }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        TokioRuntime::thread_rng()
    }

    fn new(threads: usize) -> Self {
        ProcessRuntime(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

#[cfg(all(test, cresset_simulated))]
mod tests {
    use futures_util::FutureExt;
    use rand::SeedableRng;

    use super::*;
    use crate::runtime;

    #[tokio::test]
    async fn what_stands_still_does_nothing_and_then_goes_on() {
        let standstill = Standstill::default();
        let (tell, told) = tokio::sync::oneshot::channel();
        let main = runtime::scope(1, async { runtime::spawn(told).await.expect("the task does not panic") });
        let mut running = Box::pin(process(standstill.clone(), main));
        assert!((&mut running).now_or_never().is_none());

        standstill.begin();
        tell.send(7).expect("the task waits");
        tokio::task::yield_now().await;
        assert!((&mut running).now_or_never().is_none());

        standstill.end();
        assert_eq!(running.await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_is_late_and_is_run_all_the_same() {
        let worst = Duration::from_millis(20);
        let delays = Delays { random: StdRng::seed_from_u64(7), percent: 100, worst };
        let begun = tokio::time::Instant::now();

        let main = runtime::scope(1, async { runtime::spawn(async { 7 }).await.expect("the task does not panic") });
        let answer = process(Standstill::with(delays), main).await;

        assert_eq!(answer, 7);
        assert!((1..=60).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    }
}
