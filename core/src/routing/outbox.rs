//! What this node has handed to one life of another member and must not forget yet.
//!
//! ```text
//!            send                 Taken                    Settled
//!   session ─────▶ kept, sent ───────────▶ kept, handled ────────────▶ forgotten
//!                       │                        │ Returned
//!                       │ the peer's life ends   ▼
//!                       └───────────────▶ decided again, in order
//! ```
//!
//! Invariants: a parcel leaves only as settled or as an order to decide it again, exactly once. Parcels for one route
//! leave towards a decision in the order in which they came. A sender is told `Handled` exactly once, and not before a
//! second member holds its stanza.
//!
//! A sender whose stanzas took a route that no longer exists asks for [`Outbox::pass`] before it sends to the same
//! recipient another way: it is let past when nothing is under way on that route any more, so nothing overtakes.
//!
//! What is kept for one account is bounded by a share of what is left, so that the sessions of one account that do not
//! acknowledge fill the outbox for themselves and for nobody else. A stanza beyond the share goes back to its sender.
//!
//! It writes no sockets and chooses no routes. A connection is `link_up` when it may be written to; the frames of an
//! older connection must not be handed in after that. What is kept is kept in the format of the connection, and written
//! again if the next one has another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound::{Excluded, Included};

use bytes::Bytes;

use crate::ids::{BootId, LogIndex, RouteId, Sequence};
use crate::limits::{
    OUTBOX_ACCOUNT_SHARE, OUTBOX_BYTES_MAX, OUTBOX_PARCELS_MAX, OUTBOX_UNTAKEN_BYTES_MAX, OUTBOX_UNTAKEN_PARCELS_MAX,
};
use crate::routing::arrivals::StanzaName;
use crate::routing::frame::{
    DataAnswer, DataFrame, Destination, NumberRange, RANGES_PER_FRAME_MAX, push_number, ranges_of,
};
use crate::routing::outgoing::Outgoing;
use crate::routing::row::Turn;
use crate::stanza::{ErrorCondition, Kind, STANZA_OVERHEAD_BYTES, Stanza};
use crate::wire::LinkFormat;
use crate::{planted, sometimes};

/// Bytes of the frame of a parcel besides its texts, at most: its numbers, its name, and the lengths of the texts.
const FRAME_BYTES: usize = 96;

/// The parcels on their way to one life of one member. `Origin` is who wants to know that a parcel was taken, `Pass`
/// who wants to know that a route is clear.
#[derive(Debug)]
pub struct Outbox<Origin, Pass> {
    home: BootId,
    owner: BootId,
    last: Sequence,
    taken: Sequence,
    kept: BTreeMap<Sequence, Kept<Origin>>,
    /// The weight that may be kept: [`OUTBOX_BYTES_MAX`].
    bytes_max: usize,
    /// The weight of what is kept.
    kept_bytes: usize,
    /// The weight of those of them that the peer has not taken.
    untaken_bytes: usize,
    /// The weight of what is kept by account; no entry if there is nothing.
    shares: BTreeMap<AccountHash, usize>,
    /// Parcels under way by route; no entry if there are none.
    under_way: BTreeMap<RouteId, u32>,
    passes: BTreeMap<RouteId, Vec<Pass>>,
    /// Returned, and this node has not applied the index yet at which they were missed. The indexes do not fall.
    returned: VecDeque<(LogIndex, Sequence)>,
    /// Returned and ordered to be decided again, and nobody else holds them yet.
    in_decision: BTreeSet<Sequence>,
    confirmed: Vec<Sequence>,
    applied: LogIndex,
    link: Link,
    /// Of the present connection or the last one.
    format: LinkFormat,
    orders: VecDeque<OutboxOrder<Origin, Pass>>,
}

/// What an [`Outbox`] wants done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum OutboxOrder<Origin, Pass> {
    /// Send these bytes, an encoded [`DataFrame`].
    Transmit(Bytes),
    /// The parcel is in the hands of two members: its sender may be told so.
    Handled(Origin),
    /// Decide again where this stanza goes.
    Redecide(Redecide<Origin>),
    /// Tell the sender that there is too much under way to the account for which this was.
    Refused(Refused<Origin>),
    /// Nothing is under way any more on the route that was asked about.
    Passed(Pass),
}

