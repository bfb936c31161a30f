//! What the plan does to clients at the moment, as each of them can see it: they carry these faults out themselves.
//!
//! ```text
//! faults/clients.rs ──begins, ends──▶ Weather ◀──asks, waits for a change── client
//! ```
//!
//! The invariant: whoever waits for a change is woken in the order in which he began to wait, whatever runtime he is in.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// The faults of clients that are under way. Clones are the same weather.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    state: Arc<Mutex<State>>,
}

/// What a user may be told to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Trouble {
    /// A second client logs in with his full JID.
    Rival,
    /// His connection breaks right after he has sent something.
    Flapping,
    /// He resumes on two connections at once.
    ResumptionRace,
    /// He does not read.
    SlowReader,
    /// He acknowledges nothing.
    NeverAcknowledges,
}

#[derive(Debug, Default)]
struct State {
    /// How many episodes bring this trouble to this user, by number from 0.
    troubles: BTreeMap<(usize, Trouble), u32>,
    /// How often everybody was thrown off a node so far.
    storms: BTreeMap<String, u64>,
    /// Counts the changes.
    changes: u64,
    waiting: Vec<Waker>,
}

impl Weather {
    /// Whether the user, by number from 0, is in this trouble now.
    pub fn has(&self, user: usize, trouble: Trouble) -> bool {
        self.state().troubles.contains_key(&(user, trouble))
    }

    /// How often every client was thrown off the node so far. Whoever is connected to it when this grows hangs up and
    /// comes back at once.
    pub fn storms(&self, node: &str) -> u64 {
        self.state().storms.get(node).copied().unwrap_or_default()
    }

    /// How often anything has changed.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Waits until [`Weather::changes`] is not `seen` any more.
    pub async fn changed(&self, seen: u64) {
        poll_fn(|context| {
            let mut state = self.state();
            if state.changes != seen {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    pub(super) fn begin(&self, user: usize, trouble: Trouble) {
        self.change(|state| *state.troubles.entry((user, trouble)).or_default() += 1);
    }

    pub(super) fn end(&self, user: usize, trouble: Trouble) {
        self.change(|state| {
            if let Some(episodes) = state.troubles.get_mut(&(user, trouble)) {
                *episodes -= 1;
            }
            state.troubles.retain(|_, episodes| *episodes > 0);
        });
    }

    pub(super) fn storm(&self, node: &str) {
        self.change(|state| *state.storms.entry(node.to_owned()).or_default() += 1);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let waiting = {
            let mut state = self.state();
            change(&mut state);
            state.changes += 1;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
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
    fn a_trouble_lasts_until_the_last_episode_that_brings_it_has_ended() {
        let weather = Weather::default();

        weather.begin(1, Trouble::Flapping);
        weather.begin(1, Trouble::Flapping);
        weather.end(1, Trouble::Flapping);

        assert!(weather.has(1, Trouble::Flapping) && !weather.has(0, Trouble::Flapping));
        weather.end(1, Trouble::Flapping);
        assert!(!weather.has(1, Trouble::Flapping));
    }

    #[test]
    fn who_waits_for_a_change_learns_of_it() {
        let weather = Weather::default();
        let seen = weather.changes();

        assert!(weather.changed(seen).now_or_never().is_none());
        weather.storm("n1");
        assert!(weather.changed(seen).now_or_never().is_some());
        assert_eq!(weather.storms("n1"), 1);
    }
}
