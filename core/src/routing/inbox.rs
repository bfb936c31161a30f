//! What one life of another member has handed to this node and must be answered for.
//!
//! Invariants: each number is delivered at most once. Each ends as settled or as returned, and a returned parcel is
//! kept here until the home has put it into other hands; so if the home dies meanwhile, it is decided here.
//!
//! Answers are gathered: many parcels that are settled one after the other become one range, and an answer for which
//! nobody waits [may wait](AnswersDue::Soon) a moment for others. It reads no sockets and knows no sessions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ids::{BootId, Incarnation, LogIndex, MemberId, RouteId, Sequence};
use crate::limits::{ANSWERS_TOGETHER_MAX, OUTBOX_PARCELS_MAX};
use crate::routing::arrivals::{Arrivals, StanzaName};
use crate::routing::frame::{
    DataAnswer, DataFrame, Destination, NumberRange, RANGES_PER_FRAME_MAX, push_number, ranges_of,
};
use crate::routing::parcel::{Home, Parcel};
use crate::{planted, sometimes};

/// The parcels that came from one life of one member.
#[derive(Debug)]
pub struct Inbox {
    member: MemberId,
    incarnation: Incarnation,
    home: BootId,
    owner: BootId,
    received: Sequence,
    /// With a session of this node.
    held: BTreeSet<Sequence>,
    /// The names of those of them that came with one.
    names: BTreeMap<Sequence, StanzaName>,
    /// Returned, and the home has not said that it holds them again.
    returned: BTreeMap<Sequence, (LogIndex, Orphan)>,
    answers: Answers,
    home_gone: bool,
}

#[derive(Debug, Default)]
struct Answers {
    linked: bool,
    /// How many parcels were taken of which the home does not know.
    taken: usize,
    settled: Vec<Sequence>,
    /// In the order in which they were returned: the indexes do not fall.
    returned: Vec<(LogIndex, Sequence)>,
    ready: VecDeque<DataAnswer>,
}

/// When the home is to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswersDue {
    /// There is nothing to answer.
    Never,
    /// Within [`ANSWERS_GATHER_MAX`](crate::limits::ANSWERS_GATHER_MAX): each write and each wake-up of the other side costs
    /// more than an answer, and a home that waits for this one goes on meanwhile.
    Soon,
    /// At once: something came back, which is to go another way, or there is much.
    Now,
}

/// A parcel about which the home can no more decide.
#[derive(Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The parcel.
    pub parcel: Parcel,
    /// By which name others may decide about it.
    pub name: StanzaName,
}

/// What the owner does with a frame of the home.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// Hand it to the session, or back by [`Inbox::give_back`].
    Deliver(Parcel),
    /// Hand it back by [`Inbox::give_back`]: it is for somebody of a kind that this program does not know, so nobody
    /// here. Its route is no session's.
    Unknown(Parcel),
    /// Tell the session that holds this route, if any, that messages are stored for it.
    Nudge(RouteId),
    /// Nothing: it was a repetition, or concerned the answers only.
    Nothing,
    /// A number is missing, which cannot happen on one connection: close it.
    Gap,
}

impl Inbox {
    /// Nothing was received yet from this life of a member, whose process is `home`; this one is `owner`.
    pub fn new(member: MemberId, incarnation: Incarnation, home: BootId, owner: BootId) -> Self {
        Inbox {
            member,
            incarnation,
            home,
            owner,
            received: Sequence(0),
            held: BTreeSet::new(),
            names: BTreeMap::new(),
            returned: BTreeMap::new(),
            answers: Answers::default(),
            home_gone: false,
        }
    }

    /// The home has connected: it is told where to go on, and again what was returned.
    pub fn link_up(&mut self) {
        self.answers = Answers { linked: true, ..Answers::default() };
        self.answers.ready.push_back(DataAnswer::Taken { upto: self.received });
        let mut returned: Vec<_> = self.returned.iter().map(|(number, (index, _))| (*index, *number)).collect();
        returned.sort_unstable();
        self.answers.returned = returned;
    }

    /// The connection is lost, and with it answers that the home will ask for.
    pub fn link_down(&mut self) {
        self.answers = Answers::default();
    }

    /// The home sent a frame. `arrivals` knows what this node has by another name.
    pub fn handle_frame(&mut self, frame: DataFrame, arrivals: &mut Arrivals) -> Received {
        match frame {
            DataFrame::Parcel { number, destination, stanza, name } => {
                let route = match destination {
                    Destination::Session(route) => route,
                    Destination::Unknown(_) => RouteId::default(),
                };
                if let Some(refused) = self.count(number) {
                    return refused;
                }
                if let Some(name) = name {
                    if !arrivals.takes(name, route) {
                        self.answer_settled(number);
                        return Received::Nothing;
                    }
                    self.names.insert(number, name);
                }
                self.held.insert(number);
                let home = Home::Member { member: self.member, incarnation: self.incarnation, number };
                let parcel = Parcel { stanza, route, home };
                match destination {
                    Destination::Session(_) => Received::Deliver(parcel),
                    Destination::Unknown(_) => Received::Unknown(parcel),
                }
            }
            DataFrame::Nudge { number, route } => {
                if let Some(refused) = self.count(number) {
                    return refused;
                }
                self.answer_settled(number);
                Received::Nudge(route)
            }
            DataFrame::Recall { ranges } => {
                self.recall(&ranges);
                Received::Nothing
            }
            DataFrame::Confirmed { ranges } => {
                for range in ranges.iter().filter(|range| range.first <= range.last) {
                    let confirmed: Vec<_> = self.returned.range(range.first..=range.last).map(|(n, _)| *n).collect();
                    for number in confirmed {
                        self.returned.remove(&number);
                    }
                }
                Received::Nothing
            }
        }
    }

