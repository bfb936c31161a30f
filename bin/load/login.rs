//! A storm of log-ins: each worker logs the next user in, out, and the one after.
//!
//! Every user is logged in once before the clock starts, so that the generator's own derivation of password hashes
//! (milliseconds each) is not in the figures; after that the keys are remembered (RFC 5802, section 3).

use crate::Finding;
use crate::client::{Account, ClientError, LoginTimes, Server, StreamManagement, login};
use crate::options::{Service, parse_seconds, parse_users};
use crate::processes::{Processes, own_cpu};
use crate::progress::Progress;
use crate::report::{Counts, Latency, Report};
use clap::Args;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long a server may take to say farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// Pause of a worker after a failure: a port that refuses must not make the generator spin.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// Options of `login`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) service: Service,
    /// How many users take turns.
    #[arg(long, value_name = "NUMBER", default_value = "200", value_parser = parse_users)]
    users: u32,
    /// How long to go on.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    seconds: Duration,
    /// Log-ins per second at most; without it as many as there can be.
    #[arg(long, value_name = "NUMBER")]
    rate: Option<u32>,
    /// Send presence after each log-in.
    #[arg(long)]
    presence: bool,
    /// Enable stream management at each log-in.
    #[arg(long)]
    sm: bool,
    /// Measure the first log-ins too, with the generator's derivation of password hashes.
    #[arg(long)]
    cold: bool,
}

/// What one worker, or all, found.
#[derive(Debug, Default)]
struct Tally {
    connected: Latency,
    authenticated: Latency,
    bound: Latency,
    failures: Counts,
}

/// What the workers share.
#[derive(Debug)]
struct Storm {
    options: Options,
    server: Server,
    next: AtomicU64,
    done: Arc<AtomicU64>,
    begin: Instant,
}

/// Runs the storm.
///
/// # Errors
/// Not even the first user can log in.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Finding> {
    let server = options.service.server()?;
    if options.cold {
        let account = options.service.account(0, Some("load"));
        login(&server, &options.service.address[0], &account, StreamManagement::Off).await?.close(FAREWELL).await;
    } else {
        warm_up(options, &server).await?;
    }
    let done = Arc::new(AtomicU64::new(0));
    let progress = Progress::new("log-ins", Arc::clone(&done));
    let mut processes = Processes::new(&options.service.pid);
    let (own, servers, begin) = (own_cpu(), processes.cpu(), Instant::now());
    let storm = Storm { options: options.clone(), server, next: AtomicU64::new(0), done, begin };
    let storm = Arc::new(storm);
    let mut workers = JoinSet::new();
    for worker in 0..options.service.connections {
        workers.spawn(work(Arc::clone(&storm), worker));
    }
    let mut total = Tally::default();
    while let Some(tally) = workers.join_next().await {
        total.add(tally?);
    }
    drop(progress);
    let took = begin.elapsed();
    let mut report = total.report(took);
    let logins = total.bound.len().max(1) as f64;
    if !processes.is_empty() {
        report.measure("server CPU", processes.cpu().saturating_sub(servers).as_secs_f64() * 1e6 / logins, "µs/login");
    }
    report.measure("own CPU", own_cpu().saturating_sub(own).as_secs_f64() * 1e6 / logins, "µs/login");
    Ok(Finding { flawed: total.failures.total() > 0, report })
}

/// Logs everyone in once; the first failure ends it, because a storm of refusals measures nothing.
async fn warm_up(options: &Options, server: &Server) -> anyhow::Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let progress = Progress::new("users warmed up", Arc::clone(&next));
    let mut workers: JoinSet<Result<(), ClientError>> = JoinSet::new();
    for _ in 0..options.service.connections.min(options.users) {
        let (service, server, next, users) =
            (options.service.clone(), server.clone(), Arc::clone(&next), options.users);
        workers.spawn(async move {
            loop {
                let Some(index) = u32::try_from(next.fetch_add(1, Ordering::Relaxed)).ok().filter(|i| *i < users)
                else {
                    return Ok(());
                };
                let account = service.account(index, Some("load"));
                let client = login(&server, &service.address[0], &account, StreamManagement::Off).await?;
                client.close(FAREWELL).await;
            }
        });
    }
    while let Some(outcome) = workers.join_next().await {
        outcome??;
    }
    drop(progress);
    Ok(())
}

async fn work(storm: Arc<Storm>, worker: u32) -> Tally {
    let mut tally = Tally::default();
    // A resource of its own for each worker: a user's turn may come again before the last one has ended.
    let resource = format!("load{worker}");
    let service = &storm.options.service;
    let end = storm.begin + storm.options.seconds;
    loop {
        let turn = storm.next.fetch_add(1, Ordering::Relaxed);
        if let Some(rate) = storm.options.rate.filter(|rate| *rate > 0) {
            let due = storm.begin + Duration::from_secs_f64(turn as f64 / f64::from(rate));
            tokio::time::sleep_until(due.min(end).into()).await;
        }
        if Instant::now() >= end {
            return tally;
        }
        let index = u32::try_from(turn % u64::from(storm.options.users)).unwrap_or(0);
        let account = service.account(index, Some(&resource));
        let address = &service.address[service.address_of(usize::try_from(turn).unwrap_or(0))];
        match once(&storm, address, &account).await {
            Ok(times) => {
                tally.connected.record(times.connected);
                tally.authenticated.record(times.authenticated);
                tally.bound.record(times.bound);
                storm.done.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                tally.failures.add(error.label());
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

async fn once(storm: &Storm, address: &str, account: &Account) -> Result<LoginTimes, ClientError> {
    let mut client = login(&storm.server, address, account, storm.options.sm.into()).await?;
    let times = client.times();
    if storm.options.presence {
        client.send_presence();
    }
    client.close(FAREWELL).await;
    Ok(times)
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.connected.add(&other.connected);
        self.authenticated.add(&other.authenticated);
        self.bound.add(&other.bound);
        self.failures.merge(other.failures);
    }

    fn report(&self, took: Duration) -> Report {
        let mut report = Report::default();
        report.count("logins", self.bound.len());
        report.measure("rate", self.bound.len() as f64 / took.as_secs_f64(), "logins/s");
        report.group("until connected", self.connected.report());
        report.group("until authenticated", self.authenticated.report());
        report.group("until bound", self.bound.report());
        report.count("failed", self.failures.total());
        report.group("failures", self.failures.report());
        report
    }
}
