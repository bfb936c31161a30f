//! `cresset node`: one node, from its configuration file to its end.
//!
//! SIGINT and SIGTERM stop it in good order within five seconds. SIGHUP reads the certificate again.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use cresset_core::cluster::STATE_VERSIONS;
use cresset_core::config::{Checked, Config};
use cresset_core::node::Unready;
use cresset_net::accounts::{OpenError, Opened, postgres};
use cresset_net::certificate::{self, Found};
use cresset_net::clients::{Certificate, DerivePool};
use cresset_net::clock::SystemClock;
use cresset_net::consensus::SNAPSHOT_ENTRIES;
use cresset_net::descriptors;
use cresset_net::disk::DirectoryDisk;
use cresset_net::health::Health;
use cresset_net::run::{LinkProtection, Parts, Reception, Running, StartError, start};
use cresset_net::runtime::{self, Workers};
use cresset_net::transport::TokioTransport;
use rand::rngs::{StdRng, SysRng};
use rand::{SeedableRng, TryRng};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::exit::Failure;
use crate::{configuration, signals, terminal};

/// How long a node may take to give its sessions and its leadership away, and to wait for an account store that is away.
/// Beyond it the process ends anyway, and the others see a crash, which they can deal with. Docker waits for ten seconds
/// before it kills.
const STOP_TIME_MAX: Duration = Duration::from_secs(9);

/// Bytes of a file with a join secret. Beyond it, it is not one.
const SECRET_BYTES_MAX: u64 = 4096;

/// A shorter secret could be found by trying.
const SECRET_BYTES_MIN: usize = 16;

/// Which node.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    sources: configuration::Sources,
    /// Stop when standard input is closed, so that the node does not outlive the program that started it
    #[arg(long)]
    stop_on_stdin_eof: bool,
}

/// Runs the node until it is told to stop.
///
/// # Errors
///
/// If it cannot start, or cannot go on.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Checked { config, warnings, ignored, files, .. } = arguments.sources.load()?;
    let shown = configuration::shown_warnings(&files, &warnings, &[]);
    for warning in shown.into_iter().chain(arguments.sources.warnings()) {
        tracing::warn!("{warning}");
    }
    if !ignored.is_empty() {
        let names: Vec<&str> = ignored.iter().map(|ignored| ignored.name.as_str()).collect();
        tracing::warn!(ignored = names.join(", "), "parts of the configuration have no meaning here");
    }
    end_at_the_first_panic();
    let seed = SysRng.try_next_u64().map_err(Failure::failed)?;
    let (control, clients) = runtime::threads().map_err(Failure::failed)?;
    let workers = Workers::of(clients.handle().clone());
    let served = serve(&config, arguments.sources.own_file(), workers, arguments.stop_on_stdin_eof);
    let outcome = control.block_on(runtime::scope(seed, served));
    // Whatever still runs has had its time.
    control.shutdown_background();
    clients.shutdown_background();
    outcome
}

/// A panic is a broken invariant: a node that goes on without the task that found it could do anything. Its process
/// ends, and the others carry on.
fn end_at_the_first_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
}

async fn serve(
    config: &Config,
    config_file: Option<&Path>,
    workers: Workers,
    stop_on_stdin_eof: bool,
) -> Result<(), Failure> {
    let mut stop = signals::Stop::listen().map_err(Failure::failed)?;
    let mut reload = signals::reload().map_err(Failure::failed)?;
    let mut abandoned = stop_on_stdin_eof.then(end_of_stdin);
    let mut node = tokio::select! {
        biased;
        () = stop.asked() => return Ok(()),
        started = begin(config, config_file, workers) => started?,
    };
    tracing::info!(node = %config.node.name, domain = %config.domain, member = %node.member(), "the node runs");
    loop {
        tokio::select! {
            biased;
            () = stop.asked() => break,
            () = closed(&mut abandoned) => break,
            _ = reload.recv() => show_certificate_again(config, &node),
            failure = node.failed() => return Err(Failure::failed(failure)),
        }
    }
    tracing::info!(node = %config.node.name, "the node stops");
    tokio::select! {
        biased;
        () = stop.asked() => tracing::warn!("told to stop twice: the node ends at once"),
        stopped = timeout(STOP_TIME_MAX, node.stop()) => {
            if stopped.is_err() {
                tracing::warn!("the node did not stop in good order within {} s", STOP_TIME_MAX.as_secs());
            }
        }
    }
    Ok(())
}

