//! `cresset property`: what is set for all nodes at once, in the account store that they share. Nodes that are running
//! follow within five seconds, unless the property takes effect when they start the next time.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use cresset_core::config::properties::{ENABLED, PROPERTIES, Property, Setting, TakesEffect, named};
use cresset_core::time::UnixMillis;
use cresset_net::accounts::{PROPERTY_CHANGES_MAX, PropertyChange, PropertyWrite};

use super::store::{Missing, Store, WhichStore};
use crate::exit::Failure;
use crate::terminal;

/// Bytes of who made a change that are kept.
const WHO_BYTES_MAX: usize = 200;

/// What to do with the properties of the cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show all properties: their values, their defaults, when a change takes effect, what they mean
    List {
        #[command(flatten)]
        store: WhichStore,
    },
    /// Print the value of a property
    Get {
        #[command(flatten)]
        store: WhichStore,
        /// Our name for it, or the one that Openfire's plugin has
        name: String,
    },
    /// Set a property for all nodes
    Set {
        #[command(flatten)]
        store: WhichStore,
        /// The property
        name: String,
        /// What it becomes
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Give a property its default again
    Remove {
        #[command(flatten)]
        store: WhichStore,
        /// The property
        name: String,
    },
    /// Show who changed what, when and from which value, the latest change first
    History {
        #[command(flatten)]
        store: WhichStore,
        /// Only changes of this property
        name: Option<String>,
    },
}

/// Does it.
///
/// # Errors
///
/// If there is no such property, or the value is none of it, or the account store cannot be used.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List { store } => store.with(Missing::Refuse, list),
        Command::Get { store, name } => {
            let property = shared(&name)?;
            store.with(Missing::Refuse, |store| {
                let stored = store.ask(store.properties().properties())?;
                terminal::say(value(property, &stored));
                Ok(())
            })
        }
        Command::Set { store, name, value } => {
            let property = shared(&name)?;
            let value = property.parse(&value).map_err(mistaken)?.to_string();
            store.with(Missing::Create, |store| change(store, property, Some(value)))
        }
        Command::Remove { store, name } => {
            let property = shared(&name)?;
            store.with(Missing::Refuse, |store| change(store, property, None))
        }
        Command::History { store, name } => {
            let property = name.as_deref().map(shared).transpose()?;
            store.with(Missing::Refuse, |store| history(store, property))
        }
    }
}

/// The property of that name, if it is one that is kept in the database.
fn shared(name: &str) -> Result<&'static Property, Failure> {
    let property = named(name).map_err(mistaken)?;
    match property.place {
        Setting::Shared => Ok(property),
        Setting::CommandLine => Err(mistaken(format_args!(
            "the property '{}' is set with -D on the command line of a node: it is needed before the database is known",
            property.name
        ))),
    }
}

fn mistaken(reason: impl std::fmt::Display) -> Failure {
    Failure::Configuration(format!("cresset: {reason}"))
}

fn value<'a>(property: &Property, stored: &'a BTreeMap<String, String>) -> &'a str {
    stored.get(property.name).map_or(property.default, String::as_str)
}

fn list(store: &Store) -> Result<(), Failure> {
    let stored = store.ask(store.properties().properties())?;
    let mut rows = vec![["NAME", "VALUE", "DEFAULT", "TAKES EFFECT", "MEANING"]];
    let shared = PROPERTIES.iter().filter(|property| property.place == Setting::Shared);
    rows.extend(shared.map(|property| {
        let takes_effect = match property.takes_effect {
            TakesEffect::AtOnce => "within 5 s",
            TakesEffect::AtTheNextStart => "at the next start",
        };
        [property.name, value(property, &stored), property.default, takes_effect, property.meaning]
    }));
    terminal::say(&columns(&rows));
    Ok(())
}

