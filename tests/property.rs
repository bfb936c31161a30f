//! `cresset property` as an operator runs it: arguments in, lines and exit codes out.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

#[test]
fn a_property_is_set_shown_and_removed_and_every_change_is_told() {
    let store = Store::new();

    let set = store.run(&["set", "offline.messages-max", "5"]);
    assert_eq!(text(&set), "offline.messages-max is 5, was 1000 (the default); all nodes follow within 5 s\n");
    let set = store.run(&["set", "hazelcast.startup.delay.seconds", " 7 "]);
    assert!(text(&set).starts_with("cluster.start.delay is 7, was 0 (the default); a node takes it when it starts"));
    assert_eq!(text(&store.run(&["set", "offline.messages-max", "5"])), "offline.messages-max is 5 already\n");
    assert_eq!(text(&store.run(&["get", "cluster.start.delay"])), "7\n");
    let removed = store.run(&["remove", "offline.messages-max"]);
    assert!(text(&removed).starts_with("offline.messages-max is 1000 (the default), was 5; "), "{}", text(&removed));
    assert_eq!(text(&store.run(&["get", "offline.messages-max"])), "1000\n");

    let list = text(&store.run(&["list"]));
    let of_delay: Vec<&str> = words(&list, "cluster.start.delay");
    assert_eq!(of_delay[1..6], ["7", "0", "at", "the", "next"]);
    assert!(!list.contains("cluster.config.file"), "{list}");
    let history = text(&store.run(&["history", "offline.messages-max"]));
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines.len(), 3, "{history}");
    assert!(lines[1].contains("somebody@") && words(lines[1], "")[3..] == ["5", "(default)"], "{history}");
    assert!(lines[1] > lines[2] && words(lines[2], "")[3..] == ["(default)", "5"], "the latest is first:\n{history}");
    assert_eq!(text(&store.run(&["history"])).lines().count(), 4);
}

#[test]
fn what_is_no_property_or_no_value_is_one_sentence_and_changes_nothing() {
    let store = Store::new();

    for (arguments, expected) in [
        (&["set", "offline.messages-maxx", "5"][..], "did you mean 'offline.messages-max'?"),
        (&["set", "offline.messages-max", "-1"], "expected a whole number, from 0 to 100000"),
        (&["set", "offline.messages-max", "many"], "'many' found for the property 'offline.messages-max'"),
        (&["set", "hazelcast.config.jmx.enabled", "true"], "has no meaning here"),
        (&["set", "cluster.config.file", "x"], "with -D on the command line of a node"),
        (&["get", "colour"], "there is no property 'colour'"),
        (&["remove", "colour"], "there is no property 'colour'"),
        (&["history", "colour"], "there is no property 'colour'"),
    ] {
        let output = store.run(arguments);

        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with("cresset: ") && said.lines().count() == 1, "{said}");
        assert!(said.contains(expected), "{said}");
    }
    assert!(!store.file().exists(), "a mistake creates nothing");
}

#[test]
fn a_store_that_is_not_there_and_a_property_that_is_not_set_exit_with_1() {
    let store = Store::new();
    assert_eq!(store.run(&["list"]).status.code(), Some(1));
    store.run(&["set", "offline.messages-max", "5"]);

    let output = store.run(&["remove", "cluster.start.delay"]);

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said, "cresset: the property 'cluster.start.delay' is not set\n");
}

/// The words of the line that begins with this one.
fn words<'a>(table: &'a str, first: &str) -> Vec<&'a str> {
    let line = table.lines().find(|line| line.starts_with(first)).expect("it is listed");
    line.split_whitespace().collect()
}

fn text(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

struct Store {
    directory: TempDir,
}

impl Store {
    fn new() -> Store {
        Store { directory: TempDir::new().expect("a directory") }
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.path().join("accounts.sqlite")
    }

    /// Runs `cresset property COMMAND --store … ARGUMENTS`.
    fn run(&self, arguments: &[&str]) -> Output {
        cresset(&self.file(), arguments)
    }
}

fn cresset(file: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cresset"))
        .args(["property", arguments[0], "--store"])
        .arg(file)
        .args(&arguments[1..])
        .env_remove("SUDO_USER")
        .env("USER", "somebody")
        .output()
        .expect("the program")
}
