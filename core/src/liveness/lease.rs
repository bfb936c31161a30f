//! May I serve?
//!
//! A member asks with every beat. Each answered ask proves that a quorum counted the member in at some moment not
//! before it asked, so the lease runs from the asking: an answer that was long on its way proves less. The machine
//! does not decide who answers, nor what is done when the lease ends.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::Sequence;
use crate::time::Uptime;

/// Asks whose answer is still of use. At four a second this is longer than any lease that the configuration accepts
/// with that heartbeat; the oldest is forgotten.
const ASKS_MAX: usize = 256;

/// The proof, no older than the length of the lease, that a quorum counts this member in.
#[derive(Clone, Debug)]
pub struct Lease {
    length: Duration,
    asked: VecDeque<(Sequence, Span)>,
    last: Sequence,
    granted: Option<Span>,
}

/// From when to when the lease of one ask runs, if it is granted.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Uptime,
    until: Uptime,
}

impl Span {
    fn shortened_to(self, length: Duration) -> Span {
        Span { until: self.until.min(self.from + length), ..self }
    }
}

impl Lease {
    /// No lease, of this length once it is granted.
    pub fn new(length: Duration) -> Self {
        Lease { length, asked: VecDeque::new(), last: Sequence(0), granted: None }
    }

    /// What is asked for from here on lasts so long. What was asked for before is shortened with it, and never prolonged:
    /// a leader may have decided to end this life when the lease had ended by the length that it had.
    pub fn set_length(&mut self, length: Duration) {
        self.length = length;
        self.granted = self.granted.map(|span| span.shortened_to(length));
        self.asked.iter_mut().for_each(|(_, span)| *span = span.shortened_to(length));
    }

    /// Asks: the number to put into the beat that is sent at `now`.
    pub fn ask(&mut self, now: Uptime) -> Sequence {
        self.last.0 += 1;
        if self.asked.len() == ASKS_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back((self.last, Span { from: now, until: now + self.length }));
        self.last
    }

    /// The ask of this number was granted. A number that was never asked, or is answered already, changes nothing.
    pub fn granted(&mut self, ask: Sequence) {
        let Some(at) = self.asked.iter().position(|(number, _)| *number == ask) else { return };
        let span = self.asked[at].1;
        self.asked.drain(..=at);
        if self.granted.is_none_or(|present| present.until < span.until) {
            self.granted = Some(span);
        }
    }

    /// Whether the member may serve at `now`. At the very moment of the end it may not.
    pub fn is_held(&self, now: Uptime) -> bool {
        self.until().is_some_and(|until| now < until)
    }

    /// When the lease ends or has ended; absent if there never was one.
    pub fn until(&self) -> Option<Uptime> {
        self.granted.map(|span| span.until)
    }

    /// Gives the lease up, and with it every ask that is not answered yet: they were asked by a life that is over.
    pub fn give_up(&mut self) {
        self.granted = None;
        self.asked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Uptime {
        Uptime::from_millis(milliseconds)
    }

    /// Counted from the answer, the lease of a member on a slow link would outlive the silence after which it is expelled.
    #[test]
    fn a_lease_runs_from_the_asking_not_from_the_answer() {
        let mut lease = Lease::new(Duration::from_millis(3000));
        let ask = lease.ask(at(1000));

        lease.granted(ask);

        assert!(lease.is_held(at(3999)));
        assert!(!lease.is_held(at(4000)));
    }

    #[test]
    fn answers_out_of_order_do_not_shorten_a_lease() {
        let mut lease = Lease::new(Duration::from_millis(3000));
        let (early, late) = (lease.ask(at(0)), lease.ask(at(250)));

        lease.granted(late);
        lease.granted(early);

        assert_eq!(lease.until(), Some(at(3250)));
    }

    /// T10. The others rely on the shorter one as soon as this member says that it knows of it.
    #[test]
    fn a_lease_is_shortened_with_the_times_whether_it_is_granted_before_or_after() {
        let mut lease = Lease::new(Duration::from_millis(12_000));
        let (early, late) = (lease.ask(at(1000)), lease.ask(at(1250)));
        lease.granted(early);

        lease.set_length(Duration::from_millis(3000));

        assert_eq!(lease.until(), Some(at(4000)));
        lease.granted(late);
        assert_eq!(lease.until(), Some(at(4250)));
    }

    /// T10. The life may have been silent for too long by the former times, and its expulsion be under way.
    #[test]
    fn a_lease_is_not_prolonged_with_the_times_but_by_what_is_asked_after() {
        let mut lease = Lease::new(Duration::from_millis(3000));
        let (early, late) = (lease.ask(at(1000)), lease.ask(at(1250)));
        lease.granted(early);

        lease.set_length(Duration::from_millis(12_000));

        lease.granted(late);
        assert_eq!(lease.until(), Some(at(4250)));
        let after = lease.ask(at(1500));
        lease.granted(after);
        assert_eq!(lease.until(), Some(at(13_500)));
    }

    #[test]
    fn an_answer_to_an_earlier_life_proves_nothing() {
        let mut lease = Lease::new(Duration::from_millis(3000));
        let ask = lease.ask(at(0));
        lease.give_up();

        lease.granted(ask);
        lease.granted(Sequence(99));

        assert!(!lease.is_held(at(1)));
    }

    #[test]
    fn asks_that_are_never_answered_are_bounded() {
        let mut lease = Lease::new(Duration::from_millis(3000));
        for n in 0..10_000 {
            lease.ask(at(n));
        }

        assert_eq!(lease.asked.len(), ASKS_MAX);
    }
}
