//! What machines that decide about stanzas want done for them, and what they are told of it.
//!
//! ```text
//! Sender, RetryQueue ──Errand──▶ whoever has lanes, mailboxes and the store ──Report──▶ Sender, RetryQueue
//! ```
//!
//! An errand is carried out before the next one is asked for. What was done at once needs no report.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::RouteId;
use crate::jid::{BareJid, DomainPart};
use crate::routing::decide::ChosenRoutes;
use crate::routing::outgoing::Outgoing;
use crate::routing::paths::Way;
use crate::routing::row::Turn;
use crate::sometimes;
use crate::stanza::ErrorCondition;

/// What a node sees when it decides about a stanza.
#[derive(Debug)]
pub struct Sight<'a, V> {
    /// The domain that the cluster serves.
    pub domain: &'a DomainPart,
    /// Who is where.
    pub view: &'a V,
    /// Counts the lives of this member in this process.
    pub generation: u64,
}

impl<V> Clone for Sight<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Sight<'_, V> {}

/// A wait for the sake of one account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitId {
    /// For whom the stanza is.
    pub account: BareJid,
    /// Tells it from other waits for the same account: one that was given up is not taken for the next one.
    pub(super) number: u64,
}

/// What is to be done for a stanza.
#[derive(PartialEq, Eq, Debug)]
pub enum Errand<T> {
    /// Who waits for it hears that it is taken care of.
    Handled(T),
    /// A copy goes to each of these; never none. [`Report::Missed`] if nobody took one, [`Report::Full`] if a lane has no
    /// room; otherwise it is done.
    Deliver {
        /// The wait, if there is to be one.
        wait: WaitId,
        /// Where to.
        chosen: ChosenRoutes,
        /// What.
        outgoing: Outgoing<T>,
    },
    /// It is stored for the account of the wait; answered by [`Report::Stored`].
    Store {
        /// The wait, whose account it is for.
        wait: WaitId,
        /// What.
        outgoing: Outgoing<T>,
    },
    /// Something is waited for; answered by [`Report::Over`].
    Await {
        /// The wait.
        wait: WaitId,
        /// For what.
        what: Awaited,
    },
}

/// What is waited for.
#[derive(PartialEq, Eq, Debug)]
pub enum Awaited {
    /// Nothing is under way on any of these; for no longer than `at_most`, if that is said, from the moment on in which every
    /// member that holds one of them has answered: a member that is not heard is expelled, which ends the wait as well.
    Clear {
        /// The routes.
        ways: Vec<Way>,
        /// The longest time.
        at_most: Option<Duration>,
    },
    /// As [`Clear`](Awaited::Clear), and after it all that is earlier than that turn in the
    /// [`RetryQueue`](crate::routing::RetryQueue) of the account is decided; or the life of the node is over.
    Turn {
        /// The routes.
        ways: Vec<Way>,
        /// The longest time for the routes.
        at_most: Option<Duration>,
        /// The turn.
        turn: Turn,
    },
    /// The view has moved on; for no longer than that.
    View(Duration),
    /// So much time has passed.
    Time(Duration),
    /// Whoever is there of the account was told that something is stored.
    Nudge,
}

/// What became of an [`Errand`].
#[derive(Debug)]
pub enum Report<T> {
    /// Nobody took what was to be delivered.
    Missed {
        /// The wait of the errand.
        wait: WaitId,
        /// What is left.
        outgoing: Outgoing<T>,
    },
    /// A lane has no room. [`Report::Sent`] comes later.
    Full {
        /// The wait of the errand.
        wait: WaitId,
        /// What it keeps until then, in bytes.
        bytes: usize,
    },
    /// The lanes have taken it.
    Sent {
        /// The wait of the errand.
        wait: WaitId,
        /// What they have not taken, because those to whom they lead are gone.
        missed: Vec<Outgoing<T>>,
    },
    /// The store has answered.
    Stored {
        /// The wait of the errand.
        wait: WaitId,
        /// What was to be stored.
        outgoing: Outgoing<T>,
        /// The answer.
        answer: StoreAnswer,
    },
    /// What was waited for is there.
    Over {
        /// The wait of the errand.
        wait: WaitId,
        /// By which ways something earlier went to that account meanwhile.
        ways: Vec<Way>,
    },
}

/// What the store says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreAnswer {
    /// It keeps the message.
    Kept,
    /// It has no room for the account, or there is no such account.
    Refused,
    /// It is away, or has too much to do.
    Away,
    /// It cannot keep the message.
    Failed,
}

/// What a stanza said to an account that ends, or whose life of the node has: somebody else decides about it.
#[derive(PartialEq, Eq, Debug)]
pub struct Said<T> {
    /// What.
    pub outgoing: Outgoing<T>,
    /// In which life of the node.
    pub generation: u64,
    /// The route that its sender held, by which its farewell is known from that of somebody it replaced.
    pub own: Option<RouteId>,
    /// By which ways earlier ones of it may be under way.
    pub ways: Vec<Way>,
}

/// What follows when the store has answered.
pub(super) enum AfterStore<T> {
    /// Whoever is there is told, and who waits for it hears that it is handled.
    Tell(Option<T>),
    /// This error goes in its place.
    Bounce(Outgoing<T>),
    /// Nobody is told anything, but who waits for it.
    Nothing(Option<T>),
    /// It is decided about again after a while.
    Later(Outgoing<T>),
}

impl StoreAnswer {
    /// What follows for this stanza.
    pub(super) fn then<T>(self, outgoing: Outgoing<T>) -> AfterStore<T> {
        let condition = match self {
            StoreAnswer::Kept => return AfterStore::Tell(outgoing.ticket),
            // Its sender was told that it is taken care of, and may be gone.
            StoreAnswer::Away if outgoing.ticket.is_none() => {
                sometimes!("an_acknowledged_message_waits_for_the_store");
                return AfterStore::Later(outgoing);
            }
            // The same for both, so that nobody learns which accounts exist.
            StoreAnswer::Refused => ErrorCondition::ServiceUnavailable,
            StoreAnswer::Away | StoreAnswer::Failed => ErrorCondition::ResourceConstraint,
        };
        match outgoing.bounce(condition) {
            Ok(error) => AfterStore::Bounce(error),
            Err(ticket) => AfterStore::Nothing(ticket),
        }
    }
}

/// The places at the store of those who want something stored. Who gets none stands in line for one.
#[derive(Debug)]
pub(super) struct Places {
    free: usize,
    line: VecDeque<BareJid>,
}

impl Places {
    pub(super) fn new(count: usize) -> Places {
        Places { free: count, line: VecDeque::new() }
    }

    /// Whether there is a place now.
    pub(super) fn take(&mut self, account: &BareJid) -> bool {
        if self.free == 0 {
            self.line.push_back(account.clone());
            return false;
        }
        self.free -= 1;
        true
    }

    /// A place is free: for whom it is.
    pub(super) fn pass_on(&mut self) -> Option<BareJid> {
        let next = self.line.pop_front();
        if next.is_none() {
            self.free += 1;
        }
        next
    }
}
