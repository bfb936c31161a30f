//! A stanza on its way out of this node, and what becomes of its copies.

use smallvec::SmallVec;

use crate::routing::arrivals::StanzaName;
use crate::routing::decide::may_go_elsewhere;
use crate::routing::row::Turn;
use crate::stanza::{ErrorCondition, Stanza};

/// A stanza that somebody has to answer for. `T` waits to hear that it is in other hands, and hears of it once.
#[derive(PartialEq, Eq, Debug)]
pub struct Outgoing<T> {
    /// What it is.
    pub stanza: Stanza,
    /// Who waits to hear; absent if nobody does, or has heard already.
    pub ticket: Option<T>,
    /// How often it came back.
    pub attempts: u8,
    /// By which name somebody may have it already.
    pub name: Option<StanzaName>,
    /// Its place among all about which this node decides.
    pub turn: Turn,
}

/// Who waits to hear that a stanza is in other hands.
pub trait Share: Sized {
    /// One for each of so many copies; the last one that hears tells the original.
    fn share(self, copies: usize) -> Vec<Self>;
}

impl<T> Outgoing<T> {
    /// A stanza that was never sent anywhere.
    pub fn new(turn: Turn, stanza: Stanza, ticket: Option<T>) -> Self {
        Outgoing { stanza, ticket, attempts: 0, name: None, turn }
    }

    /// It was not delivered, and is to be decided about again.
    #[must_use]
    pub fn came_back(self) -> Self {
        Outgoing { attempts: self.attempts.saturating_add(1), ..self }
    }

    /// The error that goes in its place, in its turn. Its sender is to have the error before the stanza counts as handled.
    ///
    /// # Errors
    ///
    /// There is none for what is an error itself, or asks for no answer: who waits to hear of it hears now.
    pub fn bounce(self, condition: ErrorCondition) -> Result<Self, Option<T>> {
        match self.stanza.bounce(condition, None) {
            Some(error) => Ok(self.answered_by(error)),
            None => Err(self.ticket),
        }
    }

    /// This goes in its place.
    pub(super) fn answered_by(self, error: Stanza) -> Self {
        Outgoing::new(self.turn, error, self.ticket)
    }
}

impl<T: Share> Outgoing<T> {
    /// A copy for each of so many sessions, at least one. Copies have a name, because one that comes back is for whoever is
    /// there then and has not got it; `next_name` is for a stanza that has none yet.
    pub fn copies(self, count: usize, next_name: impl FnOnce() -> Option<StanzaName>) -> SmallVec<[Self; 1]> {
        if count == 1 {
            return SmallVec::from_buf([self]);
        }
        let Outgoing { stanza, ticket, attempts, name, turn } = self;
        let name = name.or_else(|| may_go_elsewhere(&stanza).then(next_name).flatten());
        let tickets = ticket.map(|ticket| ticket.share(count)).unwrap_or_default();
        let mut tickets = tickets.into_iter();
        (0..count).map(|_| Outgoing { stanza: stanza.clone(), ticket: tickets.next(), attempts, name, turn }).collect()
    }

    /// What is left of so many copies when these were not delivered: only if nobody was there to take one, one of them is
    /// decided about again. Who waits to hear of the others hears now.
    pub fn left_of(count: usize, mut missed: Vec<Self>) -> (Option<Self>, impl Iterator<Item = T>) {
        let again = if missed.len() == count { missed.pop() } else { None };
        (again, missed.into_iter().filter_map(|missed| missed.ticket))
    }
}
