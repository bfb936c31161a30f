//! Which changes a compiler refuses, by what it says about the spliced text.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::Value;

use super::splice::Region;

/// An error of the compiler.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    /// As people read it.
    pub(super) text: String,
    /// Where it is: files with bytes, the places of the error itself before those that explain it.
    places: Vec<(String, Range<usize>)>,
}

/// The error of a line that cargo writes with `--message-format=json`, if it is one.
pub(super) fn fault(line: &str) -> Option<Fault> {
    let said: Value = serde_json::from_str(line).ok()?;
    let message = said.get("message").filter(|_| said["reason"] == "compiler-message")?;
    if message["level"] != "error" {
        return None;
    }
    let text = message["rendered"].as_str().unwrap_or_default().to_owned();
    let children = message["children"].as_array().into_iter().flatten();
    let mut spans: Vec<&Value> = Vec::new();
    for part in std::iter::once(message).chain(children) {
        spans.extend(part["spans"].as_array().into_iter().flatten());
    }
    // A sort that keeps the order of equals.
    spans.sort_by_key(|span| span["is_primary"] != true);
    let places = spans.into_iter().flat_map(with_expansions).filter_map(place).collect();
    Some(Fault { text, places })
}

/// A place, and where the macros are called that it comes from.
fn with_expansions(span: &Value) -> Vec<&Value> {
    let mut all = vec![span];
    let mut inner = span;
    while let Some(outer) = inner.get("expansion").and_then(|expansion| expansion.get("span")) {
        all.push(outer);
        inner = outer;
    }
    all
}

fn place(span: &Value) -> Option<(String, Range<usize>)> {
    let bytes = ["byte_start", "byte_end"].map(|name| span[name].as_u64().and_then(|byte| usize::try_from(byte).ok()));
    let [Some(start), Some(end)] = bytes else { return None };
    Some((span["file_name"].as_str()?.to_owned(), start..end))
}

/// The changes that are to blame for errors: those that hold a place that an error names; if there are none, those that
/// such a place holds; if there are none either, the one before the place in the same file.
pub(super) fn guilty(faults: &[Fault], regions: &BTreeMap<String, Vec<Region>>) -> BTreeSet<u32> {
    let mut guilty = BTreeSet::new();
    for fault in faults {
        let known = || {
            let with_regions = fault.places.iter().map(|(file, bytes)| (regions.get(file), bytes));
            with_regions.filter_map(|(regions, bytes)| Some((regions?, bytes)))
        };
        let holds = |region: &Region, at: &Range<usize>| region.bytes.start <= at.start && at.end <= region.bytes.end;
        let meets = |region: &Region, at: &Range<usize>| region.bytes.start < at.end && at.start < region.bytes.end;
        let inside = known().find_map(|(regions, at)| regions.iter().find(|region| holds(region, at)));
        let Some(region) = inside else {
            let around = known().flat_map(|(regions, at)| regions.iter().filter(|region| meets(region, at)));
            let mut blamed: Vec<u32> = around.map(|region| region.number).collect();
            if blamed.is_empty() {
                let before = known().find_map(|(regions, at)| {
                    let nearest = regions.iter().rev().find(|region| region.bytes.start <= at.start);
                    nearest.or(regions.first())
                });
                blamed.extend(before.map(|region| region.number));
            }
            guilty.extend(blamed);
            continue;
        };
        guilty.insert(region.number);
    }
    guilty
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(places: &[(&str, usize, usize, bool)]) -> Fault {
        let span = |(file, start, end, is_primary): &(&str, usize, usize, bool)| {
            serde_json::json!({"file_name": file, "byte_start": start, "byte_end": end, "is_primary": is_primary})
        };
        let spans: Vec<Value> = places.iter().map(span).collect();
        let message = serde_json::json!({"level": "error", "rendered": "e", "spans": spans, "children": []});
        let line = serde_json::json!({"reason": "compiler-message", "message": message});
        fault(&line.to_string()).expect("an error")
    }

    fn regions() -> BTreeMap<String, Vec<Region>> {
        let of = |number, bytes| Region { number, bytes };
        BTreeMap::from([("a.rs".to_owned(), vec![of(1, 10..20), of(2, 50..60)])])
    }

    #[test]
    fn the_change_that_holds_the_error_is_to_blame() {
        assert_eq!(guilty(&[said(&[("a.rs", 12, 14, true)])], &regions()), BTreeSet::from([1]));
        assert_eq!(guilty(&[said(&[("b.rs", 12, 14, true), ("a.rs", 50, 60, false)])], &regions()), BTreeSet::from([2]));
        assert_eq!(guilty(&[said(&[("a.rs", 0, 90, true), ("a.rs", 51, 52, false)])], &regions()), BTreeSet::from([2]));
    }

    #[test]
    fn an_error_elsewhere_is_blamed_on_what_is_around_or_before_it() {
        assert_eq!(guilty(&[said(&[("a.rs", 0, 90, true)])], &regions()), BTreeSet::from([1, 2]));
        assert_eq!(guilty(&[said(&[("a.rs", 30, 40, true)])], &regions()), BTreeSet::from([1]));
        assert_eq!(guilty(&[said(&[("b.rs", 30, 40, true)])], &regions()), BTreeSet::new());
    }

    #[test]
    fn what_is_no_error_is_none() {
        assert_eq!(fault("{\"reason\": \"build-finished\", \"success\": false}"), None);
        assert_eq!(fault("{\"reason\": \"compiler-message\", \"message\": {\"level\": \"warning\"}}"), None);
        assert_eq!(fault("no JSON"), None);
    }
}
