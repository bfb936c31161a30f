//! Requests of this node's sessions, gathered into batches: while one is in flight, or follows others closely, the next one
//! fills.
//!
//! One batch in flight keeps them in order without any rule about reordering, and makes the number of the last batch
//! that took effect enough to recognise one that was committed twice.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cluster::{Batch, ConflictPolicy, Operation, OperationOutcome, Outcome};
use crate::ids::{Life, Sequence, SessionId};
use crate::limits::{BATCH_BURST, BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, REQUESTS_WAITING_MAX};
use crate::node::{Answer, BindRefusal, Request};
use crate::sometimes;
use crate::time::Uptime;

/// An answer and the session that it is for.
pub(super) type Answered = (SessionId, Answer);

#[derive(Debug)]
pub(super) struct Batches {
    waiting: VecDeque<Request>,
    in_flight: Option<InFlight>,
    last: Sequence,
    gap: Duration,
    /// When the latest would have been proposed if each kept the gap: how far ahead of that this member is, is its burst
    /// (the generic cell rate algorithm, ITU-T I.371).
    due: Uptime,
}

#[derive(Debug)]
struct InFlight {
    batch: Batch,
    requests: Vec<Request>,
}

impl Batches {
    /// No requests yet. Batches are proposed with this time between them, but for [`BATCH_BURST`] at a time.
    pub(super) fn new(gap: Duration) -> Batches {
        let (waiting, last) = (VecDeque::new(), Sequence::default());
        Batches { waiting, in_flight: None, last, gap, due: Uptime::ZERO }
    }

    /// Takes a request, or refuses it if too many wait: only binds are bounded, because each other request belongs to a
    /// route that was bound before.
    pub(super) fn request(&mut self, request: Request) -> Option<Answered> {
        match request {
            Request::Bind { .. } if self.waiting.len() >= REQUESTS_WAITING_MAX => return Self::refuse(request),
            Request::Bind { .. } | Request::Announce { .. } | Request::Unbind { .. } => {}
        }
        self.waiting.push_back(request);
        None
    }

    /// The refusal of a request. What needs no answer gets none: with the life all of its routes end.
    pub(super) fn refuse(request: Request) -> Option<Answered> {
        match request {
            Request::Bind { session, .. } => Some((session, Answer::Refused(BindRefusal::NotServing))),
            Request::Announce { .. } | Request::Unbind { .. } => None,
        }
    }

    pub(super) fn refuse_all(&mut self) -> Vec<Answered> {
        let mut refused = self.refuse_in_flight();
        refused.extend(self.waiting.drain(..).filter_map(Self::refuse));
        refused
    }

    pub(super) fn refuse_in_flight(&mut self) -> Vec<Answered> {
        self.take_in_flight().into_iter().filter_map(Self::refuse).collect()
    }

    /// Nobody will see what has become of the batch in flight, and the life goes on. A bind counts as failed: what did take
    /// effect is released by its session. A presence and the end of a route are proposed again, before all that waits:
    /// twice is as good as once, and never would leave a session waiting or a route behind.
    pub(super) fn hide_in_flight(&mut self) -> Vec<Answered> {
        let (binds, again): (Vec<_>, Vec<_>) =
            self.take_in_flight().into_iter().partition(|request| matches!(request, Request::Bind { .. }));
        again.into_iter().rev().for_each(|request| self.waiting.push_front(request));
        binds.into_iter().filter_map(Self::refuse).collect()
    }

