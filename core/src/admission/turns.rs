//! Whose work is done next, when there is more of it than can be done at once.
//!
//! Each payer, an account or the place that strangers come from, has a queue of its own and pays for what is done for it:
//! next is the one that has paid least. So whoever asks for much waits for himself, and whoever asks for little waits for
//! one piece of work of each other payer at most (start-time fair queueing: Goyal, Vin, Cheng, SIGCOMM 1996).
//!
//! Bounded by who asks: everybody has one piece of work here at a time, and what nobody waits for any more is taken out by
//! [`Turns::retain`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Pieces of work that wait for their turn.
#[derive(Debug)]
pub struct Turns<P, W> {
    queues: BTreeMap<P, Queue<W>>,
    /// Those for whom something waits, by what they have paid.
    next: BTreeSet<(u64, P)>,
    /// The others that have paid more than those.
    ahead: BTreeSet<(u64, P)>,
    /// What the one had paid whose turn was last: with less nobody begins, or one that was silent for long could keep all
    /// others waiting.
    paid: u64,
}

#[derive(Debug)]
struct Queue<W> {
    paid: u64,
    /// With the price of each.
    works: VecDeque<(u64, W)>,
}

impl<P, W> Default for Turns<P, W> {
    fn default() -> Self {
        Turns { queues: BTreeMap::new(), next: BTreeSet::new(), ahead: BTreeSet::new(), paid: 0 }
    }
}

impl<P: Ord + Clone, W> Turns<P, W> {
    /// Somebody asks for work of this price.
    pub fn push(&mut self, payer: P, price: u64, work: W) {
        let queue = self.queues.entry(payer.clone()).or_insert(Queue { paid: self.paid, works: VecDeque::new() });
        if queue.works.is_empty() {
            self.ahead.remove(&(queue.paid, payer.clone()));
            queue.paid = queue.paid.max(self.paid);
            self.next.insert((queue.paid, payer));
        }
        queue.works.push_back((price, work));
    }

    /// The work whose turn it is.
    pub fn pop(&mut self) -> Option<W> {
        let (paid, payer) = self.next.pop_first()?;
        self.paid = paid;
        let queue = self.queues.get_mut(&payer)?;
        let (price, work) = queue.works.pop_front()?;
        queue.paid = paid.saturating_add(price);
        let still = if queue.works.is_empty() { &mut self.ahead } else { &mut self.next };
        still.insert((queue.paid, payer));
        self.forget();
        Some(work)
    }

    /// How much waits for this one.
    pub fn waiting(&self, payer: &P) -> usize {
        self.queues.get(payer).map_or(0, |queue| queue.works.len())
    }

    /// Takes out what is not wanted of what waits for this one.
    pub fn retain(&mut self, payer: &P, is_wanted: impl Fn(&W) -> bool) {
        let Some(queue) = self.queues.get_mut(payer) else { return };
        queue.works.retain(|(_, work)| is_wanted(work));
        if queue.works.is_empty() && self.next.remove(&(queue.paid, payer.clone())) {
            self.ahead.insert((queue.paid, payer.clone()));
        }
        self.forget();
    }

    /// Forgets those that are not ahead of the others any more. All of them once nothing waits.
    fn forget(&mut self) {
        while self.ahead.first().is_some_and(|(paid, _)| *paid <= self.paid || self.next.is_empty()) {
            if let Some((_, payer)) = self.ahead.pop_first() {
                self.queues.remove(&payer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O5: a flood from one place, and somebody else with one log-in.
    #[test]
    fn one_who_asks_for_little_is_served_among_the_first_of_a_flood() {
        let mut turns = Turns::default();
        (0..1000).for_each(|number| turns.push(1, 10, ("flood", number)));
        for number in 0..5 {
            assert_eq!(turns.pop(), Some(("flood", number)));
        }

        turns.push(2, 10, ("honest", 0));

        let next: Vec<_> = (0..2).filter_map(|_| turns.pop()).map(|(who, _)| who).collect();
        assert!(next.contains(&"honest"), "{next:?}");
    }

    #[test]
    fn dear_work_is_paid_for() {
        let mut turns = Turns::default();
        for _ in 0..100 {
            turns.push(1, 60, "dear");
            turns.push(2, 1, "cheap");
        }

        let first: Vec<_> = (0..50).filter_map(|_| turns.pop()).collect();

        assert!(first.iter().filter(|work| **work == "dear").count() <= 2, "{first:?}");
    }

    /// One piece of work at a time, each asked for when the last one is done: nobody gets ahead by that.
    #[test]
    fn one_who_comes_back_at_once_has_not_forgotten_what_it_has_paid() {
        let mut turns = Turns::default();
        (0..100).for_each(|_| turns.push(2, 1, "cheap"));
        turns.push(1, 60, "dear");
        let mut done = Vec::new();
        for _ in 0..40 {
            let work = turns.pop().expect("there is work");
            if work == "dear" {
                turns.push(1, 60, "dear");
            }
            done.push(work);
        }

        assert_eq!(done.iter().filter(|work| **work == "dear").count(), 1, "{done:?}");
    }

    #[test]
    fn each_is_served_in_his_own_order_and_nothing_is_kept() {
        let mut turns = Turns::default();
        for number in 0..30_u8 {
            turns.push(number % 3, 1, number);
        }

        let mut all: Vec<u8> = std::iter::from_fn(|| turns.pop()).collect();

        for payer in 0..3 {
            let of_one: Vec<u8> = all.iter().copied().filter(|number| number % 3 == payer).collect();
            assert!(of_one.is_sorted(), "{of_one:?}");
        }
        all.sort_unstable();
        assert_eq!(all, (0..30).collect::<Vec<_>>());
        assert!(turns.queues.is_empty() && turns.next.is_empty() && turns.ahead.is_empty());
    }

    #[test]
    fn what_is_not_wanted_any_more_is_taken_out() {
        let mut turns = Turns::default();
        for number in 0..10 {
            turns.push(1, 1, number);
            turns.push(2, 1, number);
        }

        turns.retain(&1, |number| number % 5 == 0);
        turns.retain(&2, |_| false);
        turns.retain(&3, |_| false);

        assert_eq!((turns.waiting(&1), turns.waiting(&2)), (2, 0));
        assert_eq!(std::iter::from_fn(|| turns.pop()).collect::<Vec<_>>(), [0, 5]);
        assert!(turns.queues.is_empty() && turns.next.is_empty() && turns.ahead.is_empty());
    }
}
