//! `cresset config`: looks at a configuration file without starting anything.

use std::path::PathBuf;

use clap::Subcommand;
use cresset_core::config::Config;

use crate::exit::Failure;
use crate::{configuration, terminal};

/// What to do with a configuration file.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a file, and print what it says with all defaults filled in
    Check {
        /// The file
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
        Command::Check { file } => {
            let checked = configuration::load(&file)?;
            terminal::say(checked.config.to_xml().trim_end());
            for warning in checked.warnings {
                terminal::complain(&format!("{}: warning: {warning}", file.display()));
            }
            for warning in certificate_warnings(&checked.config) {
                terminal::complain(&format!("{}: warning: {warning}", file.display()));
            }
            Ok(())
        }
    }
}

/// Files that a start would need and that are not there.
fn certificate_warnings(config: &Config) -> Vec<String> {
    let certificate = config.clients.as_ref().and_then(|clients| clients.certificate.as_ref());
    let files = certificate.map(|files| [&files.chain, &files.key]).into_iter().flatten();
    files
        .chain(&config.cluster.secret_file)
        .filter_map(|file| {
            let error = std::fs::File::open(file).err()?;
            Some(format!("'{}' cannot be read here: {error}", file.display()))
        })
        .collect()
}