fn change(store: &Store, property: &Property, new: Option<String>) -> Result<(), Failure> {
    let write = PropertyWrite { name: property.name.to_owned(), value: new.clone(), by: who(), at: wall() };
    let old = store.ask(store.properties().set_property(write))?;
    let name = property.name;
    match (&old, &new) {
        (None, None) => return Err(Failure::failed(format!("the property '{name}' is not set"))),
        (Some(old), Some(new)) if old == new => {
            terminal::say(&format!("{name} is {new} already"));
            return Ok(());
        }
        (Some(_), Some(_) | None) | (None, Some(_)) => {}
    }
    let told = |value: &Option<String>| match value {
        Some(value) => value.clone(),
        None => format!("{} (the default)", property.default),
    };
    let takes_effect = match property.takes_effect {
        TakesEffect::AtOnce => "all nodes follow within 5 s",
        TakesEffect::AtTheNextStart => "a node takes it when it starts the next time: restart those that need it now",
    };
    terminal::say(&format!("{name} is {}, was {}; {takes_effect}", told(&new), told(&old)));
    Ok(())
}

/// Sets the switch that all nodes follow: whether they are one cluster.
///
/// # Errors
///
/// If the account store cannot be used.
pub(super) fn switch(store: WhichStore, is_on: bool) -> Result<(), Failure> {
    let word = |is_on: bool| if is_on { "on" } else { "off" };
    store.with(Missing::Create, |store| {
        let value = Some(is_on.to_string());
        let write = PropertyWrite { name: ENABLED.to_owned(), value, by: who(), at: wall() };
        let old = store.ask(store.properties().set_property(write))?;
        // Where nobody has said so, it is on.
        let was_on = old.is_none_or(|old| old != false.to_string());
        terminal::say(&if was_on == is_on {
            format!("clustering is {} already", word(is_on))
        } else {
            format!("clustering is {}, was {}; all nodes follow within 5 s", word(is_on), word(was_on))
        });
        Ok(())
    })
}

fn history(store: &Store, property: Option<&Property>) -> Result<(), Failure> {
    let name = property.map(|property| property.name.to_owned());
    let changes = store.ask(store.properties().property_changes(name, PROPERTY_CHANGES_MAX))?;
    let cells: Vec<[String; 5]> = changes.into_iter().map(row).collect();
    let mut rows = vec![["WHEN", "WHO", "NAME", "WAS", "IS"]];
    rows.extend(cells.iter().map(|row| row.each_ref().map(String::as_str)));
    terminal::say(&columns(&rows));
    Ok(())
}

fn row(change: PropertyChange) -> [String; 5] {
    let PropertyChange { name, old, new, by, at } = change;
    let or_default = |value: Option<String>| value.unwrap_or_else(|| "(default)".to_owned());
    [at.to_xmpp(), by, name, or_default(old), or_default(new)]
}

/// A table whose columns are as wide as what they hold. An empty cell is shown as a dash.
fn columns(rows: &[[&str; 5]]) -> String {
    let rows: Vec<[&str; 5]> =
        rows.iter().map(|row| row.map(|cell| if cell.is_empty() { "-" } else { cell })).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let line = |row: &[&str; 5]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Who runs this command, as far as the environment tells: it is a note for colleagues and proves nothing.
fn who() -> String {
    let user =
        ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    let user = user.unwrap_or_else(|| {
        std::fs::metadata("/proc/self").map_or("unknown".to_owned(), |process| format!("uid {}", process.uid()))
    });
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let who = format!("{user}@{}", host.trim());
    who.chars().filter(|c| !c.is_control()).take(WHO_BYTES_MAX / char::MAX.len_utf8()).collect()
}

fn wall() -> UnixMillis {
    // A clock before 1970 is wrong in any case.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_columns_and_no_blanks_at_the_end() {
        let rows = [["A", "B", "C", "D", "E"], ["ä", "long", "", "x", "y z"]];

        assert_eq!(columns(&rows), "A  B     C  D  E\nä  long  -  x  y z");
    }

    #[test]
    fn what_is_not_kept_in_the_database_is_refused() {
        for name in
            ["cluster.config.file", "hazelcast.config.xml.filename", "hazelcast.config.jmx.enabled", "colour", ""]
        {
            assert_eq!(shared(name).map_err(|failure| failure.code()), Err(2), "{name}");
        }
        assert_eq!(
            shared("hazelcast.startup.delay.seconds").map(|property| property.name).ok(),
            Some("cluster.start.delay")
        );
    }
}