async fn begin(config: &Config, config_file: Option<&Path>, workers: Workers) -> Result<Running, Failure> {
    let mistaken = |error: &dyn std::fmt::Display| Failure::Configuration(format!("cresset: {error}"));
    let certificate = read_certificate(config)?;
    let disk = DirectoryDisk::open(&config.node.data).map_err(|error| {
        mistaken(&format_args!("the data directory '{}' cannot be used: {error}", config.node.data.display()))
    })?;
    // Before the account store, which may have to be waited for.
    let health = match config.node.health {
        Some(address) => Some(Health::open(address, Unready::Starting.to_string()).await.map_err(|error| {
            mistaken(&format_args!("cannot listen on {address}, where health is to be told: {error}"))
        })?),
        None => None,
    };
    let accounts = Opened::open_when_there(&config.accounts).await.map_err(|error| match error {
        // Nothing that the configuration says.
        OpenError::Postgres(postgres::OpenError::Failed { .. }) => Failure::failed(error),
        OpenError::Postgres(_) | OpenError::Sqlite(_) => mistaken(&error),
    })?;
    let parts = Parts {
        transport: TokioTransport,
        disk: Arc::new(disk),
        clock: SystemClock::start(),
        machine: accounts.machine().map_err(Failure::failed)?,
        accounts: accounts.into_shared(),
        link_protection: match &config.cluster.secret_file {
            Some(file) => LinkProtection::Secret(read_secret(file)?),
            None => LinkProtection::SharedSecret,
        },
        reception: Reception {
            certificate,
            derive: Arc::new(DerivePool::new(std::thread::available_parallelism().map_or(1, usize::from))),
            randomness: session_randomness,
            workers,
            descriptors: descriptors::raise(),
        },
        config_file: config_file.map(Path::to_owned),
        admin_socket: Some(config.node.admin_socket.clone()),
        follows_properties: true,
        versions: STATE_VERSIONS,
        health,
        snapshot_entries: SNAPSHOT_ENTRIES,
    };
    start(config, parts).await.map_err(|error| match error {
        StartError::Links { .. } | StartError::Doors(_) | StartError::Admin(_) => mistaken(&error),
        StartError::Founding(_) | StartError::Consensus(_) => Failure::failed(error),
    })
}

fn session_randomness() -> StdRng {
    StdRng::try_from_rng(&mut SysRng).expect("the operating system has random numbers")
}

/// The certificate that clients see; nothing for a witness. One that is made is shown, so that people can compare it.
fn read_certificate(config: &Config) -> Result<Option<Certificate>, Failure> {
    let mistaken = |error: &dyn std::fmt::Display| Failure::Configuration(format!("cresset: {error}"));
    let Some(Found { files, made }) = certificate::files(config).map_err(|error| mistaken(&error))? else {
        return Ok(None);
    };
    configuration::refuse_open(&files.key, "the private key")?;
    let certificate = Certificate::from_files(&files.chain, &files.key).map_err(|error| mistaken(&error))?;
    let fingerprint = certificate.fingerprint();
    if made {
        terminal::say(&format!("made a certificate for {}; its SHA-256 fingerprint is {fingerprint}", config.domain));
    }
    tracing::info!(file = %files.chain.display(), %fingerprint, "clients see this certificate");
    Ok(Some(certificate))
}

/// A certificate that cannot be used leaves the one before in place.
fn show_certificate_again(config: &Config, node: &Running) {
    match read_certificate(config) {
        Ok(Some(certificate)) => {
            if let Err(error) = node.replace_certificate(certificate) {
                tracing::warn!(%error, "the certificate was not replaced");
            }
        }
        Ok(None) => {}
        Err(failure) => {
            failure.show();
            tracing::warn!("the certificate was not replaced");
        }
    }
}

/// The join secret of the operator's.
///
/// # Errors
///
/// If the file cannot be used.
pub(crate) fn read_secret(file: &Path) -> Result<Vec<u8>, Failure> {
    let mistaken = |what: String| Failure::Configuration(format!("{}: {what}", file.display()));
    let unreadable = |error: std::io::Error| mistaken(format!("cannot be read: {error}"));
    configuration::refuse_open(file, "the join secret")?;
    let mut secret = Vec::new();
    File::open(file).map_err(unreadable)?.take(SECRET_BYTES_MAX + 1).read_to_end(&mut secret).map_err(unreadable)?;
    let secret = secret.trim_ascii();
    let length = u64::try_from(secret.len()).unwrap_or(u64::MAX);
    if secret.len() < SECRET_BYTES_MIN || length > SECRET_BYTES_MAX {
        let expected = format!("{SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}");
        return Err(mistaken(format!("a join secret has {expected} bytes, and this file has {length}")));
    }
    Ok(secret.to_vec())
}

/// A thread waits for it: a task that reads standard input would keep the process from ending.
fn end_of_stdin() -> oneshot::Receiver<()> {
    let (tell, ended) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        while std::io::stdin().lock().read(&mut ignored).is_ok_and(|count| count > 0) {}
        // Dropping it tells as well.
        drop(tell);
    });
    ended
}

async fn closed(abandoned: &mut Option<oneshot::Receiver<()>>) {
    match abandoned {
        Some(ended) => drop(ended.await),
        None => std::future::pending().await,
    }
}
