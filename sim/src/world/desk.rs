//! Where operators leave their orders for a node, and where its answers lie until they look.
//!
//! A process that has gone has taken the orders with it that it had taken, as a connection does on which nobody answers any
//! more. An operator does not wait for ever.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cresset_core::node::{Order, Refusal};

/// What a node says to an order; absent if it stopped before.
pub(super) type Outcome = Option<Result<(), Refusal>>;

/// The desk of one node. Clones are the same desk.
#[derive(Clone, Default)]
pub(super) struct Desk(Arc<Mutex<Papers>>);

#[derive(Default)]
struct Papers {
    orders: VecDeque<(u64, Order)>,
    answers: BTreeMap<u64, Outcome>,
}

impl Desk {
    /// An operator leaves an order.
    pub(super) fn give(&self, number: u64, order: Order) {
        self.papers().orders.push_back((number, order));
    }

    /// The node takes the next order.
    pub(super) fn take(&self) -> Option<(u64, Order)> {
        self.papers().orders.pop_front()
    }

    /// The node answers.
    pub(super) fn answer(&self, number: u64, outcome: Outcome) {
        self.papers().answers.insert(number, outcome);
    }

    /// The operator takes the answer, if there is one.
    pub(super) fn answered(&self, number: u64) -> Option<Outcome> {
        self.papers().answers.remove(&number)
    }

    /// The process has gone, and nobody is to find what was left for it.
    pub(super) fn clear(&self) {
        *self.papers() = Papers::default();
    }

    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