    fn take_in_flight(&mut self) -> Vec<Request> {
        self.in_flight.take().map(|in_flight| in_flight.requests).unwrap_or_default()
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Until when requests only gather. Whoever hands them over may as well keep them until then.
    pub(super) fn gathers_until(&self) -> Uptime {
        self.due.back(self.gap * (BATCH_BURST - 1))
    }

    /// When there will be a batch to propose, if something waits for it and nothing is in flight.
    pub(super) fn timeout(&self) -> Option<Uptime> {
        (!self.is_in_flight() && !self.waiting.is_empty()).then(|| self.gathers_until())
    }

    /// The batch to propose: the one in flight again if `again`, else the next one if none is in flight and it is time.
    pub(super) fn next(&mut self, now: Uptime, life: Life, again: bool) -> Option<Batch> {
        if self.is_in_flight() {
            return if again { self.last(life) } else { None };
        }
        if now < self.gathers_until() {
            sometimes!(!self.waiting.is_empty(), "a_batch_waits_for_company");
            return None;
        }
        let batch = self.last(life)?;
        self.due = self.due.max(now) + self.gap;
        Some(batch)
    }

    /// The batch to propose when none follows: the one in flight again, else all that waits, as far as it fits.
    pub(super) fn last(&mut self, life: Life) -> Option<Batch> {
        if let Some(in_flight) = &self.in_flight {
            return Some(in_flight.batch.clone());
        }
        if self.waiting.is_empty() {
            return None;
        }
        let mut bytes = 0;
        let fits = self.waiting.iter().take(BATCH_OPERATIONS_MAX).take_while(|request| {
            bytes += size(request);
            bytes <= BATCH_BYTES_MAX
        });
        let count = fits.count();
        sometimes!(count > 1, "several_requests_share_a_batch");
        let requests: Vec<_> = self.waiting.drain(..count).collect();
        self.last.0 += 1;
        let batch = Batch { life, sequence: self.last, operations: requests.iter().map(operation).collect() };
        self.in_flight = Some(InFlight { batch: batch.clone(), requests });
        Some(batch)
    }

    /// A batch of this life was committed: the answers to give once everybody knows.
    pub(super) fn committed(&mut self, sequence: Sequence, outcome: &Outcome) -> Vec<Answered> {
        match outcome {
            Outcome::Operations(outcomes) => {
                let Some(in_flight) = self.in_flight.take_if(|in_flight| in_flight.batch.sequence == sequence) else {
                    return Vec::new();
                };
                in_flight
                    .requests
                    .into_iter()
                    .zip(outcomes)
                    .filter_map(|(request, outcome)| answer(&request, *outcome))
                    .collect()
            }
            // Its first commit was answered; or it took effect before a snapshot that hid the outcome.
            Outcome::AlreadyDone | Outcome::Done => Vec::new(),
            Outcome::Rejected(_) => {
                sometimes!("a_batch_in_flight_is_rejected");
                self.refuse_in_flight()
            }
        }
    }
}

/// Bytes of a request in the log, roughly and from above.
fn size(request: &Request) -> usize {
    match request {
        Request::Bind { jid, .. } => jid.as_str().len() + 32,
        Request::Announce { .. } | Request::Unbind { .. } => 32,
    }
}

fn operation(request: &Request) -> Operation {
    match request {
        Request::Bind { session, jid } => {
            Operation::Bind { jid: jid.clone(), session: *session, conflict: ConflictPolicy::Replace }
        }
        Request::Announce { route, presence, .. } => Operation::Announce { route: *route, presence: *presence },
        Request::Unbind { route } => Operation::Unbind { route: *route },
    }
}

fn answer(request: &Request, outcome: OperationOutcome) -> Option<Answered> {
    match (request, outcome) {
        (Request::Bind { session, .. }, OperationOutcome::Bound(route)) => Some((*session, Answer::Bound { route })),
        (Request::Bind { session, .. }, OperationOutcome::TooManySessions) => {
            Some((*session, Answer::Refused(BindRefusal::TooManySessions)))
        }
        (Request::Announce { session, revision, .. }, OperationOutcome::Done) => {
            Some((*session, Answer::Announced { revision: *revision }))
        }
        // The route was taken over meanwhile, which its session hears by itself.
        (Request::Announce { .. }, _) | (Request::Unbind { .. }, _) => None,
        (Request::Bind { .. }, OperationOutcome::Done | OperationOutcome::NotHeld) => {
            unreachable!("a bind is bound or refused")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::RoutePresence;
    use crate::ids::{Incarnation, LogIndex, MemberId, RouteId};

    /// Its session would wait for ever to be announced, or its route would stay.
    #[test]
    fn what_a_snapshot_hides_is_proposed_again_unless_it_is_a_bind() {
        let life = Life { member: MemberId(1), incarnation: Incarnation(1) };
        let route = |index| RouteId { index: LogIndex(index), position: 0 };
        let announce = |index, revision| {
            let presence = RoutePresence::default();
            Request::Announce { session: SessionId(index), route: route(index), presence, revision }
        };
        let bind = Request::Bind { session: SessionId(3), jid: "romeo@example.org/orchard".parse().expect("a JID") };
        let hidden = [announce(1, 1), Request::Unbind { route: route(2) }];
        let mut batches = Batches::new(Duration::ZERO);
        hidden.iter().cloned().chain([bind]).for_each(|request| assert_eq!(batches.request(request), None));
        let first = batches.last(life).expect("something waits");
        assert_eq!(batches.request(announce(1, 2)), None);

        let refused = batches.hide_in_flight();

        assert_eq!(refused, [(SessionId(3), Answer::Refused(BindRefusal::NotServing))]);
        let again = batches.last(life).expect("something waits");
        assert!(again.sequence > first.sequence);
        let expected: Vec<Operation> = hidden.iter().chain([&announce(1, 2)]).map(operation).collect();
        assert_eq!(again.operations, expected);
    }
}
