//! `cargo sim`: runs seeds and says what did not hold.
//!
//! ```text
//! cargo sim run --seed 7 [-v | -vv | -vvv]      one seed, with its events, its log, its packets
//! cargo sim seeds --from 1 --count 100          many; those that fail are named
//! ```
//!
//! Exit codes: 0 everything held, 1 something did not, 2 the command cannot be carried out.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use cresset_sim::trace::{Detail, Trace, Watcher};
use cresset_sim::{CAN_REPEAT, CANNOT_REPEAT, Plan, run};

const USAGE: &str = "usage: cargo sim run --seed N [-v | -vv | -vvv]\n       cargo sim seeds [--from N] [--count N]";

enum Command {
    Run { seed: u64, detail: Detail },
    Seeds { from: u64, count: u64 },
}

fn main() -> ExitCode {
    if !CAN_REPEAT {
        say(&mut io::stderr(), CANNOT_REPEAT);
        return ExitCode::from(2);
    }
    match parse(std::env::args().skip(1)).and_then(carry_out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say(&mut io::stderr(), &error.to_string());
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: impl Iterator<Item = String>) -> anyhow::Result<Command> {
    let mut arguments = arguments.peekable();
    let command = arguments.next();
    let (mut seed, mut from, mut count, mut detail) = (None, 1, 100, Detail::Nothing);
    while let Some(argument) = arguments.next() {
        let mut number = || -> anyhow::Result<u64> {
            let value = arguments.next().ok_or_else(|| anyhow::anyhow!("{argument} needs a number\n{USAGE}"))?;
            value.parse().map_err(|_| anyhow::anyhow!("'{value}' is no number\n{USAGE}"))
        };
        match argument.as_str() {
            "--seed" => seed = Some(number()?),
            "--from" => from = number()?,
            "--count" => count = number()?,
            "-v" => detail = Detail::Events,
            "-vv" => detail = Detail::Log,
            "-vvv" => detail = Detail::Packets,
            other => anyhow::bail!("unknown argument '{other}'\n{USAGE}"),
        }
    }
    match (command.as_deref(), seed) {
        (Some("run"), Some(seed)) => Ok(Command::Run { seed, detail }),
        (Some("seeds"), None) => Ok(Command::Seeds { from, count }),
        _ => anyhow::bail!("{USAGE}"),
    }
}

fn carry_out(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Run { seed, detail } => {
            let plan = Plan::draw(seed);
            say(&mut io::stdout(), &plan.to_string());
            let watcher: Watcher = Box::new(|line| say(&mut io::stdout(), line));
            let report = run(&plan, Trace::new(detail, Some(watcher)));
            say(&mut io::stdout(), &report.to_string());
            Ok(report.violations.is_empty())
        }
        Command::Seeds { from, count } => {
            let begun = Instant::now();
            let mut broken = Vec::new();
            for seed in from..from.saturating_add(count) {
                let plan = Plan::draw(seed);
                let report = run(&plan, Trace::new(Detail::Nothing, None));
                say(&mut io::stdout(), &report.to_string());
                if !report.violations.is_empty() {
                    broken.push(seed);
                }
            }
            let seconds = begun.elapsed().as_secs_f64();
            say(&mut io::stdout(), &format!("{count} seeds in {seconds:.1} s, broken: {broken:?}"));
            Ok(broken.is_empty())
        }
    }
}

/// Writes a line. Nobody is left to tell if that fails.
fn say(out: &mut dyn Write, line: &str) {
    if writeln!(out, "{line}").is_err() {
        std::process::exit(2);
    }
}
