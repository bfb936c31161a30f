//! `cresset-load`: measures any XMPP server from outside.
//!
//! ```text
//!  main ── arguments, runtime, exit code
//!   ├ login, bind, idle ── storms of log-ins and of binds, sessions that only stay
//!   ├ chat ── pairs that write to each other, every message accounted for
//!   ├ report, processes ── figures and where they come from
//!   └ client ── the XMPP client they all use
//! ```
//!
//! What is measured is told apart from what measures: the generator's own processor time is a figure of its own.

mod bind;
mod chat;
#[path = "../client/mod.rs"]
mod client;
mod idle;
mod login;
mod options;
mod processes;
mod progress;
mod report;

use clap::{Parser, Subcommand};
use client::ClientError;
use options::Service;
use report::Report;
use std::io::Write;
use std::process::ExitCode;

/// The run failed or lost something, and `--strict` was given.
const EXIT_STRICT: u8 = 1;
/// The options make no sense together; also what the parser of arguments ends with.
const EXIT_USAGE: u8 = 2;
/// Nobody could log in.
const EXIT_NOT_CONNECTED: u8 = 3;

/// Measures an XMPP server: log-ins, idle sessions, messages, storms of binds.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Exit codes:
  0  the run ended
  1  something failed or was lost, and --strict was given
  2  usage
  3  could not connect or log in

Examples:
  cresset-load chat  --address 127.0.0.1:5222 --password secret --tls off --pairs 64 --window 16 --pid 4711
  cresset-load chat  --address a:5222,b:5222,c:5222 --password secret --rate 3200 --sm --reconnect --seconds 60
  cresset-load login --address a:5222,b:5222 --password secret --users 500 --connections 64 --seconds 10
  cresset-load idle  --address a:5222 --password secret --users 10000 --pid 4711
  cresset-load bind  --address a:5222 --password secret --users 1000 --contend"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Logs users in again and again.
    Login(login::Options),
    /// Holds sessions that do nothing.
    Idle(idle::Options),
    /// Sends messages between pairs of users, and accounts for every one.
    Chat(chat::Options),
    /// Binds many authenticated connections at once.
    Bind(bind::Options),
}

/// What a run found.
#[derive(Debug)]
struct Finding {
    report: Report,
    /// Something failed or was lost.
    flawed: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (service, outcome) = match arguments.command {
        Command::Login(options) => (options.service.clone(), run(&options.service, login::run(&options))),
        Command::Idle(options) => (options.service.clone(), run(&options.service, idle::run(&options))),
        Command::Chat(options) => (options.service.clone(), run(&options.service, chat::run(&options))),
        Command::Bind(options) => (options.service.clone(), run(&options.service, bind::run(&options))),
    };
    match outcome {
        Ok(finding) => finish(&service, &finding),
        Err(error) => {
            complain(&error.to_string());
            let not_connected = error.downcast_ref::<ClientError>().is_some();
            ExitCode::from(if not_connected { EXIT_NOT_CONNECTED } else { EXIT_USAGE })
        }
    }
}

fn run(service: &Service, work: impl Future<Output = anyhow::Result<Finding>>) -> anyhow::Result<Finding> {
    let mut builder = match service.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let threads = usize::try_from(service.threads)?;
    builder.worker_threads(threads).enable_all().build()?.block_on(work)
}

fn finish(service: &Service, finding: &Finding) -> ExitCode {
    let text = if service.json {
        serde_json::to_string(&finding.report).expect("a report is JSON") + "\n"
    } else {
        finding.report.to_lines()
    };
    if std::io::stdout().write_all(text.as_bytes()).is_err() {
        // Nobody reads the report: as with any program at the head of a closed pipe.
        return ExitCode::from(EXIT_USAGE);
    }
    if finding.flawed && service.strict { ExitCode::from(EXIT_STRICT) } else { ExitCode::SUCCESS }
}

fn complain(text: &str) {
    // Without standard error there is nobody to tell; the exit code says it all the same.
    let _ = writeln!(std::io::stderr(), "cresset-load: {text}");
}
