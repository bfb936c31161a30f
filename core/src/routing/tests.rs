//! An outbox and an inbox with an unreliable connection between them.

#![allow(clippy::unwrap_used)]

pub(super) mod shown;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::ids::{BootId, Incarnation, LogIndex, MemberId, RouteId, Sequence};
use crate::limits::ANSWERS_TOGETHER_MAX;
use crate::stanza::{Kind, MessageType, Stanza};
use crate::wire::LinkFormat;

const HOME: BootId = BootId(10);
const OWNER: BootId = BootId(20);
/// What the outbox of a test may keep that is to become full.
const BYTES_MAX: usize = 8 * 1024 * 1024;
const ROUTE: RouteId = RouteId { index: LogIndex(7), position: 0 };

#[test]
fn a_sender_is_told_once_and_only_after_the_owner_has_the_stanza() {
    let mut pair = Pair::connected();

    pair.send(1, ROUTE);
    pair.outbox_speaks();
    assert!(pair.handled.is_empty());
    pair.settle_everywhere();
    pair.exchange();

    assert_eq!(pair.handled, [1]);
    assert!(pair.outbox.is_empty());
}

#[test]
fn what_was_lost_with_a_connection_is_sent_again_and_delivered_once() {
    let mut pair = Pair::connected();
    pair.send(1, ROUTE);
    pair.exchange();
    pair.send(2, ROUTE);
    pair.outbox_speaks();
    pair.disconnect();
    pair.send(3, ROUTE);

    pair.connect();
    pair.exchange();

    assert_eq!(pair.delivered, [1, 2, 3]);
    assert_eq!(pair.handled, [1, 2, 3]);
}

#[test]
fn an_answer_that_was_lost_with_a_connection_is_asked_for() {
    let mut pair = Pair::connected();
    pair.send(1, ROUTE);
    pair.exchange();
    pair.settle_everywhere();
    pair.disconnect();

    pair.connect();
    pair.exchange();

    assert!(pair.outbox.is_empty());
    assert!(pair.inbox.is_idle());
}

/// Otherwise the home would choose the route that the owner has just told it is gone.
#[test]
fn a_returned_parcel_waits_until_the_home_knows_as_much_as_the_owner() {
    let mut pair = Pair::connected();
    pair.send(1, ROUTE);
    pair.exchange();

    pair.give_back(1, 9);
    pair.exchange();
    assert!(pair.redecided.is_empty());
    pair.outbox.applied(LogIndex(9));
    pair.exchange();

    assert_eq!(pair.redecided, [1]);
    assert_eq!(pair.inbox.home_gone(), [], "confirmed, so the owner's copy is gone");
}

