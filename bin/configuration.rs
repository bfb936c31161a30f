//! From the name of a file to a configuration that a node can be started with.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use cresset_core::config::{Checked, FILE_BYTES_MAX, read};

use crate::exit::Failure;

/// Where the configuration is unless the arguments say otherwise.
pub(crate) const DEFAULT_FILE: &str = "/etc/cresset/cresset.xml";

/// Reads and checks a configuration file.
///
/// # Errors
///
/// [`Failure::Configuration`], with a line for each problem.
pub(crate) fn load(file: &Path) -> Result<Checked, Failure> {
    let unreadable = |error| Failure::Configuration(format!("{}: cannot be read: {error}", file.display()));
    let mut bytes = Vec::new();
    // One byte more than allowed: that there are too many is for the reader to say.
    let most = FILE_BYTES_MAX as u64 + 1;
    File::open(file).map_err(unreadable)?.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    read(file, &bytes).map_err(|problems| Failure::Configuration(problems.to_string()))
}
