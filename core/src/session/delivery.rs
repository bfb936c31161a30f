//! Stanzas for the client: those that wait to be written, and those that are written and not settled.
//!
//! ```text
//! parcel ─▶ waiting ─▶ unsettled ─▶ settled: acknowledged, or written to a client that does not acknowledge
//!              └───────────┴──────▶ returned: the session ends
//! ```
//!
//! Everything that is written stands in `unsettled`, the server's own answers too, because the client counts them
//! (XEP-0198 section 4). The queue is bounded; at the bound the session ends.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::limits::{SESSION_QUEUE_BYTES_MAX, SESSION_QUEUE_STANZAS_MAX};
use crate::routing::{Home, Turn, may_go_elsewhere};
use crate::stanza::{IqType, Kind, MessageType, PresenceType, Stanza};

/// A stanza for the client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Delivery {
    /// What is written.
    pub(super) stanza: Stanza,
    /// Who answers for it; absent for the session's own answers, which nobody misses when the session is gone.
    pub(super) home: Option<Home>,
}

impl Delivery {
    fn weight(&self) -> usize {
        self.stanza.weight()
    }

    /// This node answers for it from here on: gives its home until then.
    fn adopt(&mut self) -> Option<Home> {
        self.home.replace(Home::Here { turn: Turn::default() })
    }

    /// Whether it may be what the client gets in the place of something it has said: nobody else answers for it.
    fn is_answer(&self) -> bool {
        match self.home {
            None => true,
            Some(Home::Here { .. } | Home::Named { .. }) => is_error(self.stanza.kind),
            Some(Home::Member { .. } | Home::Offline { .. }) => false,
        }
    }
}

/// The client claims to have handled more than it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooHigh {
    /// How many it was sent.
    pub(super) sent: u32,
}

/// Everything on its way to one client.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Deliveries {
    waiting: VecDeque<Delivery>,
    /// How many in `waiting` are [answers](Delivery::is_answer).
    answers_waiting: usize,
    unsettled: VecDeque<Delivery>,
    /// How many at the front of `unsettled` were written before the client asked for acknowledgements, and are settled
    /// by being written, or by its resumption.
    uncounted: usize,
    /// The weight of `waiting` and `unsettled`.
    bytes: usize,
    /// What the client is to be told it was sent; absent if it does not acknowledge. Wraps.
    sent: Option<u32>,
    /// What the client has acknowledged. Wraps.
    acknowledged: u32,
}

impl Deliveries {
    /// Keeps a delivery until the client may get it.
    pub(super) fn wait(&mut self, delivery: Delivery) {
        self.bytes += delivery.weight();
        self.answers_waiting += usize::from(delivery.is_answer());
        self.waiting.push_back(delivery);
    }

    /// The delivery that has waited longest.
    pub(super) fn next_waiting(&mut self) -> Option<Delivery> {
        let delivery = self.waiting.pop_front()?;
        self.bytes -= delivery.weight();
        self.answers_waiting -= usize::from(delivery.is_answer());
        Some(delivery)
    }

    /// Whether any delivery waits.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether any delivery waits that may be an answer to the client.
    pub(super) fn has_answer_waiting(&self) -> bool {
        self.answers_waiting > 0
    }

    /// How many deliveries wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Enters a delivery that is written.
    pub(super) fn written(&mut self, delivery: Delivery) {
        self.bytes += delivery.weight();
        self.unsettled.push_back(delivery);
        match &mut self.sent {
            Some(sent) => *sent = sent.wrapping_add(1),
            None => self.uncounted += 1,
        }
    }

    /// From the next delivery on the client acknowledges.
    pub(super) fn begin(&mut self) {
        self.sent = Some(0);
    }

    /// How many stanzas the client was sent since it asked for acknowledgements.
    pub(super) fn sent(&self) -> u32 {
        self.sent.unwrap_or_default()
    }

    /// Whether anything would be decided again if the session ended now. What is stored stays where it is.
    pub(super) fn owes(&self) -> bool {
        let is_owed = |delivery: &Delivery| match delivery.home {
            Some(Home::Here { .. } | Home::Named { .. } | Home::Member { .. }) => true,
            Some(Home::Offline { .. }) | None => false,
        };
        self.unsettled.iter().chain(&self.waiting).any(is_owed)
    }