/// The home dies after it was given the parcel back and before it was in other hands.
#[test]
fn a_returned_parcel_that_nobody_confirmed_is_decided_by_the_owner_when_the_home_dies() {
    let mut pair = Pair::connected();
    pair.send(1, ROUTE);
    pair.exchange();
    pair.give_back(1, 9);
    pair.exchange();

    let orphans = pair.inbox.home_gone();

    assert_eq!(orphans.iter().map(|orphan| text(&orphan.parcel.stanza)).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_lost_confirmation_is_given_again() {
    let mut pair = Pair::connected();
    pair.outbox.applied(LogIndex(9));
    pair.send(1, ROUTE);
    pair.exchange();
    pair.give_back(1, 9);
    pair.inbox_speaks();
    pair.obey_outbox();
    pair.disconnect();

    pair.connect();
    pair.exchange();

    assert_eq!(pair.redecided, [1]);
    assert_eq!(pair.inbox.home_gone(), []);
}

#[test]
fn what_is_not_settled_when_the_peer_dies_is_decided_again_in_order() {
    let mut pair = Pair::connected();
    for number in 1..=5 {
        pair.send(number, ROUTE);
    }
    pair.exchange();
    pair.settle(2);
    pair.give_back(4, 100);
    pair.exchange();
    pair.send(6, ROUTE);

    pair.outbox.peer_gone();
    pair.send(7, ROUTE);
    pair.obey_outbox();

    assert_eq!(pair.redecided, [1, 3, 4, 5, 6, 7]);
    assert_eq!(pair.handled, [1, 2, 3, 4, 5]);
}

#[test]
fn nobody_passes_while_a_stanza_is_under_way_on_the_route() {
    let mut pair = Pair::connected();
    let other = RouteId { index: LogIndex(8), position: 0 };
    pair.send(1, ROUTE);
    pair.exchange();

    pair.outbox.pass(ROUTE, "behind");
    pair.outbox.pass(other, "free");
    pair.obey_outbox();
    assert_eq!(pair.passed, ["free"]);
    pair.give_back(1, 9);
    pair.outbox.applied(LogIndex(9));
    pair.exchange();

    assert_eq!(pair.passed, ["free", "behind"]);
}

#[test]
fn a_stalled_peer_makes_senders_wait_and_a_slow_client_does_not() {
    let mut pair = Pair::connected();
    for number in 1..=crate::limits::OUTBOX_UNTAKEN_PARCELS_MAX {
        pair.send(number, ROUTE);
    }
    assert!(pair.outbox.is_full());

    pair.exchange();

    assert!(!pair.outbox.is_full(), "all taken, none settled");
}

/// O9. Eight hibernated sessions filled the lane, and everybody else waited for the rest of five minutes.
#[test]
fn accounts_that_do_not_acknowledge_fill_the_outbox_for_themselves_only() {
    let mut pair = Pair::connected_within(BYTES_MAX);
    let mut sent = 0;

    for account in (1..=100).flat_map(|_| 1..=100) {
        sent += 1;
        pair.send_large(sent, Some(sent), account);
        pair.exchange();
        assert!(!pair.outbox.is_full());
    }
    let (handled, refused) = (pair.handled.len(), pair.refused);
    pair.send_large(sent + 1, Some(sent + 1), 101);
    pair.exchange();

    assert!(handled > 1000 && refused > 5000, "{handled} {refused}");
    assert_eq!((pair.handled.len(), pair.refused), (handled + 1, refused), "one more account has room");
}

/// O9. What the sender's client was told to be in good hands is not given back to it.
#[test]
fn a_stanza_that_was_accepted_is_never_refused() {
    let mut pair = Pair::connected_within(BYTES_MAX);

    (1..=500).for_each(|number| pair.send_large(number, None, 1));
    pair.exchange();

    assert_eq!((pair.refused, pair.outbox.len()), (0, 500));
}

/// O9. The weight of what is forgotten is given back, whichever way it goes.
#[test]
fn an_account_has_its_whole_share_again_when_everything_is_settled_or_came_back() {
    let mut pair = Pair::connected_within(BYTES_MAX);
    let most = BYTES_MAX / crate::limits::OUTBOX_ACCOUNT_SHARE / 5000;

    for round in 0..4 {
        for number in 1..=most as u64 / 2 {
            pair.send_large(round * 1000 + number, Some(number), 1);
        }
        pair.exchange();
        assert_eq!(pair.refused, 0);
        if round % 2 == 1 {
            pair.outbox.applied(LogIndex(10));
            pair.held.keys().copied().collect::<Vec<_>>().into_iter().for_each(|number| pair.give_back(number, 10));
        } else {
            pair.settle_everywhere();
        }
        pair.exchange();
        assert!(pair.outbox.is_empty());
    }
}

/// The sender's node is expelled twice before it gets through. Its third life must not call the stanza by another name.
#[test]
fn a_stanza_that_was_decided_about_again_keeps_its_first_name() {
    let first = StanzaName { home: HOME, owner: OWNER, number: Sequence(1) };
    let mut name = None;
    for home in [HOME, BootId(11), BootId(12)] {
        let mut outbox: Outbox<u64, &str> = Outbox::new(home, OWNER);
        outbox.send(None, ROUTE, Stanza::new(Kind::Message(MessageType::Chat)), 0, name, Turn(0));
        outbox.peer_gone();
        let Some(OutboxOrder::Redecide(redecide)) = outbox.poll_order() else { panic!("it is decided again") };
        name = redecide.name;
        assert_eq!(name, Some(first));
    }
}

/// The home is expelled, decides again in its next life, and the owner decides as well: both by the same name.
#[test]
fn an_orphan_has_the_name_by_which_its_home_decides_again() {
    let mut pair = Pair::connected();
    pair.send(1, ROUTE);
    pair.exchange();
    pair.give_back(1, 9);
    let orphans = pair.inbox.home_gone();

    pair.outbox.peer_gone();
    let Some(OutboxOrder::Redecide(redecide)) = pair.outbox.poll_order() else { panic!("it is decided again") };

    assert_eq!(redecide.name, Some(orphans[0].name));
}

/// Of two sessions that were given a copy each one ends: its copy is for whoever has none.
#[test]
fn a_copy_that_comes_back_goes_to_nobody_who_has_one() {
    let name = StanzaName { home: HOME, owner: HOME, number: Sequence(1) };
    let other = RouteId { index: LogIndex(8), position: 0 };
    let mut arrivals = Arrivals::new(OWNER);
    let mut inbox = Inbox::new(MemberId(1), Incarnation(1), HOME, OWNER);
    let copy = |number, route| {
        let stanza = Stanza::new(Kind::Message(MessageType::Chat));
        DataFrame::Parcel {
            number: Sequence(number),
            destination: Destination::Session(route),
            stanza,
            name: Some(name),
        }
    };
    let Received::Deliver(gone) = inbox.handle_frame(copy(1, ROUTE), &mut arrivals) else { panic!("it is new") };
    assert!(matches!(inbox.handle_frame(copy(2, other), &mut arrivals), Received::Deliver(_)));

    assert_eq!(inbox.give_back(Sequence(1), LogIndex(9), gone, &mut arrivals), None);

    assert_eq!(inbox.handle_frame(copy(3, other), &mut arrivals), Received::Nothing);
    assert!(matches!(inbox.handle_frame(copy(4, ROUTE), &mut arrivals), Received::Deliver(_)), "it may come again");
}

#[test]
fn a_number_that_is_missing_is_noticed_and_one_that_is_repeated_ignored() {
    let mut inbox = Inbox::new(MemberId(1), Incarnation(1), HOME, OWNER);
    let nudge = |number| DataFrame::Nudge { number: Sequence(number), route: ROUTE };

    assert_eq!(inbox.handle_frame(nudge(1), &mut Arrivals::new(OWNER)), Received::Nudge(ROUTE));
    assert_eq!(inbox.handle_frame(nudge(1), &mut Arrivals::new(OWNER)), Received::Nothing);
    assert_eq!(inbox.handle_frame(nudge(3), &mut Arrivals::new(OWNER)), Received::Gap);
}

/// The home is of a later program. It has its stanza back, and decides what to do without that kind of destination.
#[test]
fn a_parcel_for_an_unknown_kind_of_destination_is_given_back() {
    let mut inbox = Inbox::new(MemberId(1), Incarnation(1), HOME, OWNER);
    let mut arrivals = Arrivals::new(OWNER);
    inbox.link_up();
    assert_eq!(inbox.poll_answer(), Some(DataAnswer::Taken { upto: Sequence(0) }));
    let stanza = Stanza::new(Kind::Message(MessageType::Chat));
    let (number, destination) = (Sequence(1), Destination::Unknown(200));

    let received = inbox.handle_frame(DataFrame::Parcel { number, destination, stanza, name: None }, &mut arrivals);
    let Received::Unknown(parcel) = received else { panic!("nobody here is of that kind") };
    assert_eq!(inbox.give_back(number, LogIndex(9), parcel, &mut arrivals), None);

    assert_eq!(inbox.poll_answer(), Some(DataAnswer::Taken { upto: number }));
    let ranges = vec![NumberRange { first: number, last: number }];
    assert_eq!(inbox.poll_answer(), Some(DataAnswer::Returned { ranges, index: LogIndex(9) }));
    assert_eq!(inbox.home_gone().len(), 1, "until the home has it in other hands it is kept here");
}

/// What tells the home only that it may forget a copy waits for company, and what comes back does not.
#[test]
fn answers_wait_for_others_unless_something_comes_back_or_there_is_much() {
    let mut inbox = Inbox::new(MemberId(1), Incarnation(1), HOME, OWNER);
    let mut arrivals = Arrivals::new(OWNER);
    let answered = |inbox: &mut Inbox| std::iter::from_fn(|| inbox.poll_answer()).count();
    let mut take = |inbox: &mut Inbox, number: usize| {
        let (number, destination) = (Sequence(number as u64), Destination::Session(ROUTE));
        let stanza = Stanza::new(Kind::Message(MessageType::Chat));
        let received = inbox.handle_frame(DataFrame::Parcel { number, destination, stanza, name: None }, &mut arrivals);
        let Received::Deliver(parcel) = received else { panic!("{received:?}") };
        parcel
    };
    inbox.link_up();
    assert_eq!(inbox.answers_due(), AnswersDue::Now, "the home waits for where to go on");
    assert_eq!(answered(&mut inbox), 1);
    assert_eq!(inbox.answers_due(), AnswersDue::Never);

    take(&mut inbox, 1);
    assert_eq!(inbox.answers_due(), AnswersDue::Soon);
    inbox.settle(Sequence(1));
    assert_eq!((inbox.answers_due(), answered(&mut inbox)), (AnswersDue::Soon, 2));

    let parcel = take(&mut inbox, 2);
    assert_eq!(inbox.give_back(Sequence(2), LogIndex(9), parcel, &mut Arrivals::new(OWNER)), None);
    assert_eq!((inbox.answers_due(), answered(&mut inbox)), (AnswersDue::Now, 2));

    for number in 3..3 + ANSWERS_TOGETHER_MAX {
        take(&mut inbox, number);
    }
    assert_eq!((inbox.answers_due(), answered(&mut inbox)), (AnswersDue::Now, 1));
}

/// Ranges that no honest peer sends.
#[test]
fn absurd_ranges_cost_nothing_and_change_nothing() {
    let mut pair = Pair::connected();
    pair.send(1, ROUTE);
    pair.exchange();
    let absurd = vec![
        NumberRange { first: Sequence(9), last: Sequence(2) },
        NumberRange { first: Sequence(2), last: Sequence(u64::MAX) },
    ];

    pair.outbox.handle_answer(DataAnswer::Returned { ranges: absurd.clone(), index: LogIndex(0) });
    pair.outbox.handle_answer(DataAnswer::Taken { upto: Sequence(u64::MAX) });
    pair.inbox.handle_frame(DataFrame::Recall { ranges: absurd.clone() }, &mut Arrivals::new(OWNER));
    pair.inbox.handle_frame(DataFrame::Confirmed { ranges: absurd }, &mut Arrivals::new(OWNER));

    assert_eq!(pair.outbox.len(), 1);
    assert!(!pair.inbox.is_idle());
}

/// Connections are lost, clients acknowledge or end, at random; in the end either the peer dies or everything arrives.
#[test]
fn nothing_is_lost_and_nothing_doubled_whatever_happens_to_the_connection() {
    for seed in 0..300 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut pair = Pair::connected();
        let mut sent = 0;
        for _ in 0..200 {
            match random.random_range(0..12) {
                0..4 => {
                    sent += 1;
                    pair.send(sent, RouteId { index: LogIndex(random.random_range(1..4)), position: 0 });
                }
                4 => pair.outbox_speaks(),
                5 => pair.inbox_speaks(),
                6 => pair.exchange(),
                7 => pair.disconnect(),
                8 if !pair.connected => {
                    pair.format = LinkFormat::ALL[random.random_range(0..2)];
                    pair.connect();
                }
                8 => {}
                9 | 10 => {
                    if let Some(number) = pair.any_held(&mut random) {
                        pair.settle(number);
                    }
                }
                _ => {
                    if let Some(number) = pair.any_held(&mut random) {
                        pair.index += random.random_range(0..2);
                        pair.give_back(number, pair.index);
                        pair.outbox.applied(LogIndex(pair.index - random.random_range(0..2)));
                    }
                }
            }
        }
        let dies = random.random_bool(0.5);
        pair.finish(dies);
        pair.assert_all_accounted_for(sent, dies, seed);
    }
}

/// A home, an owner, and what has come of the stanzas, each of which is named by its number.
struct Pair {
    outbox: Outbox<u64, &'static str>,
    inbox: Inbox,
    connected: bool,
    format: LinkFormat,
    to_owner: VecDeque<DataFrame>,
    to_home: VecDeque<DataAnswer>,
    index: u64,
    held: BTreeMap<u64, Parcel>,
    delivered: Vec<u64>,
    settled: BTreeSet<u64>,
    handled: Vec<u64>,
    redecided: Vec<u64>,
    refused: u64,
    passed: Vec<&'static str>,
}

impl Pair {
    fn connected() -> Pair {
        let mut pair = Pair {
            outbox: Outbox::new(HOME, OWNER),
            inbox: Inbox::new(MemberId(1), Incarnation(1), HOME, OWNER),
            connected: false,
            format: LinkFormat::Third,
            to_owner: VecDeque::new(),
            to_home: VecDeque::new(),
            index: 10,
            held: BTreeMap::new(),
            delivered: Vec::new(),
            settled: BTreeSet::new(),
            handled: Vec::new(),
            redecided: Vec::new(),
            refused: 0,
            passed: Vec::new(),
        };
        pair.connect();
        pair.exchange();
        pair
    }

    fn connected_within(bytes_max: usize) -> Pair {
        let mut pair = Pair::connected();
        pair.disconnect();
        pair.outbox = Outbox::new(HOME, OWNER).within(bytes_max);
        pair.connect();
        pair.exchange();
        pair
    }

    fn send(&mut self, number: u64, route: RouteId) {
        let mut stanza = Stanza::new(Kind::Message(MessageType::Chat));
        stanza.id = Some(number.to_string());
        self.outbox.send(Some(number), route, stanza, 0, None, Turn(number));
    }

    /// A stanza of 4 KB for somebody.
    fn send_large(&mut self, number: u64, origin: Option<u64>, account: u64) {
        let to = Some(format!("a{account}@example.org/x").parse().unwrap());
        let (id, payload) = (Some(number.to_string()), vec![b'x'; 4000].into());
        let stanza = Stanza { to, id, payload, ..Stanza::new(Kind::Message(MessageType::Chat)) };
        let route = RouteId { index: LogIndex(account), position: 0 };
        self.outbox.send(origin, route, stanza, 0, None, Turn(number));
    }

    fn connect(&mut self) {
        if !self.connected {
            self.connected = true;
            self.outbox.link_up(self.format);
            self.inbox.link_up();
        }
    }

    fn disconnect(&mut self) {
        self.obey_outbox();
        self.connected = false;
        self.to_owner.clear();
        self.to_home.clear();
        self.outbox.link_down();
        self.inbox.link_down();
    }

    fn obey_outbox(&mut self) {
        while let Some(order) = self.outbox.poll_order() {
            match order {
                OutboxOrder::Transmit(bytes) => {
                    self.to_owner.push_back(DataFrame::decode(&bytes, self.format).unwrap().expect("it is known"));
                }
                OutboxOrder::Handled(number) => self.handled.push(number),
                OutboxOrder::Redecide(redecide) => {
                    self.redecided.push(text(&redecide.stanza));
                    if redecide.confirm {
                        self.outbox.confirm(redecide.number);
                    }
                }
                OutboxOrder::Refused(_) => self.refused += 1,
                OutboxOrder::Passed(pass) => self.passed.push(pass),
            }
        }
    }

    fn outbox_speaks(&mut self) {
        self.obey_outbox();
        for frame in std::mem::take(&mut self.to_owner) {
            match self.inbox.handle_frame(frame, &mut Arrivals::new(OWNER)) {
                Received::Deliver(parcel) => {
                    self.delivered.push(text(&parcel.stanza));
                    self.held.insert(text(&parcel.stanza), parcel);
                }
                Received::Nothing => {}
                Received::Nudge(_) | Received::Unknown(_) | Received::Gap => {
                    panic!("no nudge was sent, all were for sessions and no frame was left out")
                }
            }
        }
    }

    fn inbox_speaks(&mut self) {
        while let Some(answer) = self.inbox.poll_answer() {
            self.to_home.push_back(answer);
        }
        for answer in std::mem::take(&mut self.to_home) {
            self.outbox.handle_answer(answer);
        }
    }

    fn exchange(&mut self) {
        for _ in 0..4 {
            self.inbox_speaks();
            self.outbox_speaks();
        }
    }

    fn any_held(&self, random: &mut StdRng) -> Option<u64> {
        let at = random.random_range(0..self.held.len().max(1));
        self.held.keys().nth(at).copied()
    }

    fn settle(&mut self, number: u64) {
        let parcel = self.held.remove(&number).unwrap();
        self.settled.insert(number);
        self.inbox.settle(lane_number(&parcel));
    }

    fn settle_everywhere(&mut self) {
        self.exchange();
        for number in self.held.keys().copied().collect::<Vec<_>>() {
            self.settle(number);
        }
    }

    fn give_back(&mut self, number: u64, index: u64) {
        let parcel = self.held.remove(&number).unwrap();
        assert_eq!(
            self.inbox.give_back(lane_number(&parcel), LogIndex(index), parcel, &mut Arrivals::new(OWNER)),
            None
        );
    }

    fn finish(&mut self, dies: bool) {
        if dies {
            self.outbox.peer_gone();
            self.obey_outbox();
            return;
        }
        self.connect();
        self.outbox.applied(LogIndex(u64::MAX));
        self.exchange();
        self.settle_everywhere();
        self.exchange();
    }

    fn assert_all_accounted_for(&mut self, sent: u64, dies: bool, seed: u64) {
        let once: BTreeSet<_> = self.delivered.iter().copied().collect();
        assert_eq!(once.len(), self.delivered.len(), "delivered twice, seed {seed}");
        assert!(self.delivered.is_sorted(), "out of order, seed {seed}");
        let again: BTreeSet<_> = self.redecided.iter().copied().collect();
        assert_eq!(again.len(), self.redecided.len(), "decided twice, seed {seed}");
        let handled: BTreeSet<_> = self.handled.iter().copied().collect();
        assert_eq!(handled.len(), self.handled.len(), "told twice, seed {seed}");
        for number in 1..=sent {
            assert!(self.settled.contains(&number) || again.contains(&number), "{number} is lost, seed {seed}");
        }
        assert!(self.outbox.is_empty());
        if !dies {
            assert_eq!(handled.len() as u64, sent, "somebody was not told, seed {seed}");
            assert!(self.settled.is_disjoint(&again), "settled and decided again, seed {seed}");
            assert!(self.inbox.is_idle(), "the owner keeps something, seed {seed}");
        }
    }
}

fn text(stanza: &Stanza) -> u64 {
    stanza.id.as_ref().unwrap().parse().unwrap()
}

fn lane_number(parcel: &Parcel) -> Sequence {
    let Home::Member { number, .. } = parcel.home else { panic!("it came over a lane") };
    number
}
