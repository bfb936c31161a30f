//! Seats for strangers who have to say what they want before they are attended to.
//!
//! ```text
//! take ─▶ silent ─▶ in earnest: has proven, or asked for, something ─▶ leave
//!            └──▶ has to go: all seats are taken, and its origin holds most of those of the silent
//! ```
//!
//! A peer that means it says so with its first bytes, which come with the connection; a silent one is there to hold a
//! seat. So the silent have to go first: the oldest one of the origin that holds most of their seats. If nobody is silent,
//! somebody has repeated what others have said, or has asked very often, and the same rule holds for those in earnest.
//!
//! Nobody has to go before it could be looked at: the caller lets the next one in at [`Seats::next_at`].

use std::collections::BTreeMap;

use crate::limits::SEAT_TIME_MIN;
use crate::time::Uptime;

/// The seats of one port, told apart by the origin `K` of those who sit there.
#[derive(Debug)]
pub struct Seats<K> {
    seats_max: usize,
    last: u64,
    /// The oldest first.
    taken: BTreeMap<u64, Seat<K>>,
}

#[derive(Debug)]
struct Seat<K> {
    origin: K,
    since: Uptime,
    attitude: Attitude,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Attitude {
    Silent,
    InEarnest,
}

/// A seat that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seated {
    /// Names it.
    pub number: u64,
    /// Whose seat it was if none was left: that connection is to be closed. Its number is not used again.
    pub instead_of: Option<u64>,
}

impl<K: Ord + Copy> Seats<K> {
    /// So many seats, of which there has to be one at least.
    pub fn new(seats_max: usize) -> Seats<K> {
        Seats { seats_max, last: 0, taken: BTreeMap::new() }
    }

    /// From when on the next one can be let in: at once if there is a seat, else when whoever has to go for it could be
    /// looked at.
    pub fn next_at(&self) -> Uptime {
        let seat = self.has_to_go().and_then(|number| self.taken.get(&number));
        seat.map_or(Uptime::ZERO, |seat| seat.since + SEAT_TIME_MIN)
    }

    /// Takes a seat for somebody of this origin.
    pub fn take(&mut self, now: Uptime, origin: K) -> Seated {
        let instead_of = self.has_to_go();
        if let Some(number) = instead_of {
            self.taken.remove(&number);
        }
        self.last += 1;
        self.taken.insert(self.last, Seat { origin, since: now, attitude: Attitude::Silent });
        Seated { number: self.last, instead_of }
    }

    /// Whoever sits there has said what it wants, and stays until it leaves.
    pub fn is_in_earnest(&mut self, number: u64) {
        if let Some(seat) = self.taken.get_mut(&number) {
            seat.attitude = Attitude::InEarnest;
        }
    }

    /// The seat is free again, if it was not taken away before.
    pub fn leave(&mut self, number: u64) {
        self.taken.remove(&number);
    }

    /// Who has to go for the next one; nobody if there is a seat.
    fn has_to_go(&self) -> Option<u64> {
        if self.taken.len() < self.seats_max {
            return None;
        }
        self.most_dispensable(Attitude::Silent).or_else(|| self.most_dispensable(Attitude::InEarnest))
    }

    /// The oldest seat of the origin that holds most seats of the silent, or of those in earnest.
    fn most_dispensable(&self, attitude: Attitude) -> Option<u64> {
        let mut held: BTreeMap<K, usize> = BTreeMap::new();
        let seats = || self.taken.iter().filter(|(_, seat)| seat.attitude == attitude);
        for (_, seat) in seats() {
            *held.entry(seat.origin).or_default() += 1;
        }
        let most = held.values().max()?;
        seats().find(|(_, seat)| held.get(&seat.origin) == Some(most)).map(|(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Uptime = Uptime::from_millis(9);

    /// O16. What comes with a connection has to be looked at before its seat is taken away.
    #[test]
    fn the_next_one_waits_until_who_has_to_go_could_be_looked_at() {
        let mut seats = Seats::new(2);
        let earnest = seats.take(NOW, 'a').number;
        assert!(seats.next_at() <= NOW);
        seats.is_in_earnest(earnest);
        seats.take(NOW + SEAT_TIME_MIN, 'a');

        assert_eq!(seats.next_at(), NOW + SEAT_TIME_MIN + SEAT_TIME_MIN);

        seats.leave(earnest);
        assert!(seats.next_at() <= NOW);
    }

    #[test]
    fn there_is_a_seat_until_all_are_taken() {
        let mut seats = Seats::new(2);

        assert_eq!(seats.take(NOW, 'a'), Seated { number: 1, instead_of: None });
        assert_eq!(seats.take(NOW, 'a'), Seated { number: 2, instead_of: None });
        seats.leave(1);
        assert_eq!(seats.take(NOW, 'a'), Seated { number: 3, instead_of: None });
        assert_eq!(seats.take(NOW, 'a'), Seated { number: 4, instead_of: Some(2) });
    }

    /// O6, O16. Who has proven what it is, is not sent away by a flood of those who say nothing.
    #[test]
    fn only_the_silent_have_to_go() {
        let mut seats = Seats::new(3);
        let earnest = seats.take(NOW, 'a').number;
        seats.is_in_earnest(earnest);

        let gone: Vec<_> = (0..100).filter_map(|_| seats.take(NOW, 'a').instead_of).collect();

        assert!(!gone.contains(&earnest) && gone.len() == 98, "{gone:?}");
    }

    /// O6. Who is still silent goes only after those of an origin that holds more.
    #[test]
    fn an_origin_that_holds_most_seats_makes_room_for_the_others() {
        let mut seats = Seats::new(4);
        let honest = seats.take(NOW, 'h').number;

        let gone: Vec<_> = (0..100).filter_map(|_| seats.take(NOW, 'f').instead_of).collect();

        assert!(!gone.contains(&honest), "{gone:?}");
    }

    /// O6. A first message that was recorded can be repeated, so whoever has proven something may still be a stranger.
    #[test]
    fn if_all_are_in_earnest_the_origin_that_holds_most_makes_room() {
        let mut seats = Seats::new(3);
        for origin in ['h', 'f', 'f'] {
            let number = seats.take(NOW, origin).number;
            seats.is_in_earnest(number);
        }

        assert_eq!(seats.take(NOW, 'n'), Seated { number: 4, instead_of: Some(2) });
    }

    #[test]
    fn what_is_said_of_a_seat_that_was_taken_away_means_nothing() {
        let mut seats = Seats::new(1);
        seats.take(NOW, 'a');
        let second = seats.take(NOW, 'a');
        assert_eq!(second, Seated { number: 2, instead_of: Some(1) });

        seats.is_in_earnest(1);
        seats.leave(1);

        assert_eq!(seats.take(NOW, 'a'), Seated { number: 3, instead_of: Some(2) });
    }
}
