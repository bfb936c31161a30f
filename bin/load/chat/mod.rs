//! Pairs of users that write to each other, every message accounted for.
//!
//! ```text
//!  run ── logs everyone in, then starts all pairs at once
//!   └ pair (one task each) ── sender and receiver in one task: a window needs no channel
//!       ├ end ── one side: up, or on its way back after a cut
//!       └ ledger ── what became of each number
//! ```
//!
//! A message's id tells run, pair, number and time of sending, so nothing has to be looked up when it arrives.
//! With a window, `W` messages of a pair are outstanding; with a rate, they are sent whether or not the last one
//! arrived, and the time is stamped before the socket takes them, so that a server that pushes back is seen.

mod end;
mod ledger;
mod pair;
mod tally;

use crate::Finding;
use crate::client::{Account, ClientError, Server, StreamManagement, login};
use crate::options::{Service, parse_seconds};
use crate::processes::{Processes, own_cpu};
use crate::progress::Progress;
use clap::Args;
use end::End;
use pair::Pair;
use rand::TryRng;
use rand::rngs::SysRng;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tally::Tally;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Options of `chat`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) service: Service,
    /// Pairs of users; pair N is of the users 2N and 2N+1.
    #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pairs: u32,
    /// Messages outstanding per pair.
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    window: u32,
    /// Messages per second of all pairs together, instead of a window.
    #[arg(long, value_name = "NUMBER", conflicts_with = "window", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Bytes of each body.
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=200_000))]
    size: u32,
    /// How long to measure.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    seconds: Duration,
    /// How long to send before measuring.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse_seconds)]
    warmup: Duration,
    /// How long to wait at the end for what is outstanding.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds)]
    settle: Duration,
    /// With a window: write off what is outstanding after so long without a delivery.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = parse_seconds)]
    stall: Duration,
    /// Sender and receiver of a pair at the same address; without it the receiver is at the next one.
    #[arg(long)]
    same_node: bool,
    /// Address messages to the bare JID.
    #[arg(long)]
    bare: bool,
    /// Acknowledgements by stream management (XEP-0198) on both sides.
    #[arg(long)]
    sm: bool,
    /// Come back at the next address when cut off.
    #[arg(long)]
    reconnect: bool,
    /// Resume the session when coming back, and send again what was not acknowledged.
    #[arg(long, requires_all = ["sm", "reconnect"])]
    resume: bool,
    /// Do not log receivers in once more to fetch what is missing from the offline store.
    #[arg(long)]
    no_collect: bool,
    /// Resource of all users.
    #[arg(long, value_name = "RESOURCE", default_value = "load")]
    resource: String,
}

/// What all pairs share.
#[derive(Debug)]
struct Plan {
    options: Options,
    server: Server,
    /// Tells this run's messages from those of others that wait in an offline store.
    run: u16,
    /// The zero of the times in ids.
    epoch: Instant,
    delivered: Arc<AtomicU64>,
}

/// When a run sends, measures and ends.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    begin: Instant,
    measure: Instant,
    stop: Instant,
    end: Instant,
}

/// Runs all pairs.
///
/// # Errors
/// Someone cannot log in at the beginning.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Finding> {
    let mut run = [0; 2];
    SysRng.try_fill_bytes(&mut run)?;
    let plan = Arc::new(Plan {
        options: options.clone(),
        server: options.service.server()?,
        run: u16::from_le_bytes(run),
        epoch: Instant::now(),
        delivered: Arc::default(),
    });
    let pairs = log_in(&plan).await?;
    let begin = Instant::now();
    let measure = begin + options.warmup;
    let stop = measure + options.seconds;
    let schedule = Schedule { begin, measure, stop, end: stop + options.settle };
    let mut tasks = JoinSet::new();
    for pair in pairs {
        tasks.spawn(pair.run(schedule));
    }
    let progress = Progress::new("messages", Arc::clone(&plan.delivered));
    let mut processes = Processes::new(&options.service.pid);
    tokio::time::sleep_until(measure.into()).await;
    let (own, servers) = (own_cpu(), processes.cpu());
    tokio::time::sleep_until(stop.into()).await;
    let own = own_cpu().saturating_sub(own);
    let servers = (!processes.is_empty()).then(|| processes.cpu().saturating_sub(servers));
    let mut tally = Tally::default();
    while let Some(pair) = tasks.join_next().await {
        tally.add(pair?);
    }
    drop(progress);
    let report = tally.report(options, servers, own);
    Ok(Finding { flawed: tally.is_flawed(), report })
}

async fn log_in(plan: &Arc<Plan>) -> anyhow::Result<Vec<Pair>> {
    let service = &plan.options.service;
    let gate = Arc::new(Semaphore::new(usize::try_from(service.connections)?));
    let mut tasks: JoinSet<Result<Pair, ClientError>> = JoinSet::new();
    for index in 0..plan.options.pairs {
        let (plan, gate) = (Arc::clone(plan), Arc::clone(&gate));
        tasks.spawn(async move {
            let _permit = gate.acquire().await.expect("the gate is never closed");
            let number = usize::try_from(index).unwrap_or(0);
            let here = plan.options.service.address_of(number);
            let there = if plan.options.same_node { here } else { plan.options.service.address_of(number + 1) };
            let receiver = arrive(&plan, 2 * index + 1, there).await?;
            let sender = arrive(&plan, 2 * index, here).await?;
            Ok(Pair::new(plan, index, sender, receiver))
        });
    }
    let mut pairs = Vec::new();
    while let Some(pair) = tasks.join_next().await {
        pairs.push(pair??);
    }
    Ok(pairs)
}

async fn arrive(plan: &Arc<Plan>, user: u32, address: usize) -> Result<End, ClientError> {
    let account: Account = plan.options.service.account(user, Some(&plan.options.resource));
    let management = StreamManagement::from(plan.options.sm);
    let mut client = login(&plan.server, &plan.options.service.address[address], &account, management).await?;
    if plan.options.resume {
        client.keep_unacknowledged();
    }
    client.send_presence();
    client.flush().await?;
    Ok(End::new(Arc::clone(plan), account, address, client))
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0 && *rate <= 1e7);
    rate.ok_or_else(|| "expected a number above 0 and up to 10,000,000".to_owned())
}
