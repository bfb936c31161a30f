//! What the program says to those who ask for what cannot be had: a sentence, and exit code 2.

#![cfg_attr(not(all(tokio_unstable, cresset_simulated)), allow(dead_code, reason = "there is only a refusal to test"))]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

const SCENARIO: &str = "format = 1\nname = \"n\"\nstory = \"s\"\n[plan]\nseed = 7\n";

/// The exit code and everything that was said.
fn sim(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cresset-sim")).args(arguments).output();
    let output = output.expect("the program is built with its tests");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.code(), said)
}

/// A file of a test, below the folder that belongs to tests.
fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("a file of a test");
    path.to_string_lossy().into_owned()
}

fn assert_refused(arguments: &[&str], sentence: &str) {
    let (code, said) = sim(arguments);
    assert_eq!(code, Some(2), "{arguments:?}: {said}");
    assert!(said.contains(sentence), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn contradictory_or_missing_options_are_refused() {
    assert_refused(&["run"], "--seed <N>");
    assert_refused(&["run", "--seed", "1", "--scenario", "x.toml"], "cannot be used with");
    assert_refused(&["run", "--scenario", "x.toml", "--level", "cores"], "cannot be used with");
    assert_refused(&["run", "--seed", "1", "--level", "atoms"], "either 'nodes' or 'cores'");
    assert_refused(&["run", "--seed", "99999999999999999999"], "a seed is a whole number");
    assert_refused(&["run", "--seed", "1", "--bug", "Nothing"], "no bug is called 'Nothing'; `cargo sim bugs` lists");
    assert_refused(&["swarm"], "--minutes <M>");
    assert_refused(&["swarm", "--minutes", "1", "--seeds", "1"], "cannot be used with");
    assert_refused(&["swarm", "--minutes", "0"], "minutes, up to a week");
    assert_refused(&["swarm", "--seeds", "0"], "invalid value '0'");
    assert_refused(&["mutants", "--count", "0"], "invalid value '0'");
    assert_refused(&["mutants", "--minutes", "0"], "minutes, up to a week");
    assert_refused(&["dance"], "unrecognized subcommand");
}

#[test]
fn what_there_is_can_be_listed_in_any_build() {
    for list in ["invariants", "probes", "bugs"] {
        let (code, said) = sim(&[list]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.lines().count() > 5 || list == "probes", "{said}");
    }
}

#[cfg(all(tokio_unstable, cresset_simulated))]
#[test]
fn the_same_seed_draws_the_same_mutants_and_nothing_is_built_to_list_them() {
    let list = ["mutants", "--seed", "7", "--count", "12", "--list"];

    let (code, said) = sim(&list);

    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("  ->  ").count(), 12, "{said}");
    assert_eq!(sim(&list), (code, said));
}

#[cfg(not(all(tokio_unstable, cresset_simulated)))]
#[test]
fn a_build_that_cannot_repeat_a_run_says_how_to_get_one_that_can() {
    for arguments in [&["run", "--seed", "1"][..], &["swarm", "--seeds", "1"], &["replay", "x.toml"]] {
        assert_refused(arguments, "use `cargo sim run --seed 1`");
    }
}

#[cfg(all(tokio_unstable, cresset_simulated))]
mod repeatable {
    use super::*;

    #[test]
    fn files_that_are_no_scenarios_are_refused() {
        let refuse = |name: &str, text: &str, sentence: &str| assert_refused(&["replay", &file(name, text)], sentence);

        assert_refused(&["replay", "/nowhere/at/all.toml"], "/nowhere/at/all.toml: cannot be read");
        refuse("empty.toml", "", "its first line is to be 'format = 1'");
        refuse("future.toml", &SCENARIO.replace("format = 1", "format = 9"), "this simulator reads format 1");
        refuse("field.toml", &format!("{SCENARIO}mood = 1\n"), "unknown field `mood`");
        let fault = "[[plan.episodes]]\nat_ms = 7000\nlasts_ms = 1\nfault = \"gremlins\"\n";
        refuse("fault.toml", &format!("{SCENARIO}{fault}"), "unknown variant `gremlins`");
        refuse("seeds.txt", "nodes seven\n", "line 1: expected 'nodes 4711");
        let binary = file("binary.toml", "");
        fs::write(&binary, [0xff, 0xfe, 0]).expect("a file of a test");
        assert_refused(&["replay", &binary], "cannot be read");
        assert_refused(&["replay", &file("big.toml", &"#\n".repeat(1 << 20))], "no scenario");
    }

    #[test]
    fn a_bug_that_is_not_the_one_of_the_file_is_refused() {
        let path = file("bug.toml", &SCENARIO.replace("story", "bug = \"SyncSkipped\"\nstory"));

        assert_refused(&["run", "--scenario", &path, "--bug", "VoteNotPersisted"], "contradicts");
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_refused_before_anything_is_run() {
        let out = "/dev/null/nowhere";

        assert_refused(&["swarm", "--seeds", "1", "--out", out], "name another place with --out");
        assert_refused(&["shrink", "--seed", "1", "--out", out], "name another place with --out");
        assert_refused(&["report", "--seed", "1", "-o", out], "name another place with -o");
    }

    /// A page is one file, and a run that holds is exit code 0.
    #[test]
    fn a_run_that_holds_is_drawn_as_one_page() {
        let page = file("page.html", "");

        let (code, said) = sim(&["report", "--scenario", &file("calm.toml", SCENARIO), "-o", &page]);

        assert_eq!(code, Some(0), "{said}");
        let page = fs::read_to_string(page).expect("the page");
        assert!(page.starts_with("<!doctype html>") && page.contains("\"name\":\"n1\""));
    }

    /// What is expected and does not come to pass is exit code 1, with its name.
    #[test]
    fn an_expectation_that_is_disappointed_is_said() {
        let path = file("hope.toml", &SCENARIO.replace("story", "expect = [\"leader-changes\"]\nstory"));

        let (code, said) = sim(&["replay", &path]);

        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("leader-changes: nobody else came to lead"), "{said}");
    }
}
