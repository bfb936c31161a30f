//! The agreed properties of a cluster: what can be set while it runs, by one command, for all nodes.
//!
//! ```text
//! name (ours or the original's) ─▶ named ─▶ Property ─▶ parse ─▶ Value, or why not
//! ```
//!
//! Each has a name of ours and, where the Openfire plugin has a property of the same meaning, its name as an alias; both
//! mean one property. Whoever keeps the values keeps them by our name and in the form in which [`Value`] is written, and
//! reads an absent one as the default.
//!
//! What is kept becomes [`Agreed`]: a value for each property that nodes follow.
//!
//! Not here: where they are kept, who may set them, who is told.

mod agreed;
mod kind;
mod quota;

pub use agreed::Agreed;
pub use kind::{BadValue, Kind, Value};
pub use quota::{OfflineQuota, Waiting};

/// One property.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Property {
    /// Our name for it.
    pub name: &'static str,
    /// What the original calls it, if it has it.
    pub alias: Option<&'static str>,
    /// What may be set.
    pub kind: Kind,
    /// What it is unless it is set, as it would be written.
    pub default: &'static str,
    /// When a change is felt.
    pub takes_effect: TakesEffect,
    /// Where it can be set.
    pub place: Setting,
    /// One sentence for the operator.
    pub meaning: &'static str,
}

/// When a change of a property is felt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TakesEffect {
    /// On all nodes within seconds.
    AtOnce,
    /// On each node when it starts the next time.
    AtTheNextStart,
}

/// Where a property can be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// In the shared database, for all nodes.
    Shared,
    /// With `-D` on the command line of one node: it is needed before the database is known.
    CommandLine,
}

/// The switch: whether clustering is on.
pub const ENABLED: &str = "cluster.enabled";

