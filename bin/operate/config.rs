//! `cresset config`: looks at a configuration file without starting anything.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use cresset_core::config::{Accounts, CheckedFile, Config};

use crate::configuration::{self, Definitions};
use crate::exit::Failure;
use crate::terminal;

/// What to do with a configuration file.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a file, ours or Hazelcast's, and print what it says with all defaults and where each value came from
    Check {
        #[command(flatten)]
        definitions: Definitions,
        /// The file: its root is cresset or hazelcast
        file: PathBuf,
    },
}

/// Does it.
///
/// # Errors
///
/// If the file is wrong.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Check { definitions, file } => check(&definitions, &file),
    }
}

fn check(definitions: &Definitions, file: &Path) -> Result<(), Failure> {
    let (text, mut warnings) = match definitions.load_file(file)? {
        CheckedFile::Node(checked) => {
            let mut warnings = configuration::shown_warnings(&checked.files, &checked.warnings, &checked.ignored);
            warnings.extend(certificate_warnings(&checked.config));
            refuse_open_secrets(&checked.config)?;
            (checked.to_annotated_xml(), warnings)
        }
        CheckedFile::Cluster(checked) => {
            let warnings = configuration::shown_warnings(&checked.files, &checked.warnings, &checked.ignored);
            (checked.to_annotated_xml(), warnings)
        }
    };
    terminal::say(text.trim_end());
    warnings.extend(definitions.warnings());
    for warning in warnings {
        terminal::complain(&warning);
    }
    Ok(())
}

/// Files that a start would need and that are not there.
fn certificate_warnings(config: &Config) -> Vec<String> {
    let certificate = config.clients.as_ref().and_then(|clients| clients.certificate.as_ref());
    let files = certificate.map(|files| [&files.chain, &files.key]).into_iter().flatten();
    files
        .chain(&config.cluster.secret_file)
        .filter_map(|file| {
            let error = std::fs::File::open(file).err()?;
            Some(format!("{}: warning: cannot be read here: {error}", file.display()))
        })
        .collect()
}

/// A start would refuse them, too.
fn refuse_open_secrets(config: &Config) -> Result<(), Failure> {
    if let Some(file) = &config.cluster.secret_file {
        configuration::refuse_open(file, "the join secret")?;
    }
    if let Accounts::Sqlite { path } = &config.accounts {
        configuration::refuse_open(path, "the account database")?;
    }
    let certificate = config.clients.as_ref().and_then(|clients| clients.certificate.as_ref());
    certificate.map_or(Ok(()), |files| configuration::refuse_open(&files.key, "the private key"))
}
