//! From the names of files to a configuration that a node can be started with.
//!
//! Here files are read; what is in them is understood in `cresset_core::config`.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use cresset_core::config::properties::{self, BadName, Setting, Value};
use cresset_core::config::{
    Checked, CheckedFile, Content, FILE_BYTES_MAX, Files, Given, Ignored, Main, Problems, Surroundings, Variable,
    Warning, load as read, load_file as read_file,
};
use cresset_net::addresses;

use crate::exit::Failure;
use crate::terminal;

/// Where the configuration is unless the arguments say otherwise.
pub(crate) const DEFAULT_FILE: &str = "/etc/cresset/cresset.xml";

/// The bit of a file's mode by which everybody may read it.
const EVERYBODY_READS: u32 = 0o004;

/// Values for `${name}` in configuration files.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Definitions {
    /// The value of ${NAME} in configuration files, which goes before the environment's; also a property of Hazelcast
    /// or of Openfire's plugin
    #[arg(short = 'D', value_name = "NAME=VALUE", value_parser = definition)]
    definitions: Vec<(String, String)>,
}

/// Which configuration a node runs with.
#[derive(Clone, Debug, Args)]
pub(crate) struct Sources {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// A Hazelcast file as Openfire's plugin has it, which says how the members of the cluster find each other
    #[arg(long, value_name = "FILE")]
    hazelcast_config: Option<PathBuf>,
    /// Without a configuration file of our own: the XMPP domain
    #[arg(long, conflicts_with = "config", requires = "data")]
    domain: Option<String>,
    /// … the directory that belongs to this node alone
    #[arg(long, value_name = "DIRECTORY", requires = "domain")]
    data: Option<PathBuf>,
    /// … the name of the node [default: the host's]
    #[arg(long, requires = "domain")]
    name: Option<String>,
    /// … the SQLite file with the accounts, which all members share [default: one in the data directory]
    #[arg(long, value_name = "FILE", requires = "domain")]
    accounts: Option<PathBuf>,
    #[command(flatten)]
    definitions: Definitions,
}

impl Sources {
    /// Reads and checks it.
    ///
    /// # Errors
    ///
    /// [`Failure::Configuration`], with a line for each problem.
    pub(crate) fn load(&self) -> Result<Checked, Failure> {
        let hazelcast = match self.hazelcast_file()? {
            Some(file) => Some((content(&file).map_err(|error| unreadable(&file, &error))?, file)),
            None => None,
        };
        let main = match (&self.domain, &self.data) {
            (Some(domain), Some(data)) => Main::Given(Given {
                domain: domain.clone(),
                name: self.name.clone().map_or_else(host_name, Ok)?,
                data: data.clone(),
                accounts: self.accounts.clone(),
            }),
            (Some(_), None) | (None, _) => Main::File(self.config.clone(), self.own_content(hazelcast.is_some())?),
        };
        let hazelcast = hazelcast.as_ref().map(|(content, file)| (file.as_path(), content));
        read(&main, hazelcast, &self.definitions).map_err(refused)
    }

    /// The configuration file of our own, if there is one.
    pub(crate) fn own_file(&self) -> Option<&Path> {
        self.domain.is_none().then_some(self.config.as_path())
    }

    /// What was given on the command line and has no effect: a sentence for each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.definitions.warnings()
    }

    fn own_content(&self, is_with_hazelcast: bool) -> Result<Content, Failure> {
        content(&self.config).map_err(|error| {
            let hint = if is_with_hazelcast && error.kind() == io::ErrorKind::NotFound {
                "; without a file of our own, say --domain and --data"
            } else {
                ""
            };
            Failure::Configuration(format!("{}: cannot be read: {error}{hint}", self.config.display()))
        })
    }

    /// The original's file, by our own argument or by the original's properties.
    fn hazelcast_file(&self) -> Result<Option<PathBuf>, Failure> {
        if let Some(file) = &self.hazelcast_config {
            return Ok(Some(file.clone()));
        }
        let file = self.definitions.property("cluster.config.file")?;
        let folder = self.definitions.property("cluster.config.directory")?;
        Ok((!file.is_empty()).then(|| Path::new(&folder).join(file)))
    }
}

