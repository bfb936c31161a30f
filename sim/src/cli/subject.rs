//! Which run a command is about: one of a seed, or one of a scenario file.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;
use cresset_core::planted::Bug;
use cresset_sim::plan::{Level, Plan};
use cresset_sim::scenario::Scenario;
use cresset_sim::trial::{Trial, bug_named};

/// Seeds beyond this cannot be written into a scenario file, whose numbers have a sign.
const SEED_MAX: u64 = i64::MAX as u64;

/// The options that say which run is meant.
#[derive(Debug, Args)]
pub(crate) struct Subject {
    /// The seed of which everything is drawn
    #[arg(long, value_name = "N", value_parser = seed, required_unless_present = "scenario")]
    seed: Option<u64>,
    /// The file that says everything
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "level"])]
    scenario: Option<PathBuf>,
    /// What is simulated: 'nodes', whole ones, or only their 'cores'
    #[arg(long, value_parser = level, default_value = "nodes")]
    level: Level,
    /// A bug to plant meanwhile; `cargo sim bugs` lists them
    #[arg(long, value_name = "NAME", value_parser = bug_named)]
    bug: Option<Bug>,
}

impl Subject {
    /// The run, as a scenario.
    pub(crate) fn scenario(&self) -> anyhow::Result<Scenario> {
        let Some(path) = &self.scenario else {
            let seed = self.seed.unwrap_or_default();
            let trial = Trial { plan: draw(self.level, seed), bug: self.bug };
            return Ok(scenario_of_seed(trial, None));
        };
        let mut scenario = Scenario::read(path)?;
        if let (Some(asked), Some(written)) = (self.bug, scenario.trial.bug) {
            ensure!(
                asked == written,
                "--bug {} contradicts {}, which plants {written:?}",
                asked.name(),
                path.display()
            );
        }
        scenario.trial.bug = scenario.trial.bug.or(self.bug);
        Ok(scenario)
    }

    /// A short name for files about this run.
    pub(crate) fn file_stem(&self) -> String {
        let of_file =
            self.scenario.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
        let of_seed = || format!("{}-{}", level_name(self.level), self.seed.unwrap_or_default());
        let stem = of_file.unwrap_or_else(of_seed);
        self.bug.map_or(stem.clone(), |bug| format!("{}-{stem}", bug.name()))
    }
}

/// The run of a seed as a scenario, with the invariant that it broke.
pub(crate) fn scenario_of_seed(trial: Trial, broken: Option<&str>) -> Scenario {
    let (seed, level) = (trial.plan.seed.0, level_name(trial.plan.level));
    let planted = trial.bug.map(|bug| format!(" {} is planted: {}", bug.name(), bug.story())).unwrap_or_default();
    let story = match broken {
        Some(broken) => format!("Drawn from seed {seed} at the level of {level}. It broke {broken}.{planted}"),
        None => format!("Drawn from seed {seed} at the level of {level}.{planted}"),
    };
    Scenario {
        name: format!("seed {seed} of {level}"),
        story,
        invariant: broken.map(str::to_owned),
        trial,
        expect: Vec::new(),
    }
}

/// The plan of a seed at a level.
pub(crate) fn draw(level: Level, seed: u64) -> Plan {
    match level {
        Level::Cores => Plan::draw_cores(seed),
        Level::Nodes => Plan::draw(seed),
    }
}

/// A level by its name on the command line.
pub(crate) fn level(name: &str) -> Result<Level, String> {
    let found = [Level::Cores, Level::Nodes].into_iter().find(|level| level_name(*level) == name);
    found.ok_or_else(|| "it is either 'nodes' or 'cores'".to_owned())
}

/// Its name.
pub(crate) fn level_name(level: Level) -> &'static str {
    match level {
        Level::Cores => "cores",
        Level::Nodes => "nodes",
    }
}

/// A seed from the command line.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    let seed = text.parse::<u64>().ok().filter(|seed| *seed <= SEED_MAX);
    seed.ok_or_else(|| format!("a seed is a whole number from 0 to {SEED_MAX}"))
}