/// All of them, in the order of their names.
pub const PROPERTIES: &[Property] = &[
    Property {
        name: "client.silence.ask-after",
        alias: None,
        kind: Kind::Seconds { min: 0, max: 86_400 },
        default: "180",
        takes_effect: TakesEffect::AtOnce,
        place: Setting::Shared,
        meaning: "after how much silence a client is asked whether it is there; 0: never",
    },
    Property {
        name: "client.silence.give-up-after",
        alias: None,
        kind: Kind::Seconds { min: 1, max: 3600 },
        default: "30",
        takes_effect: TakesEffect::AtOnce,
        place: Setting::Shared,
        meaning: "how long a client that was asked may be silent until it counts as disconnected",
    },
    Property {
        name: "cluster.config.directory",
        alias: Some("hazelcast.config.xml.directory"),
        kind: Kind::Text { bytes_max: 4096 },
        default: "",
        takes_effect: TakesEffect::AtTheNextStart,
        place: Setting::CommandLine,
        meaning: "the folder in which `cluster.config.file` is looked for; empty: where the node is started",
    },
    Property {
        name: "cluster.config.file",
        alias: Some("hazelcast.config.xml.filename"),
        kind: Kind::Text { bytes_max: 255 },
        default: "",
        takes_effect: TakesEffect::AtTheNextStart,
        place: Setting::CommandLine,
        meaning: "a file of the original's to be used as with --hazelcast-config; empty: none",
    },
    Property {
        name: ENABLED,
        alias: Some("clustering.enabled"),
        kind: Kind::Switch,
        default: "true",
        takes_effect: TakesEffect::AtOnce,
        place: Setting::Shared,
        meaning: "whether the nodes are one cluster, or each serves its own clients; see `cresset cluster enable`",
    },
    Property {
        name: "cluster.former-name",
        alias: None,
        kind: Kind::Text { bytes_max: 255 },
        default: "",
        takes_effect: TakesEffect::AtTheNextStart,
        place: Setting::Shared,
        meaning: "what the cluster was called, while its nodes are given another <cluster-name> one after the other",
    },
    Property {
        name: "cluster.order.time-max",
        alias: Some("hazelcast.max.execution.seconds"),
        kind: Kind::Seconds { min: 1, max: 60 },
        default: "4",
        takes_effect: TakesEffect::AtTheNextStart,
        place: Setting::Shared,
        meaning: "how long an order of an operator to the cluster may take until it is said that it is not seen to be done",
    },
    Property {
        name: "cluster.start.alone",
        alias: None,
        kind: Kind::Switch,
        default: "false",
        takes_effect: TakesEffect::AtTheNextStart,
        place: Setting::Shared,
        meaning: "whether a node that cannot find its cluster serves its own clients alone, although others may serve the same ones",
    },
    Property {
        name: "cluster.start.delay",
        alias: Some("hazelcast.startup.delay.seconds"),
        kind: Kind::Seconds { min: 0, max: 3600 },
        default: "0",
        takes_effect: TakesEffect::AtTheNextStart,
        place: Setting::Shared,
        meaning: "how long a node waits after its start before it looks for its cluster",
    },
    Property {
        name: "cluster.start.retries",
        alias: Some("hazelcast.startup.retry.count"),
        kind: Kind::Count { min: 0, max: 1_000_000 },
        default: "1",
        takes_effect: TakesEffect::AtTheNextStart,
        place: Setting::Shared,
        meaning: "how often a node tries again to find its cluster before it says that it cannot",
    },
    Property {
        name: "cluster.start.retry-after",
        alias: Some("hazelcast.startup.retry.seconds"),
        kind: Kind::Seconds { min: 1, max: 3600 },
        default: "10",
        takes_effect: TakesEffect::AtTheNextStart,
        place: Setting::Shared,
        meaning: "how long it waits between two such attempts",
    },
    Property {
        name: "cluster.voters.replace-after",
        alias: None,
        kind: Kind::Seconds { min: 0, max: 2_592_000 },
        default: "0",
        takes_effect: TakesEffect::AtTheNextStart,
        place: Setting::Shared,
        meaning: "how long a voter may be gone before a member that waits gets its vote; 0: until it is removed or replaced",
    },
    Property {
        name: "offline.bytes-max",
        alias: None,
        kind: Kind::Count { min: 0, max: 1_000_000_000_000 },
        default: "16777216",
        takes_effect: TakesEffect::AtOnce,
        place: Setting::Shared,
        meaning: "how many bytes of messages wait for an account that is away; beyond it they are bounced",
    },
    Property {
        name: "offline.bytes-per-sender-max",
        alias: None,
        kind: Kind::Count { min: 0, max: 1_000_000_000_000 },
        default: "4194304",
        takes_effect: TakesEffect::AtOnce,
        place: Setting::Shared,
        meaning: "how many bytes of messages of one sender wait for an account that is away; beyond it they are bounced",
    },
    Property {
        name: "offline.messages-max",
        alias: None,
        kind: Kind::Count { min: 0, max: 100_000 },
        default: "1000",
        takes_effect: TakesEffect::AtOnce,
        place: Setting::Shared,
        meaning: "how many messages wait for an account that is away; beyond it they are bounced",
    },
    Property {
        name: "offline.messages-per-sender-max",
        alias: None,
        kind: Kind::Count { min: 0, max: 100_000 },
        default: "500",
        takes_effect: TakesEffect::AtOnce,
        place: Setting::Shared,
        meaning: "how many messages of one sender wait for an account that is away; beyond it they are bounced",
    },
];

/// Properties of the original without a meaning here, and why.
pub const WITHOUT_MEANING: &[(&str, &str)] = &[
    ("hazelcast.cache.class.duration", "there are no Java classes"),
    ("hazelcast.config.jmx.enabled", "there is no Java; see `cresset cluster status --json`"),
    ("hazelcast.config.memcache.enabled", "there is no data grid to be asked"),
    ("hazelcast.config.rest.enabled", "there is no data grid to be asked"),
    ("hazelcast.executor.service.name", "there is no executor service"),
];

/// Why a name names no property that can be set.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadName {
    /// Nobody knows it.
    #[error("there is no property '{name}'{}", .nearest.map(|nearest| format!("; did you mean '{nearest}'?")).unwrap_or_default())]
    Unknown {
        /// The name, cut and without control characters.
        name: String,
        /// A name that is much like it.
        nearest: Option<&'static str>,
    },
    /// The original has it, and it has no meaning here.
    #[error("the property '{name}' has no meaning here: {reason}")]
    WithoutMeaning {
        /// The name.
        name: &'static str,
        /// Why.
        reason: &'static str,
    },
}

/// The property of that name, ours or the original's.
///
/// # Errors
///
/// A sentence for the operator, with the name that may have been meant.
pub fn named(name: &str) -> Result<&'static Property, BadName> {
    if let Some(property) = PROPERTIES.iter().find(|property| property.names().any(|known| known == name)) {
        return Ok(property);
    }
    if let Some((name, reason)) = WITHOUT_MEANING.iter().find(|(known, _)| *known == name) {
        return Err(BadName::WithoutMeaning { name, reason });
    }
    let nearest = PROPERTIES.iter().flat_map(Property::names).map(|known| (distance(name, known), known)).min();
    // More than a third wrong is another word.
    let nearest = nearest.filter(|(distance, known)| distance * 3 <= known.len()).map(|(_, known)| known);
    Err(BadName::Unknown { name: super::problem::excerpt(name), nearest })
}

