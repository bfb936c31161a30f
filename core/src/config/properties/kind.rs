//! What may be set for a property.

use std::fmt;
use std::time::Duration;

/// What may be set, with its bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A whole number.
    Count {
        /// The lowest.
        min: u64,
        /// The highest.
        max: u64,
    },
    /// Whole seconds.
    Seconds {
        /// The lowest.
        min: u64,
        /// The highest.
        max: u64,
    },
    /// `true` or `false`.
    Switch,
    /// One line of text.
    Text {
        /// Bytes of it.
        bytes_max: usize,
    },
}

/// What is set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A whole number.
    Count(u64),
    /// Whole seconds.
    Seconds(Duration),
    /// On or off.
    Switch(bool),
    /// One line of text.
    Text(String),
}

/// A text that is no value of its property.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{found}' found for the property '{name}'; expected {expected}")]
pub struct BadValue {
    /// The property.
    pub name: &'static str,
    /// The text, cut and without control characters.
    pub found: String,
    /// What it should be.
    pub expected: String,
}

impl Kind {
    /// The value that a text stands for.
    pub(super) fn parse(self, text: &str) -> Option<Value> {
        let text = text.trim();
        let number = |min, max| text.parse::<u64>().ok().filter(|number| (min..=max).contains(number));
        match self {
            Kind::Count { min, max } => number(min, max).map(Value::Count),
            Kind::Seconds { min, max } => number(min, max).map(Duration::from_secs).map(Value::Seconds),
            Kind::Switch => text.to_ascii_lowercase().parse().ok().map(Value::Switch),
            Kind::Text { bytes_max } => {
                let is_fit = text.len() <= bytes_max && !text.contains(char::is_control);
                is_fit.then(|| Value::Text(text.to_owned()))
            }
        }
    }

    /// In words for the operator.
    pub(super) fn expected(self) -> String {
        match self {
            Kind::Count { min, max } => format!("a whole number, from {min} to {max}"),
            Kind::Seconds { min, max } => format!("a whole number of seconds, from {min} to {max}"),
            Kind::Switch => "'true' or 'false'".to_owned(),
            Kind::Text { bytes_max } => format!("one line of at most {bytes_max} bytes"),
        }
    }
}

impl fmt::Display for Value {
    /// As it is kept, and read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Count(number) => write!(f, "{number}"),
            Value::Seconds(time) => write!(f, "{}", time.as_secs()),
            Value::Switch(is_on) => write!(f, "{is_on}"),
            Value::Text(text) => f.write_str(text),
        }
    }
}
