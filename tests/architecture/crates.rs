//! What each crate depends on.

use std::process::Command;

/// Every package that core may be built from, those that only run at compile time included. None of them opens sockets,
/// starts tasks or reads a clock; `getrandom` comes with `rand` and is not called (see the banned names).
const CORE: &str = include_str!("core_dependencies.txt");

/// Packages in a tree that are not in the list.
fn strangers(tree: &str, allowed: &str) -> Vec<String> {
    let allowed: Vec<&str> = allowed.split_whitespace().collect();
    let mut strangers: Vec<String> = packages(tree).filter(|name| !allowed.contains(name)).map(str::to_owned).collect();
    strangers.sort();
    strangers.dedup();
    strangers
}

/// The first word of each line: `cargo tree --prefix none` prints `name version …`.
fn packages(tree: &str) -> impl Iterator<Item = &str> {
    tree.lines().filter_map(|line| line.split_whitespace().next())
}

fn tree(package: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", package, "-e", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs the tests, so it is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("names of packages")
}

#[test]
fn core_is_built_from_nothing_but_what_is_listed() {
    assert_eq!(strangers(&tree("cresset-core"), CORE), [""; 0]);
}

/// With the simulated network in its tree, the program could get simulated sockets.
#[test]
fn neither_net_nor_the_program_is_built_with_the_simulator() {
    for package in ["cresset-net", "cresset"] {
        assert!(packages(&tree(package)).all(|name| name != "turmoil" && name != "cresset-sim"), "{package}");
    }
}

#[test]
fn a_planted_dependency_is_caught() {
    let tree = format!("{}tokio v1.0.0 (*)\n", tree("cresset-core"));
    assert_eq!(strangers(&tree, CORE), ["tokio"]);
}
