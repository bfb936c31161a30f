//! Logs on standard error: lines for people, or JSON for machines.
//!
//! What goes into a log is decided where it is written: ids as fields, never a password, body or nonce.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::exit::Failure;

/// openraft tells its story at INFO, and of a peer that is away with every heartbeat and election; what an operator needs
/// of that is told by the node itself, once.
const QUIET: &str = "openraft=error";

/// How logs are written.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: Format,
    /// Which log lines are written: a level, or levels for parts, like 'info' or 'warn,cresset_net::links=debug'
    #[arg(long, global = true, env = "CRESSET_LOG", default_value = "info", value_name = "FILTER")]
    log_filter: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One JSON object on each line
    Json,
}

impl Log {
    /// Writes them again as arguments, for a child process.
    pub(crate) fn to_arguments(&self) -> Vec<String> {
        let format = match self.log_format {
            Format::Text => "text",
            Format::Json => "json",
        };
        vec![format!("--log-format={format}"), format!("--log-filter={}", self.log_filter)]
    }
}

/// Begins to write logs.
///
/// # Errors
///
/// If the filter is not understood.
pub(crate) fn start(arguments: &Log) -> Result<(), Failure> {
    let filter = filter(&arguments.log_filter)?;
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    match arguments.log_format {
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        Format::Json => lines.json().flatten_event(true).with_ansi(false).init(),
    }
    Ok(())
}

fn filter(text: &str) -> Result<EnvFilter, Failure> {
    // What comes later holds: whoever asks for more of openraft gets it.
    EnvFilter::builder()
        .parse(format!("{QUIET},{text}"))
        .map_err(|error| Failure::Configuration(format!("'{text}' is no log filter: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openraft_is_quiet_unless_it_is_asked_for() {
        assert_eq!(filter("info").expect("a filter").to_string(), "openraft=error,info");
        assert!(!filter("info,openraft=debug").expect("a filter").to_string().contains("openraft=error"));
        assert!(filter("info,=,").is_err() || filter("a=b=c").is_err());
    }
}
