//! Which files are production code: those that the modules of core, and of some rooms of net, are made of.
//!
//! The tree of modules is followed from the root of each crate, so that a file of tests is left out because its module
//! is, whatever the file is called.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use syn::{Attribute, Item};

use super::Mutation;
use super::sites;

/// What is mutated: everything below these folders. The rest of net touches the world outside, which the simulator
/// replaces.
const FOLDERS: [&str; 6] =
    ["core/src", "net/src/router", "net/src/links", "net/src/consensus", "net/src/clients", "net/src/control"];

/// The roots of the crates that hold them.
const ROOTS: [&str; 2] = ["core/src/lib.rs", "net/src/lib.rs"];

/// Through these the simulator looks in: in every other build they do nothing.
const SEAMS: [&str; 2] = ["core/src/planted.rs", "core/src/probe.rs"];

/// Every mutation of the production code of the repository at `top`, in the order of files and their text.
///
/// # Errors
///
/// If a file cannot be read or is no Rust.
pub fn mutations(top: &Path) -> anyhow::Result<Vec<Mutation>> {
    let mut files = Vec::new();
    for root in ROOTS {
        follow(top, Path::new(root), &mut files)?;
    }
    files.sort();
    let mut all = Vec::new();
    for (path, text) in files {
        let is_mutated = FOLDERS.iter().any(|folder| path.starts_with(folder));
        if is_mutated && !SEAMS.iter().any(|seam| path == Path::new(seam)) {
            let name = path.to_str().context("a file whose name is no text")?;
            all.extend(sites::of_file(name, &text).with_context(|| format!("{name} is no Rust"))?);
        }
    }
    Ok(all)
}

/// Collects a file and those of the modules that it declares.
fn follow(top: &Path, path: &Path, files: &mut Vec<(PathBuf, String)>) -> anyhow::Result<()> {
    let text = fs::read_to_string(top.join(path)).with_context(|| format!("{} cannot be read", path.display()))?;
    let file = syn::parse_file(&text).with_context(|| format!("{} is no Rust", path.display()))?;
    files.push((path.to_owned(), text));
    for item in file.items {
        if let Item::Mod(module) = item
            && module.content.is_none()
            && !is_conditional(&module.attrs)
        {
            let name = module.ident.to_string();
            let places = [folder(path).join(format!("{name}.rs")), folder(path).join(&name).join("mod.rs")];
            let found = places.iter().find(|place| top.join(place).is_file());
            follow(top, found.with_context(|| format!("{}: no file of mod {name}", path.display()))?, files)?;
        }
    }
    Ok(())
}

/// Where the files of the modules that this file declares are.
fn folder(path: &Path) -> PathBuf {
    let is_root = path.ends_with("mod.rs") || path.ends_with("lib.rs");
    if is_root { path.parent().unwrap_or(path).to_owned() } else { path.with_extension("") }
}

/// Whether something exists in some builds only: in those of tests, of the simulator, of a platform.
pub(super) fn is_conditional(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") || attribute.path().is_ident("test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Mutation> {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        mutations(&top).expect("the repository can be read")
    }

    #[test]
    fn there_are_many_mutations_of_every_kind() {
        let all = all();

        for kind in super::super::Kind::ALL {
            let count = all.iter().filter(|mutation| mutation.kind == kind).count();
            assert!(count > 50, "{kind}: {count}");
        }
    }

    #[test]
    fn neither_tests_nor_seams_are_mutated() {
        let strange = |file: &str| file.contains("test") || SEAMS.contains(&file) || file.contains("hostile_bytes");

        let strangers: Vec<_> = all().into_iter().filter(|mutation| strange(&mutation.file)).collect();

        assert_eq!(strangers, []);
    }
}
