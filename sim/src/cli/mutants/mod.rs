//! `cargo sim mutants`: how many faults of a fresh sample the simulator alone catches.
//!
//! ```text
//! seed ─▶ draw ─▶ build, until it compiles ─▶ judge each: mutated workers ─▶ broken? ─▶ the same run without ─▶ caught
//! ```
//!
//! A mutant that escapes is no failure of the command, but news: an invariant, a fault or a workload is missing. Exit
//! code 0 says that all were judged.

mod judge;
mod tell;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::time::{Duration, Instant};

use clap::Args;
use cresset_sim::mutants::Mutation;
use cresset_sim::mutants::build::{Built, Workshop};
use cresset_sim::mutants::draw::Draw;
use cresset_sim::mutants::equivalents::{self, Equivalents};
use cresset_sim::seeds::Seed;

use super::subject::seed;
use super::swarm::{drawn_base, minutes};
use super::terminal::say;
use judge::Judge;

/// Of so many mutants that are drawn one compiles at least, as a rule. The others cost nothing: what compiles and is
/// too much stays in the build and is never switched on.
const DRAWN_FOR_ONE: usize = 3;

/// How often a sample is built anew without what did not compile.
const ROUNDS_MAX: usize = 30;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// From which the mutants and the seeds of the runs are drawn; drawn and printed if it is not given
    #[arg(long, value_name = "S", value_parser = seed)]
    seed: Option<u64>,
    /// How many mutants
    #[arg(long, value_name = "N", default_value = "10")]
    count: NonZero<usize>,
    /// For how long the simulator looks for each of them at most
    #[arg(long, value_name = "M", default_value = "1", value_parser = minutes)]
    minutes: Duration,
    /// Judge only the mutant of this number; may be given more than once
    #[arg(long, value_name = "NUMBER")]
    only: Vec<u32>,
    /// Print what is drawn, and build nothing: some of it may not compile
    #[arg(long, visible_alias = "dry-run")]
    list: bool,
    /// Processes; one per core if not given
    #[arg(long, value_name = "J")]
    jobs: Option<NonZero<usize>>,
}

/// Mutants by number, and those that nobody can tell from the original, with the reason.
struct Sample {
    mutants: BTreeMap<u32, Mutation>,
    equivalent: BTreeMap<u32, (Mutation, String)>,
}

/// Draws, builds, judges, and prints the share.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let workshop = Workshop::here()?;
    let seed = arguments.seed.map_or_else(drawn_base, Ok)?;
    let known = Equivalents::read(workshop.top())?;
    let all = workshop.mutations()?;
    let (count, places) = (arguments.count, all.len());
    say(&format!(
        "seed {seed}: {count} of {places} mutations; the same again: cargo sim mutants --seed {seed} --count {count}"
    ));
    for stale in known.stale(&all) {
        say(&format!("{}: nothing is like '{}' in {} any more", equivalents::FILE, stale.original, stale.function));
    }
    let mut drawn = (1..).zip(Draw::new(Seed(seed), all));
    if arguments.list {
        for (number, mutation) in drawn.by_ref().take(count.get()) {
            tell::mutant(number, &mutation);
            known.reason(&mutation).inspect(|reason| tell::equivalent(reason));
        }
        return Ok(true);
    }
    let (program, mut sample) = assemble(&workshop, &mut drawn, count.get(), &known)?;
    sample.keep(count.get());
    let mut judge = Judge::new(program, workshop, Seed(seed), arguments.jobs, arguments.minutes)?;
    judge.compare()?;
    let mut score = tell::Score::default();
    for (number, (mutation, reason)) in &sample.equivalent {
        tell::mutant(*number, mutation);
        tell::equivalent(reason);
        score.equivalent += 1;
    }
    let is_asked = |number: &u32| arguments.only.is_empty() || arguments.only.contains(number);
    for (number, mutation) in sample.mutants.iter().filter(|(number, _)| is_asked(number)) {
        tell::mutant(*number, mutation);
        let verdict = judge.judge(*number, mutation)?;
        tell::verdict(&verdict);
        score.add(mutation, &verdict);
    }
    score.tell();
    Ok(true)
}

/// Draws mutants and builds them, until there are enough that compile.
fn assemble(
    workshop: &Workshop,
    drawn: &mut impl Iterator<Item = (u32, Mutation)>,
    count: usize,
    known: &Equivalents,
) -> anyhow::Result<(std::path::PathBuf, Sample)> {
    let begun = Instant::now();
    let mut sample = Sample { mutants: BTreeMap::new(), equivalent: BTreeMap::new() };
    let mut refused = 0;
    for round in 1..=ROUNDS_MAX {
        let missing = count.saturating_sub(sample.mutants.len() + sample.equivalent.len());
        for (number, mutation) in drawn.take(missing * DRAWN_FOR_ONE) {
            match known.reason(&mutation) {
                Some(reason) => drop(sample.equivalent.insert(number, (mutation.clone(), reason.to_owned()))),
                None => drop(sample.mutants.insert(number, mutation)),
            }
        }
        let built = workshop.build(&sample.mutants)?;
        let seconds = begun.elapsed().as_secs();
        match built {
            Built::Refused(numbers) => {
                refused += numbers.len();
                sample.mutants.retain(|number, _| !numbers.contains(number));
                say(&format!("round {round}: {} more do not compile ({seconds} s)", numbers.len()));
            }
            Built::Program(program) => {
                let held = sample.mutants.len();
                say(&format!(
                    "{} holds {held} mutants; {refused} did not compile; {round} rounds, {seconds} s",
                    program.display()
                ));
                return Ok((program, sample));
            }
        }
    }
    anyhow::bail!("{ROUNDS_MAX} times something did not compile: try another seed, or fewer mutants")
}

impl Sample {
    /// Only the first ones.
    fn keep(&mut self, count: usize) {
        let mut numbers: Vec<u32> = self.mutants.keys().chain(self.equivalent.keys()).copied().collect();
        numbers.sort_unstable();
        if let Some(surplus) = numbers.get(count) {
            self.mutants.split_off(surplus);
            self.equivalent.split_off(surplus);
        }
    }
}
