//! Operators, who give orders and do not let go before they are obeyed.
//!
//! ```text
//! drain            ──▶ drain … ───────────────── at the end ──▶ undrain … (until it is done, whatever else is over)
//! transfer-leader  ──▶ transfer …
//! change-times     ──▶ change …
//! remove           ──▶ the machine is lost ──▶ remove … ── at the end ──▶ a new member
//! ```
//!
//! An order is given at one node after the other of those that run, again after each refusal. One operator gives one order
//! of an episode at a time, so what takes it back is never answered before it.

use std::time::Duration;

use cresset_core::node::{Order, Refusal, TimesWanted};

use super::*;

/// How long an operator waits before he tries again.
const AGAIN_AFTER: Duration = Duration::from_millis(300);

/// How long an operator waits for an answer. Longer than a node takes to say that it does not see the order done.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(6);

/// How long after everything is whole an order may still come to pass of which no operator knows what became: the
/// election of a leader, who may have it in its log.
const SETTLED_AFTER: Duration = Duration::from_millis(2500);

/// What the operator of one episode wants.
pub(super) struct Errand {
    /// The node that it is about; absent if it is about all.
    node: Option<usize>,
    /// Absent if there is nothing to want at the moment.
    wish: Option<Wish>,
    given: Option<Given>,
    again_at: Duration,
    /// A drain was ordered of which nobody knows what became, so that what takes it back may come too early.
    is_unclear: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Drained,
    NotDrained,
    Leads,
    Removed,
    Times { lease: Duration, expel_after: Duration },
}

/// An order that is not answered yet.
#[derive(Clone, Copy)]
struct Given {
    number: u64,
    at_node: usize,
    at: Duration,
    wish: Wish,
}

impl Breaker {
    pub(super) fn begin_with_orders(&mut self, sim: &mut Sim<'_>, number: usize, fault: &Fault, node: usize) {
        #[allow(clippy::wildcard_enum_match_arm, reason = "only orders come here")]
        let wish = match fault {
            Fault::Drain { .. } => Wish::Drained,
            Fault::TransferLeader { .. } => Wish::Leads,
            Fault::Remove { .. } => {
                self.kill(sim, node);
                self.empty_disk(node);
                self.processes[node].down_by = Some(number);
                self.undo_later(number, Undo::Start(node));
                Wish::Removed
            }
            Fault::RemoveBlindly { .. } => Wish::Removed,
            _ => return,
        };
        self.begin_to_wish(number, Some(node), wish);
    }

    pub(super) fn begin_with_times(&mut self, number: usize, lease: Duration, expel_after: Duration) {
        self.begin_to_wish(number, None, Wish::Times { lease, expel_after });
    }

    /// The operator of the episode wants this until it is done or the episode ends.
    fn begin_to_wish(&mut self, number: usize, node: Option<usize>, wish: Wish) {
        self.undo_later(number, if wish == Wish::Drained { Undo::Undrain } else { Undo::LetGo });
        let (given, again_at, is_unclear) = (None, Duration::ZERO, false);
        self.errands.insert(number, Errand { node, wish: Some(wish), given, again_at, is_unclear });
    }

    /// A drained node is to have clients again.
    pub(super) fn undrain(&mut self, number: usize) {
        if let Some(errand) = self.errands.get_mut(&number) {
            errand.wish = Some(Wish::NotDrained);
        }
    }

    /// Whatever this episode's operator still wanted is wanted no more.
    pub(super) fn let_go(&mut self, number: usize) {
        self.errands.remove(&number);
    }

    /// Operators look for answers, and give orders.
    pub(super) fn follow_orders(&mut self, now: Duration, heals_at: Duration) {
        let mut errands = std::mem::take(&mut self.errands);
        errands.retain(|_, errand| {
            if let Some(given) = errand.given {
                let Some(outcome) = self.outcome(given, now) else { return true };
                errand.given = None;
                errand.again_at = now + AGAIN_AFTER;
                if errand.hear(given, &outcome, given.at >= heals_at + SETTLED_AFTER) {
                    return false;
                }
            }
            if let Some(wish) = errand.wish.filter(|_| now >= errand.again_at) {
                errand.given = self.give(errand.node, wish, now);
            }
            true
        });
        self.errands = errands;
    }

    /// What has become of an order; absent as long as it may be answered.
    fn outcome(&self, given: Given, now: Duration) -> Option<Result<(), Option<Refusal>>> {
        match self.world.grounds[given.at_node].desk.answered(given.number) {
            Some(Some(outcome)) => Some(outcome.map_err(Some)),
            Some(None) => Some(Err(None)),
            None if !self.processes[given.at_node].is_up() => Some(Err(None)),
            None => (now >= given.at + ANSWER_TIME_MAX).then_some(Err(None)),
        }
    }

    /// Gives an order at the next of the nodes that run.
    fn give(&mut self, node: Option<usize>, wish: Wish, now: Duration) -> Option<Given> {
        let is_asked = |at: &usize| self.runs(*at) && (Some(*at) != node || wish != Wish::Removed);
        let nodes: Vec<usize> = (0..self.processes.len()).filter(is_asked).collect();
        let number = self.orders;
        let turn = usize::try_from(number).unwrap_or_default() % nodes.len().max(1);
        let at_node = *nodes.get(turn)?;
        self.orders += 1;
        let name = node.map(|node| self.world.names[node].clone()).unwrap_or_default();
        let order = match wish {
            Wish::Drained => Order::Drain { name },
            Wish::NotDrained => Order::Undrain { name },
            Wish::Leads => Order::TransferLeader { to: name },
            Wish::Removed => Order::Remove { name },
            Wish::Times { lease, expel_after } => {
                let (lease, expel_after) = (Some(lease), Some(expel_after));
                Order::ChangeTimes(TimesWanted { lease, expel_after, ..TimesWanted::default() })
            }
        };
        self.world.grounds[at_node].desk.give(number, order);
        Some(Given { number, at_node, at: now, wish })
    }
}

impl Errand {
    /// An order was answered, or nobody will answer it: whether that is the end of the errand. `is_settled` says that
    /// nothing that was ordered before can come to pass any more.
    fn hear(&mut self, given: Given, outcome: &Result<(), Option<Refusal>>, is_settled: bool) -> bool {
        match (given.wish, outcome) {
            (Wish::Drained, Err(None | Some(Refusal::NotSeen { .. }))) => self.is_unclear = true,
            (Wish::NotDrained, Ok(())) => return !self.is_unclear || is_settled,
            // Whoever is not known any more has been removed by an order that nobody answered.
            (_, Ok(())) | (Wish::Removed, Err(Some(Refusal::Unknown { .. }))) => {
                self.wish = self.wish.filter(|wish| *wish != given.wish);
            }
            (_, Err(_)) => {}
        }
        false
    }
}