    /// Whether the client has not acknowledged all that it was sent.
    pub(super) fn awaits_acknowledgement(&self) -> bool {
        self.sent.is_some_and(|sent| sent != self.acknowledged)
    }

    /// This many of the oldest deliveries are on the socket: gives those homes for which that settles them.
    pub(super) fn settle_written(&mut self, count: usize) -> Vec<Home> {
        let settled = count.min(self.uncounted);
        self.uncounted -= settled;
        self.take(settled)
    }

    /// The client says how many stanzas it has handled: gives the homes of those that this settles.
    pub(super) fn acknowledge(&mut self, handled: u32) -> Result<Vec<Home>, TooHigh> {
        let fresh = handled.wrapping_sub(self.acknowledged);
        let counted = self.unsettled.len() - self.uncounted;
        match usize::try_from(fresh) {
            Ok(fresh) if fresh <= counted => {
                // What was written before the client began to count came before what it has handled.
                let settled = if fresh > 0 { std::mem::take(&mut self.uncounted) + fresh } else { 0 };
                self.acknowledged = handled;
                Ok(self.take(settled))
            }
            Ok(_) | Err(_) => Err(TooHigh { sent: self.sent() }),
        }
    }

    /// The client resumes: gives the homes of what it was sent before it began to count. It knows by what to resume, which
    /// it was told after that.
    pub(super) fn settle_uncounted(&mut self) -> Vec<Home> {
        let settled = std::mem::take(&mut self.uncounted);
        self.take(settled)
    }

    /// The node answers by itself from here on for what other members had handed to it and is written: gives their homes.
    pub(super) fn adopt_written(&mut self) -> Vec<Home> {
        let theirs = self.unsettled.iter_mut().filter(|delivery| is_of_a_member(delivery));
        theirs.filter_map(Delivery::adopt).collect()
    }

    /// Forgets what waits and other members decide about again. What is of no use to anybody else they have forgotten: it
    /// is for this client, or it would be told later that somebody is gone of whom it was not told that he is there.
    pub(super) fn leave_to_members(&mut self) {
        self.waiting.retain_mut(|delivery| {
            if !is_of_a_member(delivery) {
                return true;
            }
            let stays = !may_go_elsewhere(&delivery.stanza);
            if stays {
                delivery.adopt();
            } else {
                self.bytes -= delivery.weight();
            }
            stays
        });
    }

    /// What was written and not settled, the oldest first.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = &Delivery> {
        self.unsettled.iter()
    }

    /// Takes everything out, the oldest first.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Delivery> + use<> {
        (self.bytes, self.answers_waiting) = (0, 0);
        self.uncounted = 0;
        self.acknowledged = self.sent();
        std::mem::take(&mut self.unsettled).into_iter().chain(std::mem::take(&mut self.waiting))
    }

    /// The weight of everything that is on its way to the client.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether more waits for the client than may.
    pub(super) fn is_overfull(&self) -> bool {
        self.unsettled.len() + self.waiting.len() > SESSION_QUEUE_STANZAS_MAX || self.bytes > SESSION_QUEUE_BYTES_MAX
    }

    /// Whether so much waits for the client that what is not urgent should wait elsewhere.
    pub(super) fn is_half_full(&self) -> bool {
        self.unsettled.len() + self.waiting.len() > SESSION_QUEUE_STANZAS_MAX / 2
            || self.bytes > SESSION_QUEUE_BYTES_MAX / 2
    }

    /// Gives back memory that a burst needed.
    pub(super) fn shrink(&mut self) {
        if self.unsettled.is_empty() && self.waiting.is_empty() {
            self.unsettled = VecDeque::new();
            self.waiting = VecDeque::new();
        }
    }

    /// What the empty queues hold on to.
    #[cfg(test)]
    pub(super) fn capacity_bytes(&self) -> usize {
        (self.unsettled.capacity() + self.waiting.capacity()) * std::mem::size_of::<Delivery>()
    }

    fn take(&mut self, count: usize) -> Vec<Home> {
        let mut homes = Vec::with_capacity(count);
        for delivery in self.unsettled.drain(..count) {
            self.bytes -= delivery.weight();
            homes.extend(delivery.home);
        }
        homes
    }
}

fn is_error(kind: Kind) -> bool {
    matches!(kind, Kind::Message(MessageType::Error) | Kind::Presence(PresenceType::Error) | Kind::Iq(IqType::Error))
}

