//! Sessions that only stay: what one costs in memory, and whether they stay.
//!
//! The servers' memory is read before the first log-in and after the last, once the sessions have been quiet for a
//! while; the difference is divided by the sessions. Run it twice and believe the second run: a server's first
//! thousand sessions also pay for what it never gives back.

use crate::Finding;
use crate::client::{Arrival, Client, ClientError, Server, login};
use crate::options::{Service, parse_seconds, parse_users};
use crate::processes::Processes;
use crate::progress::Progress;
use crate::report::{Counts, Report};
use clap::Args;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How long a server may take to say farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// Options of `idle`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) service: Service,
    /// How many sessions.
    #[arg(long, value_name = "NUMBER", default_value = "1000", value_parser = parse_users)]
    users: u32,
    /// How long to hold them.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    seconds: Duration,
    /// Do not send presence.
    #[arg(long)]
    no_presence: bool,
    /// Enable stream management.
    #[arg(long)]
    sm: bool,
}

/// Logs everyone in and holds them.
///
/// # Errors
/// Nobody can log in.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Finding> {
    let server = options.service.server()?;
    let processes = Processes::new(&options.service.pid);
    let before = processes.resident_kib();
    let begun = Instant::now();
    let (mut clients, mut failures) = (Vec::new(), Counts::default());
    let mut first_failure = None;
    let up = Arc::new(AtomicU64::new(0));
    let progress = Progress::new("sessions", Arc::clone(&up));
    let mut tasks = log_in(options, &server, &up)?;
    while let Some(outcome) = tasks.join_next().await {
        match outcome? {
            Ok(client) => clients.push(client),
            Err(error) => {
                failures.add(error.label());
                first_failure.get_or_insert(error);
            }
        }
    }
    if let Some(error) = first_failure.filter(|_| clients.is_empty()) {
        return Err(error.into());
    }
    let took = begun.elapsed();
    let sessions = clients.len();
    let until = Instant::now() + options.seconds;
    let mut holders = JoinSet::new();
    for client in clients {
        holders.spawn(hold(client, until));
    }
    tokio::time::sleep_until(until.into()).await;
    let after = processes.resident_kib();
    let mut lost = Counts::default();
    while let Some(outcome) = holders.join_next().await {
        if let Err(error) = outcome? {
            lost.add(error.label());
        }
    }
    drop(progress);
    let mut report = Report::default();
    report.count("sessions", sessions as u64);
    report.measure("logged in within", took.as_secs_f64(), "s");
    if !processes.is_empty() {
        report.measure("server memory before", before as f64 / 1024.0, "MiB");
        report.measure("server memory", after as f64 / 1024.0, "MiB");
        let each = (after as f64 - before as f64) / sessions.max(1) as f64;
        report.measure("server memory per session", each, "KiB");
    }
    report.count("lost", lost.total());
    report.group("losses", lost.report());
    report.count("failed", failures.total());
    report.group("failures", failures.report());
    Ok(Finding { flawed: lost.total() + failures.total() > 0, report })
}

fn log_in(
    options: &Options,
    server: &Server,
    up: &Arc<AtomicU64>,
) -> anyhow::Result<JoinSet<Result<Client, ClientError>>> {
    let gate = Arc::new(Semaphore::new(usize::try_from(options.service.connections)?));
    let mut tasks = JoinSet::new();
    for index in 0..options.users {
        let (options, server, gate, up) = (options.clone(), server.clone(), Arc::clone(&gate), Arc::clone(up));
        tasks.spawn(async move {
            let _permit = gate.acquire().await.expect("the gate is never closed");
            let account = options.service.account(index, Some("idle"));
            let address = &options.service.address[options.service.address_of(usize::try_from(index).unwrap_or(0))];
            let mut client = login(&server, address, &account, options.sm.into()).await?;
            if !options.no_presence {
                client.send_presence();
                client.flush().await?;
            }
            up.fetch_add(1, Ordering::Relaxed);
            Ok(client)
        });
    }
    Ok(tasks)
}

/// Answers what the server asks until the time is up.
async fn hold(mut client: Client, until: Instant) -> Result<(), ClientError> {
    let staying = async {
        loop {
            client.drain(|_: Arrival<'_>| {})?;
            poll_fn(|context| client.poll_io(context)).await?;
        }
    };
    let outcome: Result<Result<(), ClientError>, _> = tokio::time::timeout_at(until.into(), staying).await;
    match outcome {
        Ok(ended) => ended,
        Err(_) => {
            client.close(FAREWELL).await;
            Ok(())
        }
    }
}
