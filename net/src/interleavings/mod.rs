//! What threads share, under a checker of interleavings: `cargo test -p cresset-net --features interleavings --lib
//! interleavings`.
//!
//! ```text
//! publication  a route is added         against   parcels before and after it
//! service      the gate, another life   against   a session that enters
//! attach       a transport comes        against   the end of its session
//! mailbox      a mailbox closes, sleeps against   what is delivered
//! lane         a life ends              against   senders of a lane that is full
//! ```
//!
//! Each runs the product's own code on threads of the checker, and is run again with each fault that it is for
//! ([`Fault`]), which has to be found: a harness that finds nothing has shown nothing before.
//!
//! The checker is shuttle. Against loom: loom tries every order, and of the memory model too, but only of what is made of
//! loom's own types; a router of thirty of them with maps and channels of others is beyond its reach, and a harness would
//! be a copy of a piece of it. Shuttle switches threads at the types of [`sync`](crate::sync) alone, takes everything
//! between two of them as one step, and chooses orders at random: so it runs the router as it is. Either is some ten thousand
//! lines. AWS looks after shuttle (three releases in October and November 2026), tokio's authors after loom (0.7.3 in November
//! 2026, the one before in April 2024).
//!
//! What that leaves out: orders of memory weaker than sequential consistency (each atomic of the router is one value from
//! which nothing else follows, but for the pair of fences in `Router::enter` and `Router::set_service`); and the insides of
//! papaya and tokio, which are tested with such checkers by those who write them.

mod attach;
mod lane;
mod mailbox;
mod publication;
mod service;

use std::panic::catch_unwind;
use std::sync::Arc;

use cresset_core::cluster::{Route, RoutePresence};
use cresset_core::ids::{Incarnation, LogIndex, MemberId, RouteId, Sequence};
use cresset_core::jid::DomainPart;
use cresset_core::routing::{Home, Parcel};
use cresset_core::stanza::{Kind, MessageType, Stanza};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};

use crate::accounts::memory::MemoryAccounts;
use crate::clock::SystemClock;
use crate::router::{Router, SessionHandle};
use crate::runtime::Workers;
use crate::sync::{self, Fault};

/// Orders of threads in which a harness is run by each of two schedulers. Every fault here is found within some dozens.
const ORDERS: usize = 1_000;

/// Preemptions of one run for which the second scheduler looks: most faults between threads need one or two (Burckhardt and
/// others, "A randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010).
const DEPTH: usize = 3;

/// The same orders in every run; `SHUTTLE_RANDOM_SEED` tries others.
const SEED: u64 = 1;

/// Bytes of the stack of a thread of the checker. Its default is too little for the product unoptimised.
const STACK_BYTES: usize = 1024 * 1024;

/// Runs a harness in many orders of its threads. One that fails prints its order for [`shuttle::replay`].
fn check(harness: fn()) {
    run(harness, FailurePersistence::Print);
}

/// Runs a harness with a fault, which it has to find.
fn finds(fault: Fault, harness: fn()) {
    let run = || sync::with(Some(fault), || run(harness, FailurePersistence::None));
    assert!(catch_unwind(run).is_err(), "{fault:?} was not found");
}

fn run(harness: fn(), failure_persistence: FailurePersistence) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.failure_persistence = failure_persistence;
    // That it knows one order of memory is said above.
    config.silence_warnings = true;
    Runner::new(RandomScheduler::new_from_seed(SEED, ORDERS), config.clone()).run(harness);
    Runner::new(PctScheduler::new_from_seed(SEED, DEPTH, ORDERS), config).run(harness);
}

/// A router that has no links, of a node that begins.
fn router() -> Arc<Router> {
    let domain = DomainPart::new("capulet.example").expect("a domain");
    let (router, _requests) =
        Router::new(domain, MemberId(2), Arc::new(MemoryAccounts::new()), SystemClock::start(), Workers::here());
    router
}

/// The route of a session of that router, by the entry at this position.
fn route_of(session: &SessionHandle, index: u64) -> Arc<Route> {
    Arc::new(Route {
        id: RouteId { index: LogIndex(index), position: 0 },
        jid: "juliet@capulet.example/balcony".parse().expect("an address"),
        member: MemberId(2),
        incarnation: Incarnation(1),
        session: session.id,
        presence: RoutePresence { priority: Some(0), interested: false },
    })
}

/// What another member sends by a route, with its number there.
fn parcel(route: RouteId, number: u64) -> Parcel {
    let home = Home::Member { member: MemberId(1), incarnation: Incarnation(1), number: Sequence(number) };
    Parcel { stanza: Stanza::new(Kind::Message(MessageType::Chat)), route, home }
}

fn number_of(parcel: &Parcel) -> u64 {
    match parcel.home {
        Home::Member { number, .. } => number.0,
        Home::Here { .. } | Home::Named { .. } | Home::Offline { .. } => unreachable!("another member has sent it"),
    }
}