    /// A parcel is done with.
    pub fn settle(&mut self, number: Sequence) {
        if self.held.remove(&number) {
            self.names.remove(&number);
            self.answer_settled(number);
        }
    }

    /// The session for which the parcel was is not here, as this node's state at `index` says. If the home's life is
    /// over, the parcel comes back: it is to be decided here.
    #[must_use]
    pub fn give_back(
        &mut self,
        number: Sequence,
        index: LogIndex,
        parcel: Parcel,
        arrivals: &mut Arrivals,
    ) -> Option<Orphan> {
        if !self.held.remove(&number) {
            return None;
        }
        let name = self.names.remove(&number);
        if let Some(name) = name {
            arrivals.came_back(name, parcel.route);
        }
        let name = name.unwrap_or(StanzaName { home: self.home, owner: self.owner, number });
        let orphan = Orphan { parcel, name };
        if self.home_gone {
            sometimes!("a_parcel_of_a_dead_home_is_given_back");
            return Some(orphan);
        }
        self.returned.insert(number, (index, orphan));
        if self.answers.linked {
            self.answers.returned.push((index, number));
        }
        None
    }

    /// The life of the home is over: what it may not have decided again is decided here, in this order. What sessions
    /// still hold they go on delivering.
    #[must_use]
    pub fn home_gone(&mut self) -> Vec<Orphan> {
        self.home_gone = true;
        sometimes!(!self.returned.is_empty(), "a_home_dies_before_it_decided_again");
        sometimes!(!self.held.is_empty(), "a_home_dies_while_its_parcels_are_held");
        self.answers = Answers::default();
        std::mem::take(&mut self.returned).into_values().map(|(_, orphan)| orphan).collect()
    }

    /// Everything up to this number has arrived.
    pub fn received(&self) -> Sequence {
        self.received
    }

    /// Whether no session holds anything of it: after the end of the home's life nothing more will happen here.
    pub fn is_idle(&self) -> bool {
        self.held.is_empty() && self.returned.is_empty()
    }

    /// When the next answer is due.
    pub fn answers_due(&self) -> AnswersDue {
        let Answers { taken, settled, returned, ready, .. } = &self.answers;
        if !ready.is_empty() || !returned.is_empty() || taken.max(&settled.len()) >= &ANSWERS_TOGETHER_MAX {
            AnswersDue::Now
        } else if (*taken > 0 || !settled.is_empty()) && !planted!(AnswersWaitForEver) {
            AnswersDue::Soon
        } else {
            AnswersDue::Never
        }
    }

    /// The next answer to the home. Called when the connection can be written to; what was settled meanwhile is
    /// gathered until then.
    pub fn poll_answer(&mut self) -> Option<DataAnswer> {
        if self.answers.ready.is_empty() {
            self.gather();
        }
        self.answers.ready.pop_front()
    }

    /// Takes note of a number; answers what to do with one that is not the next.
    fn count(&mut self, number: Sequence) -> Option<Received> {
        if number <= self.received {
            sometimes!("a_parcel_arrives_twice");
            if planted!(ParcelTakenTwice) {
                return None;
            }
            return Some(Received::Nothing);
        }
        if number.0 != self.received.0 + 1 {
            return Some(Received::Gap);
        }
        self.received = self.received.max(number);
        if self.answers.linked {
            self.answers.taken += 1;
        }
        None
    }

    fn recall(&mut self, ranges: &[NumberRange]) {
        for range in ranges {
            let last = range.last.min(self.received);
            if last.0.saturating_sub(range.first.0) > OUTBOX_PARCELS_MAX as u64 {
                continue;
            }
            for number in (range.first.0..=last.0).map(Sequence) {
                if !self.held.contains(&number) && !self.returned.contains_key(&number) {
                    sometimes!("an_answer_was_lost_with_its_connection");
                    self.answer_settled(number);
                }
            }
        }
    }

    fn answer_settled(&mut self, number: Sequence) {
        if self.answers.linked {
            self.answers.settled.push(number);
        }
    }

    fn gather(&mut self) {
        let answers = &mut self.answers;
        if std::mem::take(&mut answers.taken) > 0 {
            answers.ready.push_back(DataAnswer::Taken { upto: self.received });
        }
        for chunk in ranges_of(std::mem::take(&mut answers.settled)).chunks(RANGES_PER_FRAME_MAX) {
            answers.ready.push_back(DataAnswer::Settled { ranges: chunk.to_vec() });
        }
        let returned = std::mem::take(&mut answers.returned);
        for same_index in returned.chunk_by(|one, other| one.0 == other.0) {
            // In the order in which the session gave them back, not by number.
            for (index, number) in same_index {
                push_returned(&mut answers.ready, *index, *number);
            }
        }
    }
}

/// Appends to the last answer if it still has room and says the same.
fn push_returned(ready: &mut VecDeque<DataAnswer>, index: LogIndex, number: Sequence) {
    if let Some(DataAnswer::Returned { ranges, index: last }) = ready.back_mut()
        && *last == index
        && ranges.len() < RANGES_PER_FRAME_MAX
    {
        push_number(ranges, number);
        return;
    }
    ready.push_back(DataAnswer::Returned { ranges: vec![NumberRange { first: number, last: number }], index });
}