/// A stanza that the outbox does not take.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused<Origin> {
    /// What it is.
    pub stanza: Stanza,
    /// Who has not been told yet that the stanza is taken care of.
    pub origin: Origin,
}

impl<Origin> Refused<Origin> {
    /// The error for its sender, who is to have it before the stanza counts as handled.
    ///
    /// # Errors
    ///
    /// There is none for this stanza: who waits to hear of it hears now.
    pub fn answer(self, turn: Turn) -> Result<Outgoing<Origin>, Origin> {
        let text = Some("too much is under way to this account");
        match self.stanza.bounce(ErrorCondition::ResourceConstraint, text) {
            Some(error) => Ok(Outgoing::new(turn, error, Some(self.origin))),
            None => Err(self.origin),
        }
    }
}

/// An account among those for which something is kept. Two that have the same hash share what each of them may have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct AccountHash(u64);

impl AccountHash {
    /// Of the account for which a stanza is.
    fn of(stanza: &Stanza) -> AccountHash {
        let mut hasher = DefaultHasher::new();
        if let Some(to) = stanza.to.as_ref().or(stanza.from.as_ref()) {
            // A slash is what the resource begins with.
            to.as_str().split('/').next().hash(&mut hasher);
        }
        AccountHash(hasher.finish())
    }
}

/// A stanza that was not delivered.
#[derive(Debug, PartialEq, Eq)]
pub struct Redecide<Origin> {
    /// Its number on this lane.
    pub number: Sequence,
    /// What it is.
    pub stanza: Stanza,
    /// How often it was returned.
    pub attempts: u8,
    /// Who has not been told yet that the stanza is taken care of.
    pub origin: Option<Origin>,
    /// The owner keeps its copy until [`Outbox::confirm`].
    pub confirm: bool,
    /// By which name somebody may have it.
    pub name: Option<StanzaName>,
    /// Its place among what comes back.
    pub turn: Turn,
}

#[derive(Debug)]
struct Kept<Origin> {
    frame: Bytes,
    /// Of the frame.
    format: LinkFormat,
    weight: usize,
    account: AccountHash,
    route: RouteId,
    origin: Option<Origin>,
    attempts: u8,
    turn: Turn,
    returned: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    Down,
    /// The owner has not said yet how far it is.
    Greeting,
    Up,
    /// The life of the peer is over.
    Gone,
}

impl<Origin, Pass> Outbox<Origin, Pass> {
    /// Nothing was sent yet from this life, `home`, to that one, `owner`.
    pub fn new(home: BootId, owner: BootId) -> Self {
        Outbox {
            home,
            owner,
            last: Sequence(0),
            taken: Sequence(0),
            kept: BTreeMap::new(),
            bytes_max: OUTBOX_BYTES_MAX,
            kept_bytes: 0,
            untaken_bytes: 0,
            shares: BTreeMap::new(),
            under_way: BTreeMap::new(),
            passes: BTreeMap::new(),
            returned: VecDeque::new(),
            in_decision: BTreeSet::new(),
            confirmed: Vec::new(),
            applied: LogIndex(0),
            link: Link::Down,
            format: LinkFormat::First,
            orders: VecDeque::new(),
        }
    }