impl Property {
    /// Our name for it, then the original's.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.alias)
    }

    /// The value that a text stands for.
    ///
    /// # Errors
    ///
    /// What was expected, as a sentence for the operator.
    pub fn parse(&self, text: &str) -> Result<Value, BadValue> {
        self.kind.parse(text).ok_or_else(|| BadValue {
            name: self.name,
            found: super::problem::excerpt(text),
            expected: self.kind.expected(),
        })
    }

    /// What it is unless it is set.
    ///
    /// # Panics
    ///
    /// Never: a test reads every default.
    pub fn default_value(&self) -> Value {
        self.kind.parse(self.default).expect("every default is of its kind")
    }
}

/// Characters that must be put in, taken out or changed to get from one to the other (Levenshtein). Of a name that is
/// far too long only the beginning counts.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().take(100).collect();
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (number, theirs) in other.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = number + 1;
        for (column, ours) in one.iter().enumerate() {
            let change = diagonal + usize::from(*ours != theirs);
            diagonal = row[column + 1];
            row[column + 1] = change.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[one.len()]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_property_is_known_by_our_name_and_by_the_originals() {
        let ours = named("cluster.start.retries").expect("ours");

        assert_eq!(named("hazelcast.startup.retry.count").expect("the original's"), ours);
        assert_eq!(ours.default_value(), Value::Count(1));
        assert_eq!(ours.parse(" 7 "), Ok(Value::Count(7)));
    }

    #[test]
    fn every_default_is_what_the_original_has_or_said_to_differ() {
        let default = |alias: &str| named(alias).expect(alias).default_value();
        let seconds = |seconds| Value::Seconds(Duration::from_secs(seconds));

        assert_eq!(default("hazelcast.startup.retry.seconds"), seconds(10));
        assert_eq!(default("hazelcast.max.execution.seconds"), seconds(4), "a quorum that is there agrees at once");
        assert_eq!(default("hazelcast.startup.delay.seconds"), seconds(0), "forming needs no waiting here");
        assert_eq!(default("hazelcast.config.xml.filename"), Value::Text(String::new()), "no file unless it is named");
    }

    #[test]
    fn every_row_is_read_back_as_it_is_written() {
        for property in PROPERTIES {
            let value = property.default_value();
            assert_eq!(property.parse(&value.to_string()), Ok(value), "{}", property.name);
        }
    }

    #[test]
    fn the_table_is_in_order_and_no_name_means_two_properties() {
        let names: Vec<&str> = PROPERTIES.iter().map(|property| property.name).collect();
        assert!(names.is_sorted(), "{names:?}");

        let mut all: Vec<&str> = PROPERTIES.iter().flat_map(Property::names).collect();
        all.extend(WITHOUT_MEANING.iter().map(|(name, _)| *name));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_one_that_was_meant() {
        let said = |name: &str| named(name).expect_err(name).to_string();

        assert_eq!(
            said("hazelcast.startup.retry.cuont"),
            "there is no property 'hazelcast.startup.retry.cuont'; did you mean 'hazelcast.startup.retry.count'?"
        );
        assert_eq!(said("colour"), "there is no property 'colour'");
        assert!(said("hazelcast.config.jmx.enabled").contains("has no meaning here: there is no Java"));
        assert!(said(&"x".repeat(1_000_000)).len() < 200);
    }

    #[test]
    fn a_value_out_of_its_bounds_is_refused_with_what_was_expected() {
        let retries = named("cluster.start.retries").expect("a property");
        let after = named("cluster.start.retry-after").expect("a property");
        let file = named("cluster.config.file").expect("a property");

        for (property, text) in [(retries, "-1"), (retries, "1000001"), (after, "0"), (after, "10s"), (file, "a\nb")] {
            let error = property.parse(text).expect_err(text).to_string();
            assert!(error.contains(property.name) && error.contains("; expected "), "{error}");
        }
        assert_eq!(
            after.parse("3601").expect_err("too long").to_string(),
            "'3601' found for the property 'cluster.start.retry-after'; expected a whole number of seconds, from 1 to 3600"
        );
    }
}
