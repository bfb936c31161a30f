//! Makes a simulator with mutants: a copy of the repository below `target`, built by cargo.
//!
//! What is built is kept, so that from one run to the next only the three crates of the simulator are built again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::errors::{self, Fault};
use super::splice::{Region, splice};
use super::{Mutation, source};

/// The variable of the environment that says which mutant is on, by its number.
pub const ON: &str = "CRESSET_MUTANT";

/// The variable that names a file, which is made when the place of that mutant is reached.
pub const REACHED: &str = "CRESSET_MUTANT_REACHED";

/// What the copy of core gets besides, as the module `mutants`.
const SWITCH: &str = include_str!("switch.rs.txt");

/// The flags of the simulator, as in `.cargo/config.toml`.
const FLAGS: &str = "build.rustflags=['--cfg','tokio_unstable','--cfg','cresset_simulated']";

/// Where everything is, below the top of the repository.
const FOLDER: &str = "target/mutants";

/// Variables that would change what cargo builds, or where.
const VARIABLES: [&str; 4] = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];

/// Errors that are shown if none of them can be blamed on a mutant.
const SHOWN_MAX: usize = 3;

/// A repository, and the place in which copies of it are built.
#[derive(Clone, Debug)]
pub struct Workshop {
    top: PathBuf,
    folder: PathBuf,
}

/// What came of building.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Built {
    /// The simulator with the mutants.
    Program(PathBuf),
    /// The numbers of mutants that do not compile.
    Refused(BTreeSet<u32>),
}

impl Workshop {
    /// That of the repository in which this process was started.
    ///
    /// # Errors
    ///
    /// If it was not started in one.
    pub fn here() -> anyhow::Result<Workshop> {
        let output = git(Path::new("."), &["rev-parse", "--show-toplevel"])?;
        let top = PathBuf::from(String::from_utf8(output)?.trim_end());
        Ok(Workshop { folder: top.join(FOLDER), top })
    }

    /// The top of the repository.
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// Every mutation of its production code.
    ///
    /// # Errors
    ///
    /// As [`source::mutations`].
    pub fn mutations(&self) -> anyhow::Result<Vec<Mutation>> {
        source::mutations(&self.top)
    }

    /// A file in the workshop by its name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Builds a simulator that holds all these mutants, by number.
    ///
    /// # Errors
    ///
    /// If the copy cannot be written, or cannot be built for a reason that is none of the mutants.
    pub fn build(&self, mutants: &BTreeMap<u32, Mutation>) -> anyhow::Result<Built> {
        let regions = self.lay_out(mutants)?;
        let target = self.target()?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        for name in VARIABLES {
            command.env_remove(name);
        }
        command
            .args(["build", "--locked", "--profile", "sim", "--message-format", "json", "--config", FLAGS])
            .args(["-p", "cresset-sim", "--bin", "cresset-sim", "--target-dir"])
            .arg(&target)
            .current_dir(self.copy());
        let output = command.output().context("cargo cannot be started")?;
        if output.status.success() {
            return Ok(Built::Program(target.join("sim/cresset-sim")));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let faults: Vec<Fault> = said.lines().filter_map(errors::fault).collect();
        let guilty = errors::guilty(&faults, &regions);
        let shown: Vec<&str> = faults.iter().take(SHOWN_MAX).map(|fault| fault.text.as_str()).collect();
        let voice = String::from_utf8_lossy(&output.stderr);
        ensure!(!guilty.is_empty(), "the copy cannot be built:\n{}\n{voice}", shown.join("\n"));
        Ok(Built::Refused(guilty))
    }

    /// Where the copy is built. If there is nothing yet, it begins with what this program was built of: the hundreds of
    /// crates of others are the same, and cargo sees that.
    fn target(&self) -> anyhow::Result<PathBuf> {
        let target = self.folder.join("build");
        let program = std::env::current_exe().context("this program does not know where it is")?;
        let built = program.parent().context("a program has a folder")?;
        let parts = ["build", "deps", ".fingerprint"].map(|name| built.join(name));
        if target.exists() || !parts.iter().all(|part| part.is_dir()) {
            return Ok(target);
        }
        // Under another name until all is there. Cargo compares times, so they have to be kept.
        let begun = self.folder.join("begun");
        fs::create_dir_all(begun.join("sim"))?;
        let status = Command::new("cp").arg("-a").args(parts).arg(begun.join("sim")).status()?;
        ensure!(status.success(), "{} cannot be copied into {}", built.display(), begun.display());
        fs::rename(&begun, &target)?;
        Ok(target)
    }

    fn copy(&self) -> PathBuf {
        self.folder.join("workspace")
    }

    /// Makes the copy be the repository with these mutants. A file that is as it should be is left alone, so that cargo
    /// builds nothing again for it.
    fn lay_out(&self, mutants: &BTreeMap<u32, Mutation>) -> anyhow::Result<BTreeMap<String, Vec<Region>>> {
        let mut by_file: BTreeMap<&str, Vec<(u32, &Mutation)>> = BTreeMap::new();
        for (number, mutation) in mutants {
            by_file.entry(&mutation.file).or_default().push((*number, mutation));
        }
        let listed = git(&self.top, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        let listed = String::from_utf8(listed).context("a file whose name is no text")?;
        let (mut regions, mut written) = (BTreeMap::new(), BTreeSet::new());
        for name in listed.split_terminator('\0') {
            let Ok(mut bytes) = fs::read(self.top.join(name)) else { continue };
            if let Some(changes) = by_file.get(name) {
                let switch = if name.starts_with("core/") { "crate" } else { "::cresset_core" };
                let text = String::from_utf8(bytes).with_context(|| format!("{name} is no text"))?;
                let (spliced, at) = splice(&text, changes, &format!("{switch}::mutants::is_on"));
                regions.insert(name.to_owned(), at);
                bytes = spliced.into_bytes();
            }
            if name == "core/src/lib.rs" {
                bytes.extend_from_slice(b"\npub mod mutants;\n");
            }
            written.insert(self.write(name, &bytes)?);
        }
        written.insert(self.write("core/src/mutants.rs", SWITCH.as_bytes())?);
        remove_others(&self.copy(), &written)?;
        Ok(regions)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.copy().join(name);
        if fs::read(&path).ok().as_deref() != Some(bytes) {
            let folder = path.parent().context("a file has a folder")?;
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(&path, bytes))
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(path)
    }
}

/// Removes what an earlier copy had and this one has not.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new("git").args(arguments).current_dir(folder).output().context("git cannot be started")?;
    let voice = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {} failed: {}", arguments.join(" "), voice.trim_end());
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_built_as_the_simulator_is() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let settings = fs::read_to_string(top.join(".cargo/config.toml")).expect("the settings of cargo");

        assert!(settings.contains(FLAGS), "{settings}");
    }

    #[test]
    fn the_switch_reads_the_variables_that_are_set() {
        assert!([ON, REACHED].iter().all(|name| SWITCH.contains(&format!("\"{name}\""))));
        assert!(syn::parse_file(SWITCH).is_ok());
    }
}
