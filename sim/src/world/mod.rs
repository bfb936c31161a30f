//! One run from its first to its last millisecond: hosts on a simulated network, faults by the plan, a verdict.
//!
//! Simulations of one process run one after the other, because a crash drops tasks in an order that depends on a counter
//! of the process.

mod desk;
mod faults;
mod node;
pub(crate) mod panics;
mod weather;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;

use crate::client::{self, Door, User};
use crate::history::History;
use crate::parts::{self, CLIENT_PORT, FallibleAccounts, Gate, Outage, Switchboard};
use crate::plan::Plan;
use crate::report::{Report, Violation};
use crate::trace::{self, NodeLog, Trace};
use crate::{CAN_REPEAT, CANNOT_REPEAT, invariants};

use faults::{Breakable, Breaker};
use node::{Ground, Surroundings};

pub use weather::{Trouble, Weather};

/// The XMPP domain of every world.
pub const DOMAIN: &str = "sim.example";

/// Segments that may be under way on one connection, and connections that may wait to be accepted: more panics.
const TCP_CAPACITY: usize = 4096;

/// Tasks are numbered by the process; a crash drops them in the order of their numbers modulo a small power of two.
const TASK_NUMBERS: u64 = 64;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Carries a plan out and checks what came of it.
///
/// # Panics
///
/// In a build in which no run can be repeated.
pub fn run(plan: &Plan, trace: Trace) -> Report {
    if !CAN_REPEAT {
        panic!("{CANNOT_REPEAT}");
    }
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let history = History::new(trace.clone());
    let subscriber = tracing_subscriber::registry().with(NodeLog::new(trace.clone(), Level::DEBUG));
    #[cfg(cresset_simulated)]
    let _listening = parts::Listening::to(history.clone());
    let ran = tracing::subscriber::with_default(subscriber, || {
        align_task_numbers();
        panics::caught(|| carry_out(plan, &history))
    });
    let records = history.records();
    let mut violations = invariants::check(plan, &records);
    match ran {
        Ok(Ok(())) => {}
        Ok(Err(error)) => violations.insert(0, broken_off(format!("the world ended early: {error}"))),
        Err(panic) => violations.insert(0, broken_off(panic)),
    }
    Report { plan: plan.clone(), history: records, violations, trace: trace.sum(), records: trace.records() }
}

fn carry_out(plan: &Plan, history: &History) -> turmoil::Result {
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(plan.seed.of("network", 0))
        .epoch(UNIX_EPOCH)
        .tick_duration(Duration::from_millis(1))
        .simulation_duration(plan.ends_at + Duration::from_secs(1))
        .tcp_capacity(TCP_CAPACITY)
        .min_message_latency(plan.latency.0)
        .max_message_latency(plan.latency.1);
    let mut sim = builder.build();
    trace::set_now(Duration::ZERO);
    let names = plan.node_names();
    let addresses: Vec<IpAddr> = names.iter().map(|name| sim.lookup(name.as_str())).collect();
    let users = plan.user_names();
    let weather = Weather::default();
    let mut breaker = build(&mut sim, plan, &names, &addresses, &weather, history);
    let doors: Vec<Door> = names
        .iter()
        .zip(&addresses)
        .take(plan.servers())
        .map(|(node, address)| Door { node: node.clone(), address: SocketAddr::new(*address, CLIENT_PORT) })
        .collect();
    for (number, name) in users.iter().enumerate() {
        let user = user(plan, number, &users, &doors, &weather);
        let history = history.clone();
        sim.client(name.as_str(), async move {
            client::live(user, history).await;
            Ok(())
        });
    }

    let mut has_healed = false;
    while sim.elapsed() < plan.ends_at {
        trace::set_now(sim.elapsed());
        breaker.follow(&mut sim, plan);
        if !has_healed && sim.elapsed() >= plan.heals_at {
            has_healed = true;
            breaker.heal(&mut sim);
        }
        sim.step()?;
    }
    Ok(())
}

/// Builds the nodes, and everything about them that can break.
fn build<'a>(
    sim: &mut turmoil::Sim<'a>,
    plan: &Plan,
    names: &[String],
    addresses: &[IpAddr],
    weather: &Weather,
    history: &History,
) -> Breaker {
    let users = plan.user_names();
    let (store, outage) = (Gate::default(), Outage::default());
    let accounts = parts::accounts(users.iter().map(String::as_str));
    let switchboard = Switchboard::new(addresses, plan.seed.generator("links", 0));
    let surroundings = Surroundings {
        seed: plan.seed,
        addresses: addresses.to_vec(),
        servers: plan.servers(),
        lists: plan.lists,
        accounts: FallibleAccounts::new(accounts.clone(), store.clone(), outage.clone()),
        follows_properties: plan.sets_properties(),
        switchboard: switchboard.clone(),
        snapshot_entries: plan.snapshot_entries,
        turns: plan.turns,
        program: plan.first_program(),
        history: history.clone(),
    };
    let mut grounds = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let drift = plan.drifts_ppm.get(number).copied().unwrap_or_default();
        let ground = Ground::new(name, number, drift, surroundings.clone());
        grounds.push(ground.clone());
        sim.host(name.as_str(), move || node::live(ground.clone()));
    }
    let world = Breakable {
        seed: plan.seed,
        names: names.to_vec(),
        hosts: names.iter().cloned().chain(users).collect(),
        grounds,
        switchboard,
        store,
        outage,
        accounts,
        weather: weather.clone(),
        history: history.clone(),
    };
    Breaker::new(world, plan)
}

/// The n-th user talks with the one beside him, and begins at another node than that one.
fn user(plan: &Plan, number: usize, users: &[String], doors: &[Door], weather: &Weather) -> User {
    let mut doors = doors.to_vec();
    let first = plan.users[number].node % doors.len();
    doors.rotate_left(first);
    User {
        number,
        weather: weather.clone(),
        name: users[number].clone(),
        domain: DOMAIN.to_owned(),
        stranger: plan.looks_at_strangers().then(|| users[(number + 2) % users.len()].clone()),
        peer: users.get(plan.users[number].peer).cloned().unwrap_or_else(|| "nobody".into()),
        doors,
        peer_number: plan.users[number].peer,
        pace: plan.users[number].pace,
        resumes: plan.users[number].resumes,
        leaves: plan.users[number].leaves,
        watches: plan.users[number].watches,
        shares: plan.users[number].shares,
        silent_from: plan.silent_from,
        seed: plan.seed,
    }
}

/// Lets the numbers of tasks begin at a multiple of [`TASK_NUMBERS`].
fn align_task_numbers() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    runtime.block_on(async {
        loop {
            let task = tokio::spawn(async {});
            let number: u64 = task.id().to_string().parse().expect("a task's id is a number");
            task.await.expect("the task does nothing");
            if number % TASK_NUMBERS == TASK_NUMBERS - 1 {
                return;
            }
        }
    });
}

fn broken_off(text: String) -> Violation {
    Violation { invariant: "sound_nodes", at: None, text }
}