impl Definitions {
    /// Definitions that look as if they had an effect, and have none: a sentence for each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warning = |(name, text): &(String, String)| match properties::named(name) {
            Ok(property) => {
                let without_effect = match property.place {
                    Setting::CommandLine => None,
                    Setting::Shared => Some("it is one for all nodes, and -D gives it to one".to_owned()),
                };
                let reason = property.parse(text).err().map(|error| error.to_string()).or(without_effect)?;
                Some(format!("-D {name}: warning: without effect: {reason}"))
            }
            Err(error @ BadName::WithoutMeaning { .. }) => Some(format!("-D {name}: warning: {error}")),
            // Any other name is one of a variable, or of a property of Hazelcast's, of which the reader tells.
            Err(BadName::Unknown { .. }) => None,
        };
        self.definitions.iter().filter_map(warning).collect()
    }

    /// A property that is set on the command line, by our name or the original's.
    fn property(&self, name: &str) -> Result<String, Failure> {
        let property = properties::named(name).expect("the table has it");
        debug_assert_eq!(property.place, Setting::CommandLine);
        let given = self.definitions.iter().rev().find(|(given, _)| property.names().any(|known| known == given));
        let value = match given {
            Some((_, text)) => property.parse(text).map_err(|error| Failure::Configuration(format!("-D: {error}")))?,
            None => property.default_value(),
        };
        Ok(match value {
            Value::Text(text) => text,
            Value::Count(_) | Value::Seconds(_) | Value::Switch(_) => value.to_string(),
        })
    }

    /// Reads and checks either kind of file.
    ///
    /// # Errors
    ///
    /// [`Failure::Configuration`], with a line for each problem.
    pub(crate) fn load_file(&self, file: &Path) -> Result<CheckedFile, Failure> {
        let content = content(file).map_err(|error| unreadable(file, &error))?;
        read_file(file, &content, self).map_err(refused)
    }
}

impl Surroundings for Definitions {
    fn file(&self, path: &Path) -> Result<Content, String> {
        content(path).map_err(|error| error.to_string())
    }

    fn variable(&self, name: &str) -> Option<Variable> {
        if let Some((_, value)) = self.definitions.iter().rev().find(|(given, _)| given == name) {
            return Some(Variable { value: value.clone(), given_by: "-D" });
        }
        // The system panics over a name that it cannot hold.
        let is_name = !name.is_empty() && !name.contains(['=', '\0']);
        let value = is_name.then(|| std::env::var(name).ok())??;
        Some(Variable { value, given_by: "the environment" })
    }

    fn definitions(&self) -> Vec<String> {
        self.definitions.iter().map(|(name, _)| name.clone()).collect()
    }

    fn addresses(&self) -> Vec<IpAddr> {
        addresses::of_this_machine().unwrap_or_else(|error| {
            tracing::warn!(%error, "the addresses of this machine are not known");
            Vec::new()
        })
    }

    fn address_of(&self, host: &str) -> Option<IpAddr> {
        (host, 0).to_socket_addrs().ok()?.map(|address| address.ip()).next()
    }
}

/// Reads and checks the configuration file of a node, for a command that needs to know the node.
///
/// # Errors
///
/// [`Failure::Configuration`], with a line for each problem.
pub(crate) fn load(file: &Path) -> Result<Checked, Failure> {
    let content = content(file).map_err(|error| unreadable(file, &error))?;
    read(&Main::File(file.to_owned(), content), None, &Definitions::default()).map_err(refused)
}

/// Refuses a file with a secret that everybody on this machine may read. One that cannot be looked at is left to who
/// opens it.
///
/// # Errors
///
/// [`Failure::Configuration`], with what to do.
pub(crate) fn refuse_open(file: &Path, what: &str) -> Result<(), Failure> {
    if file.metadata().is_ok_and(|metadata| metadata.mode() & EVERYBODY_READS != 0) {
        let place = file.display();
        return Err(Failure::Configuration(format!(
            "{place}: {what} is readable by everybody on this machine: chmod o-r it"
        )));
    }
    Ok(())
}

/// Each warning as a line, with its file and place.
pub(crate) fn shown_warnings(files: &Files, warnings: &[Warning], ignored: &[Ignored]) -> Vec<String> {
    let shown = |warning: &Warning| match warning.place {
        Some(place) => format!("{}: warning: {}", files.locate(place), warning.message),
        None => format!("warning: {}", warning.message),
    };
    let named = |ignored: &Ignored| {
        let Ignored { place, name, count, reason } = ignored;
        let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
        format!("{}: ignored: {name}{times}: {reason}", files.locate(*place))
    };
    warnings.iter().map(shown).chain(ignored.iter().map(named)).collect()
}

fn refused(problems: Problems) -> Failure {
    for warning in shown_warnings(&problems.files, &problems.warnings, &[]) {
        terminal::complain(&warning);
    }
    Failure::Configuration(problems.to_string())
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::Configuration(format!("{}: cannot be read: {error}", file.display()))
}

fn content(path: &Path) -> io::Result<Content> {
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        // A pipe could keep us waiting for ever; a device might never end.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no ordinary file"));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed: that there are too many is for the reader to say.
    File::open(path)?.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Content { bytes, everybody_may_read: metadata.mode() & EVERYBODY_READS != 0 })
}

fn host_name() -> Result<String, Failure> {
    let unknown = |error| Failure::Configuration(format!("the name of this host is not known ({error}): say --name"));
    Ok(std::fs::read_to_string("/proc/sys/kernel/hostname").map_err(unknown)?.trim().to_owned())
}

fn definition(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("expected NAME=VALUE".to_owned()),
    }
}
