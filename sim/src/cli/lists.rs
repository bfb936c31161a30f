//! `cargo sim invariants`, `cargo sim probes`, `cargo sim bugs`: what there is, by name.

use cresset_core::planted::{Bug, Group};
use cresset_sim::hunts::Hunt;
use cresset_sim::invariants;
use cresset_sim::plan::Level;
use cresset_sim::probes::{Need, PROBES, word};

use super::subject::level_name;
use super::terminal::say;

/// Each invariant with its source.
pub(crate) fn invariants() -> anyhow::Result<bool> {
    for (name, source) in invariants::ALL {
        say(&format!("{name:<28} {source}"));
    }
    Ok(true)
}

/// Each probe with its room, and of which swarms it is required.
pub(crate) fn probes() -> anyhow::Result<bool> {
    for probe in PROBES {
        let [cores, nodes] = [Level::Cores, Level::Nodes].map(|level| in_words(probe.need(level)));
        say(&format!("{:<16} {:<56} cores: {cores:<28} nodes: {nodes}", probe.room, probe.name));
    }
    say(&format!("{} probes", PROBES.len()));
    Ok(true)
}

fn in_words(need: Need) -> String {
    let Some(seeds) = need.seeds else { return "not required".to_owned() };
    let parts: Vec<_> = need.parts.iter().map(|part| word(*part)).collect();
    let by = if parts.is_empty() { String::new() } else { format!(" by {}", parts.join(", ")) };
    format!("in {seeds} seeds{by}")
}

/// Each planted bug with its group, and within how many seeds it has to be found.
pub(crate) fn bugs() -> anyhow::Result<bool> {
    for bug in Bug::ALL {
        let group = match bug.group() {
            Group::Consensus => "consensus",
            Group::Routing => "routing",
            Group::Shell => "shell",
        };
        let hunt = Hunt::of(*bug);
        let (level, most) = (level_name(hunt.level), hunt.seeds_max);
        say(&format!("{:<28} {group:<10} {level} ≤ {most:<4} {}", bug.name(), bug.story()));
    }
    say(&format!("{} bugs", Bug::ALL.len()));
    Ok(true)
}
