//! What became of each message of a pair: one byte per number.
//!
//! Invariant: a number is delivered, bounced or acknowledged only if it was sent; a second delivery is a duplicate,
//! never a second message.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most messages of one pair: a byte each.
pub(super) const MESSAGES_MAX: u32 = 100_000_000;

const ACKED: u8 = 1;
const DELIVERED: u8 = 2;
const BOUNCED: u8 = 4;
const OFFLINE: u8 = 8;
const DUPLICATED: u8 = 16;

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// At once.
    Live,
    /// By the offline store: it carries a delay (XEP-0203).
    Stored,
}

/// What a delivery turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The first one of its number.
    First,
    /// Another one of a number that was delivered.
    Duplicate,
    /// Of a number that was never sent.
    Foreign,
}

/// The fate of all messages of a pair.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    fates: Vec<u8>,
    /// In the order in which they went over the stream: what the next acknowledgements are about. `None` stands for
    /// a stanza that is no message.
    unacked: VecDeque<Option<u32>>,
    resolved: u64,
    highest: Option<u32>,
    last_delivery: Option<Instant>,
    /// Deliveries of a number below one that came before.
    pub(super) reordered: u64,
    /// Messages of other runs, or with numbers that were never sent.
    pub(super) foreign: u64,
    /// The longest time without a delivery.
    pub(super) gap: Duration,
}

/// Messages by fate; a message is counted once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fates {
    /// Delivered at once.
    pub(super) delivered: u64,
    /// Delivered by the offline store.
    pub(super) offline: u64,
    /// Came back as an error, and never arrived.
    pub(super) bounced: u64,
    /// None of these.
    pub(super) lost: u64,
}

/// The account of a pair, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Messages that the server acknowledged.
    pub(super) acked: Fates,
    /// The others.
    pub(super) unacked: Fates,
    /// Messages that arrived more than once.
    pub(super) duplicated: u64,
    /// Messages that arrived and came back as an error too.
    pub(super) delivered_and_bounced: u64,
}

impl Ledger {
    /// The number of the next message; `None` when there can be no more.
    pub(super) fn next(&self) -> Option<u32> {
        u32::try_from(self.fates.len()).ok().filter(|number| *number < MESSAGES_MAX)
    }

    /// The next message was written to the stream; `awaits` says that the stream is acknowledged.
    pub(super) fn sent(&mut self, number: u32, awaits: Awaits) {
        self.fates.push(0);
        if awaits == Awaits::Acknowledgement {
            self.unacked.push_back(Some(number));
        }
    }

    /// A stanza that is no message was written to an acknowledged stream.
    pub(super) fn sent_other(&mut self) {
        self.unacked.push_back(None);
    }

    /// The stream is another one: what it has not acknowledged will not be.
    pub(super) fn stream_began(&mut self) {
        self.unacked.clear();
    }

    /// The server acknowledged so many more stanzas.
    pub(super) fn acked(&mut self, stanzas: u32) {
        for _ in 0..stanzas {
            let Some(front) = self.unacked.pop_front() else { return };
            if let Some(fate) = front.and_then(|number| self.fates.get_mut(number as usize)) {
                *fate |= ACKED;
            }
        }
    }

    /// A message arrived.
    pub(super) fn delivered(&mut self, number: u32, way: Way, now: Instant) -> Delivery {
        let Some(fate) = self.fates.get_mut(number as usize) else {
            self.foreign += 1;
            return Delivery::Foreign;
        };
        if let Some(last) = self.last_delivery.replace(now) {
            self.gap = self.gap.max(now.saturating_duration_since(last));
        }
        if *fate & (DELIVERED | OFFLINE) != 0 {
            *fate |= DUPLICATED;
            return Delivery::Duplicate;
        }
        if *fate & BOUNCED == 0 {
            self.resolved += 1;
        }
        *fate |= match way {
            Way::Live => DELIVERED,
            Way::Stored => OFFLINE,
        };
        match self.highest {
            Some(highest) if number < highest => self.reordered += 1,
            Some(_) | None => self.highest = Some(number),
        }
        Delivery::First
    }

    /// A message came back as an error.
    pub(super) fn bounced(&mut self, number: u32) {
        let Some(fate) = self.fates.get_mut(number as usize) else {
            self.foreign += 1;
            return;
        };
        if *fate & (DELIVERED | OFFLINE | BOUNCED) == 0 {
            self.resolved += 1;
        }
        *fate |= BOUNCED;
    }

