//! What `cargo sim` can be asked to do: a file for each command.
//!
//! ```text
//! swarm, replay, planted, determinism, shrink ──▶ pool ──▶ worker processes (`cargo sim worker`), a run at a time each
//! mutants ─▶ a program built with mutants ─────────▶ pool ──▶ worker processes of that program
//! run, report, replay of one file ────────────────────────▶ a run in this process
//! ```
//!
//! One process per core, because several simulations in one process would not be repeatable; and a run that takes its
//! process with it takes nothing else.

mod determinism;
mod lists;
mod mutants;
mod planted;
mod pool;
mod progress;
mod replay;
mod report;
mod run;
mod shrink;
mod subject;
mod swarm;
mod terminal;
mod worker;

use clap::{Parser, Subcommand};
use cresset_sim::{CAN_REPEAT, CANNOT_REPEAT};

pub(crate) use terminal::complain;

const CODES: &str = "\
Exit codes:
  0  everything held
  1  something did not; it was said what
  2  the command cannot be carried out; the reason is on standard error";

/// Runs simulated clusters from seeds, and finds, repeats, shrinks and shows what does not hold.
#[derive(Debug, Parser)]
#[command(name = "cargo sim", bin_name = "cargo sim", after_help = CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one seed and say how it went
    Run(run::Arguments),
    /// Run scenario files, with what they expect
    Replay(replay::Arguments),
    /// Run many seeds on all cores; write down those that fail
    Swarm(swarm::Arguments),
    /// Make a failing run as small as it can be and still fail in the same way
    Shrink(shrink::Arguments),
    /// Draw a run as a page
    Report(report::Arguments),
    /// Prove that the planted bugs are found
    Planted(planted::Arguments),
    /// Count how many faults of a fresh sample, put into the production code, the simulator catches
    Mutants(mutants::Arguments),
    /// Prove that the same seed is the same run
    Determinism(determinism::Arguments),
    /// List the invariants
    Invariants,
    /// List the places that a swarm has to visit
    Probes,
    /// List the bugs that can be planted
    Bugs,
    /// Carry out runs that another process asks for, one line each
    #[command(hide = true)]
    Worker,
}

/// Whether everything held.
pub(crate) fn carry_out(arguments: Arguments) -> anyhow::Result<bool> {
    let needs_runs = !matches!(arguments.command, Command::Invariants | Command::Probes | Command::Bugs);
    anyhow::ensure!(CAN_REPEAT || !needs_runs, CANNOT_REPEAT);
    match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Swarm(arguments) => swarm::run(&arguments),
        Command::Shrink(arguments) => shrink::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Planted(arguments) => planted::run(&arguments),
        Command::Mutants(arguments) => mutants::run(&arguments),
        Command::Determinism(arguments) => determinism::run(&arguments),
        Command::Invariants => lists::invariants(),
        Command::Probes => lists::probes(),
        Command::Bugs => lists::bugs(),
        Command::Worker => worker::run(),
    }
}
