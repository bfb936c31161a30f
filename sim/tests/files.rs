//! Every scenario below `sim/scenarios`, and every seed that ever failed, by the program itself on all cores.
#![cfg(all(tokio_unstable, cresset_simulated))]

use std::path::Path;
use std::process::Command;

/// Runs what a file or folder of the repository says.
fn replay(what: &str) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository");

    let output = Command::new(env!("CARGO_BIN_EXE_cresset-sim"))
        .args(["replay", what])
        .current_dir(top)
        .output()
        .expect("the program is built with its tests");

    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

#[test]
fn every_scenario_holds_and_comes_out_as_expected() {
    replay("sim/scenarios");
}

#[test]
fn every_seed_that_ever_failed_holds() {
    replay("tests/seeds.txt");
}