fn is_of_a_member(delivery: &Delivery) -> bool {
    matches!(delivery.home, Some(Home::Member { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, MemberId, RouteId, Sequence};

    #[test]
    fn what_the_client_acknowledges_is_settled_in_order() {
        let mut deliveries = Deliveries::default();
        deliveries.begin();
        (1..=3).for_each(|key| deliveries.written(delivery(key)));

        assert_eq!(deliveries.acknowledge(2), Ok(vec![home(1), home(2)]));
        assert_eq!(deliveries.acknowledge(2), Ok(vec![]));
        assert_eq!(deliveries.acknowledge(3), Ok(vec![home(3)]));
        assert!(!deliveries.awaits_acknowledgement());
    }

    #[test]
    fn an_acknowledgement_of_what_was_not_sent_settles_nothing() {
        let mut deliveries = Deliveries::default();
        deliveries.begin();
        deliveries.written(delivery(1));

        assert_eq!(deliveries.acknowledge(2), Err(TooHigh { sent: 1 }));
        assert_eq!(deliveries.acknowledge(u32::MAX), Err(TooHigh { sent: 1 }));
        assert_eq!(deliveries.acknowledge(1), Ok(vec![home(1)]));
    }

    #[test]
    fn an_acknowledgement_that_goes_back_is_one_of_what_was_not_sent() {
        let mut deliveries = Deliveries::default();
        deliveries.begin();
        (1..=2).for_each(|key| deliveries.written(delivery(key)));
        assert!(deliveries.acknowledge(2).is_ok());

        assert_eq!(deliveries.acknowledge(1), Err(TooHigh { sent: 2 }));
    }

    #[test]
    fn counts_wrap_at_two_to_the_thirty_second() {
        let mut deliveries = Deliveries { sent: Some(u32::MAX), acknowledged: u32::MAX, ..Deliveries::default() };
        (1..=2).for_each(|key| deliveries.written(delivery(key)));

        assert_eq!(deliveries.acknowledge(0), Ok(vec![home(1)]));
        assert_eq!(deliveries.acknowledge(1), Ok(vec![home(2)]));
    }

    #[test]
    fn what_was_written_before_counting_began_is_settled_by_being_written() {
        let mut deliveries = Deliveries::default();
        deliveries.written(delivery(1));
        deliveries.begin();
        deliveries.written(delivery(2));

        assert_eq!(deliveries.settle_written(2), vec![home(1)]);
        assert_eq!(deliveries.acknowledge(1), Ok(vec![home(2)]));
    }

    #[test]
    fn bytes_are_counted_until_they_are_settled() {
        let mut deliveries = Deliveries::default();
        deliveries.begin();
        deliveries.wait(delivery(1));
        let waited = deliveries.next_waiting().expect("one waits");
        deliveries.written(waited);
        assert!(deliveries.bytes > 0);

        deliveries.acknowledge(1).expect("one was sent");

        assert_eq!(deliveries.bytes, 0);
    }

    #[test]
    fn what_is_written_is_adopted_and_what_waits_is_left_to_its_member() {
        let theirs = |number| {
            let (member, incarnation) = (MemberId(2), Incarnation(9));
            let home = Home::Member { member, incarnation, number: Sequence(number) };
            Delivery { home: Some(home), ..delivery(0) }
        };
        let mut deliveries = Deliveries::default();
        deliveries.begin();
        deliveries.written(theirs(1));
        deliveries.wait(theirs(2));
        deliveries.wait(delivery(3));

        assert_eq!(deliveries.adopt_written(), [theirs(1).home.expect("a member's")]);
        deliveries.leave_to_members();

        assert_eq!(deliveries.adopt_written(), []);
        assert_eq!(deliveries.acknowledge(1), Ok(vec![Home::Here { turn: Turn::default() }]));
        assert_eq!(deliveries.next_waiting(), Some(delivery(3)));
        assert!(!deliveries.has_waiting());
        assert_eq!(deliveries.bytes, 0);
    }

    fn home(key: i64) -> Home {
        Home::Offline { key, claimant: RouteId::default() }
    }

    fn delivery(key: i64) -> Delivery {
        Delivery { stanza: Stanza::new(Kind::Message(MessageType::Chat)), home: Some(home(key)) }
    }
}
