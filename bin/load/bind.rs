//! A storm of binds: everyone is authenticated first, then all bind at once.
//!
//! A stream binds once, so a round is a storm of log-ins of which only the last step is measured. With `--contend`
//! all connections are of one user and ask for the same full JID: what is counted is who was refused, who was
//! replaced, and how many hold it in the end (one, or the server breaks RFC 6120, section 7.7.2.2).

use crate::Finding;
use crate::client::{Arrival, Bind, Client, ClientError, Server, StreamManagement, authenticate};
use crate::options::{Service, parse_seconds, parse_users};
use crate::processes::{Processes, own_cpu};
use crate::progress::Progress;
use crate::report::{Counts, Latency, Report};
use clap::Args;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How long a server may take to say farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// Options of `bind`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) service: Service,
    /// How many connections bind at once.
    #[arg(long, value_name = "NUMBER", default_value = "1000", value_parser = parse_users)]
    users: u32,
    /// How often.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// All connections are of one user and ask for the same resource.
    #[arg(long)]
    contend: bool,
    /// With --contend: how long to wait for the replaced sessions to be told.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = parse_seconds)]
    quiet: Duration,
}

/// What all rounds found.
#[derive(Debug, Default)]
struct Tally {
    binds: Latency,
    took: Duration,
    own: Duration,
    servers: Duration,
    failures: Counts,
    endings: Counts,
    /// Rounds that did not end with exactly one holder.
    contested: u64,
}

/// Runs the rounds.
///
/// # Errors
/// Not even the first connections can be authenticated.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Finding> {
    let server = options.service.server()?;
    let done = Arc::new(AtomicU64::new(0));
    let progress = Progress::new("connections authenticated or bound", Arc::clone(&done));
    let mut processes = Processes::new(&options.service.pid);
    let mut tally = Tally::default();
    for _ in 0..options.rounds {
        let ready = gather(options, &server, &done, &mut tally.failures).await?;
        let (own, servers, begun) = (own_cpu(), processes.cpu(), Instant::now());
        let clients = storm(options, ready, &done, &mut tally).await?;
        tally.took += begun.elapsed();
        tally.own += own_cpu().saturating_sub(own);
        tally.servers += processes.cpu().saturating_sub(servers);
        part(options, clients, &mut tally).await?;
    }
    drop(progress);
    let mut report = Report::default();
    let binds = tally.binds.len();
    report.count("binds", binds);
    report.measure("rate", binds as f64 / tally.took.as_secs_f64(), "binds/s");
    report.group("until answered", tally.binds.report());
    if !processes.is_empty() {
        report.measure("server CPU", tally.servers.as_secs_f64() * 1e6 / binds.max(1) as f64, "µs/bind");
    }
    report.measure("own CPU", tally.own.as_secs_f64() * 1e6 / binds.max(1) as f64, "µs/bind");
    if options.contend {
        report.group("endings", tally.endings.report());
        report.count("rounds without exactly one holder", tally.contested);
    }
    report.count("failed", tally.failures.total());
    report.group("failures", tally.failures.report());
    let refused_by_right = if options.contend { tally.failures.total() } else { 0 };
    Ok(Finding { flawed: tally.failures.total() - refused_by_right + tally.contested > 0, report })
}

/// Authenticates everyone.
async fn gather(
    options: &Options,
    server: &Server,
    done: &Arc<AtomicU64>,
    failures: &mut Counts,
) -> anyhow::Result<Vec<Bind>> {
    let gate = Arc::new(Semaphore::new(usize::try_from(options.service.connections)?));
    let mut tasks: JoinSet<Result<Bind, ClientError>> = JoinSet::new();
    for index in 0..options.users {
        let (service, server, gate, done) =
            (options.service.clone(), server.clone(), Arc::clone(&gate), Arc::clone(done));
        let user = if options.contend { 0 } else { index };
        tasks.spawn(async move {
            let _permit = gate.acquire().await.expect("the gate is never closed");
            let address = &service.address[service.address_of(usize::try_from(index).unwrap_or(0))];
            let ready = authenticate(&server, address, &service.account(user, None)).await?;
            done.fetch_add(1, Ordering::Relaxed);
            Ok(ready)
        });
    }
    let (mut ready, mut first_failure) = (Vec::new(), None);
    while let Some(outcome) = tasks.join_next().await {
        match outcome? {
            Ok(bind) => ready.push(bind),
            Err(error) => {
                failures.add(error.label());
                first_failure.get_or_insert(error);
            }
        }
    }
    match first_failure.filter(|_| ready.is_empty()) {
        Some(error) => Err(error.into()),
        None => Ok(ready),
    }
}

/// Binds them all at once.
async fn storm(
    options: &Options,
    ready: Vec<Bind>,
    done: &Arc<AtomicU64>,
    tally: &mut Tally,
) -> anyhow::Result<Vec<Client>> {
    let patience = options.service.patience;
    let mut tasks = JoinSet::new();
    for bind in ready {
        let done = Arc::clone(done);
        tasks.spawn(async move {
            let begun = Instant::now();
            let outcome = tokio::time::timeout(patience, bind.bind(Some("storm"), StreamManagement::Off)).await;
            done.fetch_add(1, Ordering::Relaxed);
            (begun.elapsed(), outcome.unwrap_or(Err(ClientError::TimedOut(crate::client::Step::Bind))))
        });
    }
    let mut clients = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        match outcome? {
            (took, Ok(client)) => {
                tally.binds.record(took);
                clients.push(client);
            }
            (_, Err(error)) => tally.failures.add(error.label()),
        }
    }
    Ok(clients)
}

/// Ends the round; with contention after counting who still holds the JID.
async fn part(options: &Options, clients: Vec<Client>, tally: &mut Tally) -> anyhow::Result<()> {
    let until = Instant::now() + options.quiet;
    let mut tasks = JoinSet::new();
    for client in clients {
        let contend = options.contend;
        tasks.spawn(async move {
            match contend {
                true => ending(client, until).await,
                false => {
                    client.close(FAREWELL).await;
                    None
                }
            }
        });
    }
    let mut holders = 0;
    while let Some(ended) = tasks.join_next().await {
        match ended? {
            Some(error) => tally.endings.add(error.label()),
            None => holders += 1,
        }
    }
    if options.contend {
        tally.contested += u64::from(holders != 1);
    }
    Ok(())
}

/// How a session ended by itself, `None` if it still holds its JID at the end.
async fn ending(mut client: Client, until: Instant) -> Option<ClientError> {
    let staying = async {
        loop {
            if let Err(error) = client.drain(|_: Arrival<'_>| {}) {
                return error;
            }
            if let Err(error) = poll_fn(|context| client.poll_io(context)).await {
                return error;
            }
        }
    };
    let ended = tokio::time::timeout_at(until.into(), staying).await.ok();
    if ended.is_none() {
        client.close(FAREWELL).await;
    }
    ended
}
