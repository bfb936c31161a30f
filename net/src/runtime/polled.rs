//! Whether this thread runs the code of a task, or only drops what is left of one.
//!
//! A future is dropped in the middle whenever its runtime ends, its process is killed in a simulation, or somebody gives
//! the task up; what it owns is dropped with it, and nobody is to blame. A value that must not be dropped by the code that
//! works with it asks [`is_working`], which tells the two apart: tokio drops the future of a task outside of its poll.
//!
//! Only tasks that are [`polled`] count. It costs two writes to a cell of the thread for each poll.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    static IS_WORKING: Cell<bool> = const { Cell::new(false) };
}

/// A task whose code answers for what it drops.
pub(crate) struct Polled<F> {
    future: Pin<Box<F>>,
}

/// Runs a future as such a task.
pub(crate) fn polled<F: Future>(future: F) -> Polled<F> {
    Polled { future: Box::pin(future) }
}

/// Whether the code of such a task runs on this thread.
pub(crate) fn is_working() -> bool {
    // A thread that ends may drop something after its cells.
    IS_WORKING.try_with(Cell::get).unwrap_or(false)
}

/// Drops what the code of a task cannot see to any more, because its node is over.
pub(crate) fn abandon<T>(left: T) {
    let _restored = Restored::after(false);
    drop(left);
}

impl<F: Future> Future for Polled<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _restored = Restored::after(true);
        self.future.as_mut().poll(context)
    }
}

/// Puts back what was so before, also after a panic.
struct Restored(bool);

impl Restored {
    /// From here on that is so.
    fn after(is_working: bool) -> Restored {
        Restored(IS_WORKING.replace(is_working))
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        IS_WORKING.set(self.0);
    }
}
