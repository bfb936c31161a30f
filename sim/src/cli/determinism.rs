//! `cargo sim determinism`: the same seed is the same run, twice in one process and once in a fresh one.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use cresset_sim::plan::Level;
use cresset_sim::trial::Trial;

use super::pool::{End, Pool};
use super::progress::Progress;
use super::subject::{draw, level, level_name, seed};
use super::terminal::say;
use super::worker::{Finished, Request};

/// Lines that both runs have, shown before the first that differs.
const CONTEXT: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many
    #[arg(long, value_name = "N", default_value = "20")]
    seeds: NonZero<u64>,
    /// The first seed
    #[arg(long, value_name = "N", default_value = "1", value_parser = seed)]
    base: u64,
    /// What is simulated: 'nodes', whole ones, or only their 'cores'
    #[arg(long, value_parser = level, default_value = "nodes")]
    level: Level,
    /// Processes at a time; one per core if not given
    #[arg(long, value_name = "J")]
    jobs: Option<NonZero<usize>>,
    /// Where the traces of a seed that differs are written
    #[arg(long, value_name = "DIR", default_value = "target/sim-failures")]
    out: PathBuf,
}

/// Compares runs: each seed twice in one process, then once by other processes and in another order.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let seeds: Vec<u64> = (arguments.base..).take(usize::try_from(arguments.seeds.get())?).collect();
    let backwards: Vec<u64> = seeds.iter().rev().copied().collect();
    let name = level_name(arguments.level);
    let mut progress = Progress::new(&format!("determinism of {name}"), Some(2 * seeds.len() as u64));
    let first = traces(arguments, &seeds, true, &mut progress)?;
    let mut afresh = traces(arguments, &backwards, false, &mut progress)?;
    afresh.reverse();
    say(&progress.end());
    let mut differing = Vec::new();
    for ((seed, twice), fresh) in seeds.iter().zip(&first).zip(&afresh) {
        if twice.trace_before.as_ref() != Some(&twice.trace) {
            differing.push(*seed);
            let before = twice.trace_before.as_deref().unwrap_or("nothing");
            say(&format!("seed {seed} differs in one process: {before}, then {}", twice.trace));
        } else if twice.trace != fresh.trace {
            differing.push(*seed);
            say(&format!("seed {seed} differs in another process: {} and {}", twice.trace, fresh.trace));
        }
    }
    say(&format!("{} seeds of {name}, each three times: {} differ", seeds.len(), differing.len()));
    if let Some(seed) = differing.first() {
        explain(arguments, *seed)?;
    }
    Ok(differing.is_empty())
}

/// How the runs of these seeds went, by worker processes of their own.
fn traces(arguments: &Arguments, seeds: &[u64], twice: bool, progress: &mut Progress) -> anyhow::Result<Vec<Finished>> {
    let mut pool = Pool::new(arguments.jobs)?;
    let mut all = vec![Finished::default(); seeds.len()];
    let requests = seeds.iter().map(|seed| Request { twice, ..request(arguments, *seed, None) });
    let end = pool.drive(requests, None, |number, _, finished| {
        progress.count(finished.simulated, false);
        all[number] = finished;
        ControlFlow::Continue(())
    })?;
    anyhow::ensure!(end != End::Interrupted, "interrupted");
    Ok(all)
}

fn request(arguments: &Arguments, seed: u64, lines: Option<PathBuf>) -> Request {
    Request { lines, ..Request::of(&Trial::of(draw(arguments.level, seed))) }
}

/// Runs a seed again, twice in a process and once in a fresh one, with all lines, and shows where they part.
fn explain(arguments: &Arguments, seed: u64) -> anyhow::Result<()> {
    std::fs::create_dir_all(&arguments.out).with_context(|| {
        format!("{} cannot be written into; name another place with --out", arguments.out.display())
    })?;
    let path = |number: usize| arguments.out.join(format!("{}-{seed}-{number}.trace", level_name(arguments.level)));
    let mut pool = Pool::new(NonZero::new(1))?;
    let mut record = |numbers: [usize; 2]| {
        pool.begin_afresh();
        let requests = numbers.into_iter().map(|number| request(arguments, seed, Some(path(number))));
        pool.drive(requests, None, |_, _, _| ControlFlow::Continue(()))
    };
    record([1, 2])?;
    record([3, 4])?;
    for other in [2, 3, 4] {
        if let Some(place) = first_difference(&path(1), &path(other))? {
            say(&format!("{} and {} part at line {}:", path(1).display(), path(other).display(), place.line));
            place.shared.iter().for_each(|line| say(&format!("    {line}")));
            say(&format!("  - {}", place.left.as_deref().unwrap_or("(the end)")));
            say(&format!("  + {}", place.right.as_deref().unwrap_or("(the end)")));
            return Ok(());
        }
    }
    say(&format!("seed {seed} was the same four times when all lines were written; see {}", path(1).display()));
    Ok(())
}

struct Difference {
    line: usize,
    shared: Vec<String>,
    left: Option<String>,
    right: Option<String>,
}

fn first_difference(left: &Path, right: &Path) -> anyhow::Result<Option<Difference>> {
    let open = |path: &Path| -> anyhow::Result<_> { Ok(BufReader::new(File::open(path)?).lines()) };
    let (mut left, mut right) = (open(left)?, open(right)?);
    let mut shared: Vec<String> = Vec::new();
    for line in 1.. {
        match (left.next().transpose()?, right.next().transpose()?) {
            (None, None) => break,
            (Some(same), Some(other)) if same == other => {
                if shared.len() == CONTEXT {
                    shared.remove(0);
                }
                shared.push(same);
            }
            (left, right) => return Ok(Some(Difference { line, shared, left, right })),
        }
    }
    Ok(None)
}
