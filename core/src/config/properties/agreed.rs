//! A value for each property that nodes follow, from what the shared database holds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::quota::{OfflineQuota, Waiting};
use super::{ENABLED, Setting, Value, named};

/// What all nodes follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agreed {
    /// Whether the nodes are one cluster, or each serves its own clients.
    pub is_clustered: bool,
    /// What the cluster was called before it is renamed; empty if it is not being renamed.
    pub former_name: String,
    /// How long an operator's order may take.
    pub order_time_max: Duration,
    /// Whether a node that cannot find its cluster serves its own clients alone.
    pub start_alone: bool,
    /// How long a node waits after its start before it looks for its cluster.
    pub start_delay: Duration,
    /// How often a node tries again to find its cluster before it says that it cannot.
    pub start_retries: u64,
    /// How long it waits between two such attempts.
    pub start_retry_after: Duration,
    /// How long a voter may be gone before a member that waits gets its vote; for ever if absent.
    pub replace_voter_after: Option<Duration>,
    /// How much waits for an account that is away.
    pub offline: OfflineQuota,
    /// After how much silence a client is asked whether it is there; never if absent.
    pub ask_silent_after: Option<Duration>,
    /// How long a client that was asked may be silent.
    pub give_up_silent_after: Duration,
}

impl Agreed {
    /// What is set, by our names, and the default of what is not; with a sentence for the operator about each row that
    /// counts for nothing. A later version may have set what this one does not know.
    pub fn of(stored: &BTreeMap<String, String>) -> (Agreed, Vec<String>) {
        let without_effect = |(name, text): (&String, &String)| match named(name) {
            Err(error) => Some(error.to_string()),
            Ok(property) if property.name != name || property.place != Setting::Shared => {
                Some(format!("the property '{name}' is not kept in the database"))
            }
            Ok(property) => property.parse(text).err().map(|error| error.to_string()),
        };
        let problems = stored.iter().filter_map(without_effect).collect();
        let value = |name: &str| {
            let property = named(name).expect("the table has it");
            let set = stored.get(name).and_then(|text| property.parse(text).ok());
            set.unwrap_or_else(|| property.default_value())
        };
        let agreed = Agreed {
            is_clustered: switch(&value(ENABLED)),
            former_name: text(value("cluster.former-name")),
            order_time_max: seconds(&value("cluster.order.time-max")),
            start_alone: switch(&value("cluster.start.alone")),
            start_delay: seconds(&value("cluster.start.delay")),
            start_retries: count(&value("cluster.start.retries")),
            start_retry_after: seconds(&value("cluster.start.retry-after")),
            replace_voter_after: Some(seconds(&value("cluster.voters.replace-after"))).filter(|time| !time.is_zero()),
            offline: OfflineQuota {
                account: Waiting {
                    messages: count(&value("offline.messages-max")),
                    bytes: count(&value("offline.bytes-max")),
                },
                sender: Waiting {
                    messages: count(&value("offline.messages-per-sender-max")),
                    bytes: count(&value("offline.bytes-per-sender-max")),
                },
            },
            ask_silent_after: Some(seconds(&value("client.silence.ask-after"))).filter(|time| !time.is_zero()),
            give_up_silent_after: seconds(&value("client.silence.give-up-after")),
        };
        (agreed, problems)
    }
}

impl Default for Agreed {
    /// What holds where nothing is set.
    fn default() -> Agreed {
        Agreed::of(&BTreeMap::new()).0
    }
}

fn seconds(value: &Value) -> Duration {
    match value {
        Value::Seconds(time) => *time,
        Value::Count(_) | Value::Switch(_) | Value::Text(_) => unreachable!("the table says that it is a time"),
    }
}

fn text(value: Value) -> String {
    match value {
        Value::Text(text) => text,
        Value::Count(_) | Value::Seconds(_) | Value::Switch(_) => unreachable!("the table says that it is a text"),
    }
}

fn switch(value: &Value) -> bool {
    match value {
        Value::Switch(is_on) => *is_on,
        Value::Count(_) | Value::Seconds(_) | Value::Text(_) => unreachable!("the table says that it is a switch"),
    }
}

fn count(value: &Value) -> u64 {
    match value {
        Value::Count(number) => *number,
        Value::Seconds(_) | Value::Switch(_) | Value::Text(_) => unreachable!("the table says that it is a number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(rows: &[(&str, &str)]) -> (Agreed, Vec<String>) {
        let stored = rows.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Agreed::of(&stored.collect())
    }

    #[test]
    fn what_is_not_set_has_its_default() {
        let (nothing, problems) = agreed(&[]);

        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(nothing.offline, OfflineQuota::default());
        assert_eq!(
            (nothing.ask_silent_after, nothing.give_up_silent_after.as_secs()),
            (Some(Duration::from_secs(180)), 30)
        );
        assert_eq!((nothing.start_delay, nothing.start_retry_after), (Duration::ZERO, Duration::from_secs(10)));
    }

    #[test]
    fn what_is_set_counts() {
        let (set, problems) = agreed(&[
            ("cluster.start.delay", "7"),
            ("offline.bytes-max", "4"),
            ("offline.bytes-per-sender-max", "2"),
            ("offline.messages-max", "3"),
            ("offline.messages-per-sender-max", "1"),
        ]);

        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(set.start_delay, Duration::from_secs(7));
        let (account, sender) = (Waiting { messages: 3, bytes: 4 }, Waiting { messages: 1, bytes: 2 });
        assert_eq!(set.offline, OfflineQuota { account, sender });
    }

    /// Somebody has written into the database by hand, or a later version has.
    #[test]
    fn rows_that_cannot_be_followed_leave_the_defaults_and_are_told() {
        let (set, problems) = agreed(&[
            ("cluster.config.file", "x"),
            ("cluster.start.delay", "soon"),
            ("hazelcast.startup.retry.count", "9"),
            ("tomorrow", "1"),
        ]);

        assert_eq!(set, Agreed::default());
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems[1].contains("'soon' found") && problems[3].contains("no property 'tomorrow'"), "{problems:?}");
    }
}