    /// An outbox that may keep so much and no more.
    #[cfg(test)]
    pub(super) fn within(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Takes charge of a stanza for a route of the peer that was returned `attempts` times before, and that somebody may
    /// have by that name. After the end of the peer's life it is to be decided again at once. If more is kept for the same
    /// account than its share and the sender has not been told that the stanza is taken care of, it is refused.
    pub fn send(
        &mut self,
        origin: Option<Origin>,
        route: RouteId,
        stanza: Stanza,
        attempts: u8,
        name: Option<StanzaName>,
        turn: Turn,
    ) {
        let (weight, account) = (stanza.weight(), AccountHash::of(&stanza));
        let is_refused = self.link != Link::Gone && self.is_beyond_share(account, weight, stanza.kind);
        let origin = match origin {
            Some(origin) if is_refused => {
                sometimes!("an_account_has_more_under_way_than_its_share");
                return self.orders.push_back(OutboxOrder::Refused(Refused { stanza, origin }));
            }
            origin => origin,
        };
        let number = self.next_number();
        // `last` counts it all the same: a number is never used twice.
        if self.link == Link::Gone {
            sometimes!("a_stanza_is_sent_to_a_life_that_is_over");
            self.taken = self.last;
            let redecide = Redecide { number, stanza, attempts, origin, confirm: false, name, turn };
            self.orders.push_back(OutboxOrder::Redecide(redecide));
            return;
        }
        let format = self.format;
        let frame = DataFrame::Parcel { number, destination: Destination::Session(route), stanza, name };
        let frame = encode(&frame, format, weight - STANZA_OVERHEAD_BYTES);
        self.keep(number, Kept { frame, format, weight, account, route, origin, attempts, turn, returned: false });
    }

    /// Tells the session that holds a route of the peer to claim stored messages.
    pub fn nudge(&mut self, route: RouteId) {
        if self.link == Link::Gone {
            return;
        }
        let number = self.next_number();
        let format = self.format;
        let frame = encode(&DataFrame::Nudge { number, route }, format, 0);
        let (weight, account, turn) = (STANZA_OVERHEAD_BYTES, AccountHash::default(), Turn::default());
        let (origin, attempts) = (None, 0);
        self.keep(number, Kept { frame, format, weight, account, route, origin, attempts, turn, returned: false });
    }

    /// Answers `Passed` when nothing that was sent on this route before is under way any more.
    pub fn pass(&mut self, route: RouteId, pass: Pass) {
        if self.under_way.contains_key(&route) {
            sometimes!("a_sender_waits_for_what_is_under_way");
            self.passes.entry(route).or_default().push(pass);
        } else {
            self.orders.push_back(OutboxOrder::Passed(pass));
        }
    }

    /// A [`Redecide`] with `confirm` was decided, and what it was is in other hands.
    pub fn confirm(&mut self, number: Sequence) {
        if self.in_decision.remove(&number) {
            self.confirmed.push(number);
        }
    }

    /// Whether senders should wait. What is sent all the same is kept.
    pub fn is_full(&self) -> bool {
        let untaken = self.last.0 - self.taken.0;
        sometimes!(untaken >= OUTBOX_UNTAKEN_PARCELS_MAX, "an_outbox_is_full");
        untaken >= OUTBOX_UNTAKEN_PARCELS_MAX
            || self.untaken_bytes >= OUTBOX_UNTAKEN_BYTES_MAX
            || self.kept.len() >= OUTBOX_PARCELS_MAX
            || self.kept_bytes >= self.bytes_max
    }

    /// Parcels that are not settled.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// A connection to the peer can be written to, in this format. The peer speaks first.
    pub fn link_up(&mut self, format: LinkFormat) {
        if self.link != Link::Gone {
            self.link = Link::Greeting;
            self.format = format;
        }
    }

    /// The connection is lost; its answers may be.
    pub fn link_down(&mut self) {
        if self.link != Link::Gone {
            self.link = Link::Down;
        }
    }

    /// The life of the peer is over and the read view no longer shows its routes: everything that is not settled is
    /// decided again, in order.
    pub fn peer_gone(&mut self) {
        self.link = Link::Gone;
        self.returned.clear();
        self.in_decision.clear();
        self.confirmed.clear();
        sometimes!(!self.kept.is_empty(), "a_life_ends_with_parcels_under_way");
        for (number, kept) in std::mem::take(&mut self.kept) {
            if !planted!(UnsettledForgotten) {
                self.redecide(number, kept, false);
            }
        }
        self.kept_bytes = 0;
        self.untaken_bytes = 0;
        self.shares.clear();
        self.taken = self.last;
        self.under_way.clear();
        for pass in std::mem::take(&mut self.passes).into_values().flatten() {
            self.orders.push_back(OutboxOrder::Passed(pass));
        }
    }

    /// This node's read view shows the state at `index`.
    pub fn applied(&mut self, index: LogIndex) {
        self.applied = self.applied.max(index);
        while let Some((missed_at, number)) = self.returned.front().copied()
            && missed_at <= self.applied
        {
            self.returned.pop_front();
            let kept = self.forget(number).expect("a returned parcel is kept until it is decided again");
            let route = kept.route;
            self.redecide(number, kept, true);
            self.arrived(route);
        }
    }

    /// The peer answered.
    pub fn handle_answer(&mut self, answer: DataAnswer) {
        match (self.link, answer) {
            (Link::Gone | Link::Down, _) => {}
            (Link::Greeting, DataAnswer::Taken { upto }) => self.resume(upto),
            // The owner greets first; anything else before it is a fault of its own and changes nothing here.
            (Link::Greeting, DataAnswer::Settled { .. } | DataAnswer::Returned { .. }) => {}
            (Link::Up, DataAnswer::Taken { upto }) => self.take(upto),
            (Link::Up, DataAnswer::Settled { ranges }) => self.settle(&ranges),
            (Link::Up, DataAnswer::Returned { ranges, index }) => self.take_back(&ranges, index),
        }
    }

    /// The next order, oldest first.
    pub fn poll_order(&mut self) -> Option<OutboxOrder<Origin, Pass>> {
        if self.orders.is_empty() && self.link == Link::Up && !self.confirmed.is_empty() {
            let ranges = ranges_of(std::mem::take(&mut self.confirmed));
            self.transmit_ranges(ranges, |ranges| DataFrame::Confirmed { ranges });
        }
        self.orders.pop_front()
    }

    /// Whether an account would have more than its share with a stanza of that weight. What cannot be answered with an
    /// error would be lost in silence, so it has twice the room.
    fn is_beyond_share(&self, account: AccountHash, weight: usize, kind: Kind) -> bool {
        let share = self.bytes_max.saturating_sub(self.kept_bytes) / OUTBOX_ACCOUNT_SHARE;
        let share = if kind.may_be_answered_with_error() { share } else { 2 * share };
        self.shares.get(&account).copied().unwrap_or_default() + weight > share
    }

    fn next_number(&mut self) -> Sequence {
        self.last = Sequence(self.last.0 + 1);
        self.last
    }

    fn keep(&mut self, number: Sequence, kept: Kept<Origin>) {
        self.kept_bytes += kept.weight;
        self.untaken_bytes += kept.weight;
        *self.shares.entry(kept.account).or_default() += kept.weight;
        *self.under_way.entry(kept.route).or_default() += 1;
        if self.link == Link::Up {
            self.orders.push_back(OutboxOrder::Transmit(kept.frame.clone()));
        }
        self.kept.insert(number, kept);
    }

    /// The greeting of the owner: what it has not received is sent again, and what it has is asked about, because its
    /// answers may have been lost with the connection.
    fn resume(&mut self, upto: Sequence) {
        self.link = Link::Up;
        self.take(upto);
        if planted!(QueueDroppedAtReconnect) {
            self.kept.retain(|number, _| *number <= upto);
        }
        let mut open = Vec::new();
        for (number, kept) in &mut self.kept {
            if *number > self.taken {
                sometimes!("a_parcel_is_sent_again_after_a_reconnect");
                kept.bring_into(self.format);
                self.orders.push_back(OutboxOrder::Transmit(kept.frame.clone()));
            } else if !kept.returned {
                push_number(&mut open, *number);
            }
        }
        self.transmit_ranges(open, |ranges| DataFrame::Recall { ranges });
    }

    fn transmit_ranges(&mut self, ranges: Vec<NumberRange>, frame: impl Fn(Vec<NumberRange>) -> DataFrame) {
        for chunk in ranges.chunks(RANGES_PER_FRAME_MAX) {
            self.orders.push_back(OutboxOrder::Transmit(encode(&frame(chunk.to_vec()), self.format, 0)));
        }
    }

    fn take(&mut self, upto: Sequence) {
        let upto = upto.min(self.last);
        if upto <= self.taken {
            return;
        }
        for kept in self.kept.range_mut((Excluded(self.taken), Included(upto))).map(|(_, kept)| kept) {
            self.untaken_bytes = self.untaken_bytes.saturating_sub(kept.weight);
            if let Some(origin) = kept.origin.take() {
                self.orders.push_back(OutboxOrder::Handled(origin));
            }
        }
        self.taken = upto;
        if planted!(TakenCountsAsSettled) {
            self.settle(&[NumberRange { first: Sequence(1), last: upto }]);
        }
    }

    fn settle(&mut self, ranges: &[NumberRange]) {
        for range in ranges {
            self.take(range.last);
            for number in self.open_in(*range) {
                let kept = self.forget(number).expect("it was found a moment ago");
                self.arrived(kept.route);
            }
        }
    }

    fn take_back(&mut self, ranges: &[NumberRange], index: LogIndex) {
        for range in ranges {
            self.take(range.last);
            for number in self.open_in(*range) {
                let kept = self.kept.get_mut(&number).expect("it was found a moment ago");
                sometimes!("a_parcel_comes_back");
                sometimes!(kept.attempts > 0, "a_parcel_comes_back_twice");
                kept.returned = true;
                kept.attempts = kept.attempts.saturating_add(1);
                self.returned.push_back((index, number));
            }
            self.confirm_again(*range);
        }
        self.applied(self.applied);
    }

    /// What is kept of a range and was not returned, in order. A peer that contradicts itself and settles what it has
    /// returned is not believed.
    fn open_in(&self, range: NumberRange) -> Vec<Sequence> {
        if range.first > range.last {
            return Vec::new();
        }
        let kept = self.kept.range(range.first..=range.last);
        kept.filter(|(_, kept)| !kept.returned).map(|(number, _)| *number).collect()
    }

    /// The owner returns on every connection what it was not told to forget; so a confirmation that was lost with a
    /// connection is given again.
    fn confirm_again(&mut self, range: NumberRange) {
        let last = range.last.min(self.last);
        if last.0.saturating_sub(range.first.0) > OUTBOX_PARCELS_MAX as u64 {
            return;
        }
        for number in (range.first.0..=last.0).map(Sequence) {
            if !self.kept.contains_key(&number) && !self.in_decision.contains(&number) {
                self.confirmed.push(number);
            }
        }
    }

    /// Removes a parcel from what is kept; its route still counts it.
    fn forget(&mut self, number: Sequence) -> Option<Kept<Origin>> {
        let kept = self.kept.remove(&number)?;
        self.kept_bytes -= kept.weight;
        if let Some(share) = self.shares.get_mut(&kept.account) {
            *share -= kept.weight;
            if *share == 0 {
                self.shares.remove(&kept.account);
            }
        }
        Some(kept)
    }

    fn redecide(&mut self, number: Sequence, kept: Kept<Origin>, confirm: bool) {
        match kept.read() {
            DataFrame::Parcel { stanza, name, .. } => {
                if confirm {
                    self.in_decision.insert(number);
                }
                let Kept { origin, attempts, turn, .. } = kept;
                // What was returned is not with a session there; else the peer may have it by its number.
                let by_number = StanzaName { home: self.home, owner: self.owner, number };
                let name = name.or_else(|| (!confirm).then_some(by_number));
                let redecide = Redecide { number, stanza, attempts, origin, confirm, name, turn };
                self.orders.push_back(OutboxOrder::Redecide(redecide));
            }
            // Whoever claims the route's account next finds the messages.
            DataFrame::Nudge { .. } if confirm => self.confirmed.push(number),
            DataFrame::Nudge { .. } | DataFrame::Recall { .. } | DataFrame::Confirmed { .. } => {}
        }
    }

    fn arrived(&mut self, route: RouteId) {
        let count = self.under_way.get_mut(&route).expect("a route counts every parcel that is under way on it");
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.under_way.remove(&route);
        for pass in self.passes.remove(&route).unwrap_or_default() {
            self.orders.push_back(OutboxOrder::Passed(pass));
        }
    }
}

impl<Origin> Kept<Origin> {
    fn read(&self) -> DataFrame {
        let frame = DataFrame::decode(&self.frame, self.format).expect("this node encoded it");
        frame.expect("this node knows what it writes")
    }

    fn bring_into(&mut self, format: LinkFormat) {
        if self.format != format {
            self.frame = encode(&self.read(), format, self.weight - STANZA_OVERHEAD_BYTES);
            self.format = format;
        }
    }
}

/// The bytes of a frame whose texts have so many: written without growing, so without room to spare.
fn encode(frame: &DataFrame, format: LinkFormat, text_bytes: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(text_bytes + FRAME_BYTES);
    frame.encode_into(format, &mut bytes);
    Bytes::from(bytes)
}
