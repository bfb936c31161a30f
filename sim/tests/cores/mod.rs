//! Level 1: the machines of the core, very many worlds of them.

use cresset_sim::open::known;
use cresset_sim::plan::Plan;
use cresset_sim::trace::{Detail, Trace};
use cresset_sim::{Report, cores};

fn run(seed: u64) -> Report {
    cores::run(&Plan::draw_cores(seed), Trace::new(Detail::Nothing, None))
}

/// But for what is known and told in `sim/FOUND.md`.
#[test]
fn every_promise_holds_in_three_hundred_worlds() {
    let holds = |seed: u64, report: &Report| {
        let plan = Plan::draw_cores(seed);
        report.violations.iter().all(|violation| known(&plan, violation.invariant).is_some())
    };
    let worlds = (101..=400).map(|seed| (seed, run(seed)));
    let broken: Vec<String> = worlds.filter(|(seed, r)| !holds(*seed, r)).map(|(_, r)| r.to_string()).collect();

    assert!(broken.is_empty(), "{} worlds are broken, the first:\n{}", broken.len(), broken[0]);
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 1..=20 {
        let (once, again) = (run(seed), run(seed));

        assert_eq!((once.trace, once.records), (again.trace, again.records), "seed {seed}");
    }
}
