//! A report: named figures in order, printed for a person or as one line of JSON.
//!
//! In JSON the unit is part of the key (`p99_ms`), so that a script cannot mistake it.

use hdrhistogram::Histogram;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Longest duration that is told apart from longer ones.
const LATENCY_MICROS_MAX: u64 = 3_600_000_000;
/// Most labels that are counted apart; a server that invents more has them counted as [`OTHER`].
const LABELS_MAX: usize = 64;
const OTHER: &str = "other";

/// Figures in the order in which they are printed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report(Vec<(String, Figure)>);

/// One figure.
#[derive(Debug, Clone)]
pub(crate) enum Figure {
    /// A number of things.
    Count(u64),
    /// A measure and its unit.
    Measure(f64, &'static str),
    /// Figures that belong together.
    Group(Report),
}

impl Report {
    /// Adds a number of things.
    pub(crate) fn count(&mut self, name: &str, count: u64) {
        self.0.push((name.to_owned(), Figure::Count(count)));
    }

    /// Adds a measure.
    pub(crate) fn measure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.0.push((name.to_owned(), Figure::Measure(value, unit)));
    }

    /// Adds a duration in milliseconds.
    pub(crate) fn millis(&mut self, name: &str, duration: Duration) {
        self.measure(name, duration.as_secs_f64() * 1e3, "ms");
    }

    /// Adds figures that belong together, unless there are none.
    pub(crate) fn group(&mut self, name: &str, group: Report) {
        if !group.0.is_empty() {
            self.0.push((name.to_owned(), Figure::Group(group)));
        }
    }

    /// The report as lines for a person.
    pub(crate) fn to_lines(&self) -> String {
        let mut lines = String::new();
        self.write_lines(&mut lines, 0);
        lines
    }

    fn write_lines(&self, lines: &mut String, depth: usize) {
        const INVARIANT: &str = "writing to memory cannot fail";
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, figure) in &self.0 {
            write!(lines, "{:indent$}{name:width$}  ", "", indent = depth * 2).expect(INVARIANT);
            match figure {
                Figure::Count(count) => writeln!(lines, "{count}").expect(INVARIANT),
                Figure::Measure(value, unit) => writeln!(lines, "{} {unit}", rounded(*value)).expect(INVARIANT),
                Figure::Group(group) => {
                    lines.truncate(lines.trim_end().len());
                    lines.push('\n');
                    group.write_lines(lines, depth + 1);
                }
            }
        }
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, figure) in &self.0 {
            let key = name.replace([' ', '-', ':'], "_");
            match figure {
                Figure::Count(count) => map.serialize_entry(&key, count)?,
                Figure::Measure(value, unit) => {
                    let unit = unit.replace('/', "_per_").replace('µ', "u").replace('%', "percent");
                    map.serialize_entry(&format!("{key}_{unit}"), &rounded(*value))?;
                }
                Figure::Group(group) => map.serialize_entry(&key, group)?,
            }
        }
        map.end()
    }
}

/// Three decimals below a hundred, none above ten thousand: what the clock can tell.
fn rounded(value: f64) -> f64 {
    let scale = if value.abs() < 100.0 {
        1000.0
    } else if value.abs() < 10_000.0 {
        10.0
    } else {
        1.0
    };
    (value * scale).round() / scale
}

/// Durations, kept to three digits. Takes no memory until the first one comes, and then as much as the longest
/// one needs: a run has several of these for each pair.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latency(Option<Histogram<u64>>);

impl Latency {
    /// Adds one.
    pub(crate) fn record(&mut self, duration: Duration) {
        self.record_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds one, in microseconds.
    pub(crate) fn record_micros(&mut self, micros: u64) {
        self.histogram().record(micros.min(LATENCY_MICROS_MAX)).expect("the histogram grows as it has to");
    }

    /// Adds all of another.
    pub(crate) fn add(&mut self, other: &Latency) {
        if let Some(other) = &other.0 {
            self.histogram().add(other).expect("the histogram grows as it has to");
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// The quantiles, empty if there is nothing to tell.
    pub(crate) fn report(&self) -> Report {
        let mut report = Report::default();
        let Some(histogram) = &self.0 else { return report };
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            report.millis(name, Duration::from_micros(histogram.value_at_quantile(quantile)));
        }
        report.millis("max", Duration::from_micros(histogram.max()));
        report
    }

    fn histogram(&mut self) -> &mut Histogram<u64> {
        self.0.get_or_insert_with(|| Histogram::new(3).expect("three digits are within the library's bounds"))
    }
}

/// How often something happened, by label.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Counts one.
    pub(crate) fn add(&mut self, label: String) {
        self.add_many(label, 1);
    }

    /// Adds all of another.
    pub(crate) fn merge(&mut self, other: Counts) {
        for (label, count) in other.0 {
            self.add_many(label, count);
        }
    }

    /// All together.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// One figure for each label.
    pub(crate) fn report(&self) -> Report {
        let mut report = Report::default();
        for (label, count) in &self.0 {
            report.count(label, *count);
        }
        report
    }

    fn add_many(&mut self, label: String, count: u64) {
        let full = self.0.len() >= LABELS_MAX && !self.0.contains_key(&label);
        *self.0.entry(if full { OTHER.to_owned() } else { label }).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_units_in_its_keys_and_keeps_the_order() {
        let mut inner = Report::default();
        inner.millis("p50", Duration::from_micros(1_234));
        let mut report = Report::default();
        report.count("sent", 3);
        report.measure("delivered", 1234.56, "msg/s");
        report.group("latency", inner);

        let json = serde_json::to_string(&report).expect("a report is JSON");

        assert_eq!(json, r#"{"sent":3,"delivered_msg_per_s":1234.6,"latency":{"p50_ms":1.234}}"#);
        assert_eq!(report.to_lines(), "sent       3\ndelivered  1234.6 msg/s\nlatency\n  p50  1.234 ms\n");
    }

    #[test]
    fn a_server_cannot_invent_labels_without_end() {
        let mut counts = Counts::default();
        for label in 0..1000 {
            counts.add(label.to_string());
        }

        assert_eq!(counts.0.len(), LABELS_MAX + 1);
        assert_eq!(counts.total(), 1000);
    }
}
