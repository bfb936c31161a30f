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

/// The changes that are to blame for errors.
pub(super) fn guilty(faults: &[Fault], regions: &BTreeMap<String, Vec<Region>>) -> BTreeSet<u32> {
    faults.iter().flat_map(|fault| blamed(fault, regions)).collect()
}

/// The change that holds a place that the error names; if there is none, those that such a place holds; if there are none
/// either, the one before the place in the same file.
fn blamed(fault: &Fault, regions: &BTreeMap<String, Vec<Region>>) -> Vec<u32> {
    let places = fault.places.iter().map(|(file, at)| (regions.get(file), at));
    let places: Vec<(&Vec<Region>, &Range<usize>)> = places.filter_map(|(known, at)| Some((known?, at))).collect();
    let holds = |region: &&Region, at: &Range<usize>| region.bytes.start <= at.start && at.end <= region.bytes.end;
    if let Some(region) = places.iter().find_map(|(known, at)| known.iter().find(|region| holds(region, at))) {
        return vec![region.number];
    }
    let meets = |region: &&Region, at: &Range<usize>| region.bytes.start < at.end && at.start < region.bytes.end;
    let around: Vec<&Region> = places.iter().flat_map(|(known, at)| known.iter().filter(|it| meets(it, at))).collect();
    if !around.is_empty() {
        return around.iter().map(|region| region.number).collect();
    }
    let before = places.iter().find_map(|(known, at)| {
        let nearest = known.iter().rev().find(|region| region.bytes.start <= at.start);
        nearest.or(known.first())
    });
    before.map(|region| region.number).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(places: &[(&str, usize, usize, bool)]) -> Fault {
        let span = |(file, start, end, is_primary): &(&str, usize, usize, bool)| {
            let place = serde_json::json!({"file_name": file, "byte_start": start, "byte_end": end});
            let mut span = place.as_object().cloned().expect("it is an object");
            span.insert("is_primary".to_owned(), Value::Bool(*is_primary));
            Value::Object(span)
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
        assert_eq!(
            guilty(&[said(&[("b.rs", 12, 14, true), ("a.rs", 50, 60, false)])], &regions()),
            BTreeSet::from([2])
        );
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
