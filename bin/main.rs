//! The program `cresset`: arguments, configuration, logging, exit codes. Everything else is in the crates it starts.

mod client;
mod configuration;
mod demo;
mod exit;
mod logging;
mod node;
mod operate;
mod signals;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::Failure;

/// One XMPP domain, served by several redundant nodes.
#[derive(Debug, Parser)]
#[command(version, after_help = exit::CODES)]
struct Arguments {
    #[command(flatten)]
    log: logging::Log,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    Node(node::Arguments),
    /// Run a whole cluster on this machine, to try it
    Demo(demo::Arguments),
    /// Look at the cluster that a running node belongs to
    #[command(subcommand)]
    Cluster(operate::cluster::Command),
    /// Look at a configuration file
    #[command(subcommand)]
    Config(operate::config::Command),
    /// Set what holds for all nodes, and see who changed it
    #[command(subcommand)]
    Property(operate::property::Command),
    /// Create, change, remove, list and import accounts
    #[command(subcommand)]
    User(operate::user::Command),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = logging::start(&arguments.log).and_then(|()| run(arguments.command, &arguments.log));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.show();
            ExitCode::from(failure.code())
        }
    }
}

fn run(command: Command, log: &logging::Log) -> Result<(), Failure> {
    match command {
        Command::Node(arguments) => node::run(&arguments),
        Command::Cluster(command) => operate::cluster::run(command),
        Command::Config(command) => operate::config::run(command),
        Command::Property(command) => operate::property::run(command),
        Command::User(command) => operate::user::run(command),
        Command::Demo(arguments) => demo::run(&arguments, log),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }
}
