//! Something that whoever comes has to wait at while it is closed.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// A gate, open at first. It is closed while anybody keeps it closed. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    keepers: u32,
    waiting: Vec<Waker>,
}

impl Gate {
    /// Keeps it closed until [`Gate::open`] is called as often as this.
    pub fn close(&self) {
        self.state().keepers += 1;
    }

    /// Takes one [`Gate::close`] back.
    pub fn open(&self) {
        let waiting = {
            let mut state = self.state();
            state.keepers = state.keepers.saturating_sub(1);
            if state.keepers > 0 {
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until it is open. Those who wait go on in the order in which they came.
    pub async fn pass(&self) {
        poll_fn(|context| {
            let mut state = self.state();
            if state.keepers == 0 {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn it_is_closed_until_nobody_keeps_it_closed() {
        let gate = Gate::default();

        gate.close();
        gate.close();
        gate.open();
        assert!(gate.pass().now_or_never().is_none());
        gate.open();

        assert!(gate.pass().now_or_never().is_some());
    }
}
