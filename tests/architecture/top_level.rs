//! What lies at the top of the repository.

use std::fs;

/// Whoever opens the repository sees these and files whose names begin with a dot.
const ENTRIES: &[&str] =
    &["Cargo.toml", "Cargo.lock", "core", "net", "sim", "bin", "tests", "README.md", "LICENSE", "target"];

fn strangers(names: &[String]) -> Vec<&String> {
    names.iter().filter(|name| !name.starts_with('.') && !ENTRIES.contains(&name.as_str())).collect()
}

#[test]
fn the_top_holds_what_the_design_says_and_nothing_else() {
    let entries = fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the top of the repository");
    let names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    assert!(strangers(&names).is_empty(), "{:?}", strangers(&names));
}

#[test]
fn a_planted_folder_is_caught() {
    let names = ["core", ".gitignore", "scripts"].map(str::to_owned);
    assert_eq!(strangers(&names), ["scripts"]);
}