    /// How many messages have neither arrived nor come back.
    pub(super) fn open(&self) -> u64 {
        self.fates.len() as u64 - self.resolved
    }

    /// Whether an acknowledgement is still expected for a message.
    pub(super) fn awaits_acknowledgement(&self) -> bool {
        self.unacked.iter().any(Option::is_some)
    }

    /// When the last message arrived.
    pub(super) fn last_delivery(&self) -> Option<Instant> {
        self.last_delivery
    }

    /// Adds everything up.
    pub(super) fn account(&self) -> Account {
        let mut account = Account::default();
        for fate in &self.fates {
            let fates = if fate & ACKED != 0 { &mut account.acked } else { &mut account.unacked };
            if fate & OFFLINE != 0 {
                fates.offline += 1;
            } else if fate & DELIVERED != 0 {
                fates.delivered += 1;
            } else if fate & BOUNCED != 0 {
                fates.bounced += 1;
            } else {
                fates.lost += 1;
            }
            account.duplicated += u64::from(fate & DUPLICATED != 0);
            account.delivered_and_bounced += u64::from(fate & BOUNCED != 0 && fate & (DELIVERED | OFFLINE) != 0);
        }
        account
    }
}

/// Whether a stream acknowledges what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaits {
    /// By XEP-0198.
    Acknowledgement,
    /// It does not.
    Nothing,
}

impl Account {
    /// Adds another pair's.
    pub(super) fn add(&mut self, other: &Account) {
        self.acked.add(&other.acked);
        self.unacked.add(&other.unacked);
        self.duplicated += other.duplicated;
        self.delivered_and_bounced += other.delivered_and_bounced;
    }
}

impl Fates {
    /// All of them.
    pub(super) fn total(&self) -> u64 {
        self.delivered + self.offline + self.bounced + self.lost
    }

    fn add(&mut self, other: &Fates) {
        self.delivered += other.delivered;
        self.offline += other.offline;
        self.bounced += other.bounced;
        self.lost += other.lost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_one_fate() {
        let now = Instant::now();
        let mut ledger = sent(6);
        ledger.acked(4);
        assert_eq!(ledger.delivered(0, Way::Live, now), Delivery::First);
        assert_eq!(ledger.delivered(0, Way::Live, now), Delivery::Duplicate);
        assert_eq!(ledger.delivered(4, Way::Stored, now), Delivery::First);
        ledger.bounced(1);
        ledger.bounced(4);
        assert_eq!(ledger.delivered(9, Way::Live, now), Delivery::Foreign);

        let account = ledger.account();

        assert_eq!(account.acked, Fates { delivered: 1, bounced: 1, lost: 2, ..Fates::default() });
        assert_eq!(account.unacked, Fates { offline: 1, lost: 1, ..Fates::default() });
        assert_eq!((account.duplicated, account.delivered_and_bounced, ledger.foreign), (1, 1, 1));
        assert_eq!(ledger.open(), 3);
    }

    #[test]
    fn a_late_message_is_reordered_and_a_duplicate_is_not() {
        let now = Instant::now();
        let mut ledger = sent(3);

        for number in [0, 2, 1, 2] {
            ledger.delivered(number, Way::Live, now);
        }

        assert_eq!((ledger.reordered, ledger.account().duplicated), (1, 1));
    }

    /// Presence and declined requests count for the server's `h`; without a place for them the wrong messages
    /// would be called acknowledged.
    #[test]
    fn other_stanzas_take_their_place_among_the_acknowledged() {
        let mut ledger = Ledger::default();
        ledger.sent_other();
        ledger.sent(0, Awaits::Acknowledgement);
        ledger.sent(1, Awaits::Acknowledgement);

        ledger.acked(2);

        assert_eq!((ledger.account().acked.total(), ledger.account().unacked.total()), (1, 1));
        assert!(ledger.awaits_acknowledgement());
        ledger.acked(100);
        assert!(!ledger.awaits_acknowledgement());
    }

    #[test]
    fn the_gap_is_the_longest_time_between_two_deliveries() {
        let begin = Instant::now();
        let mut ledger = sent(3);

        for (number, millis) in [(0, 50), (1, 450), (2, 500)] {
            ledger.delivered(number, Way::Live, begin + Duration::from_millis(millis));
        }

        assert_eq!(ledger.gap, Duration::from_millis(400));
    }

    fn sent(count: u32) -> Ledger {
        let mut ledger = Ledger::default();
        for number in 0..count {
            ledger.sent(number, Awaits::Acknowledgement);
        }
        ledger
    }
}
