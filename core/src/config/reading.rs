//! Takes typed values out of elements, and gathers what is wrong instead of stopping at it.
//!
//! Whoever reads an element first says what may be in it ([`Reading::allow`]); so an element or attribute that nobody
//! reads is always reported. A value that is wrong or missing yields `None` and a problem; as long as there is a problem
//! no configuration comes out, so what the caller does with the `None` does not matter.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::Element;
use super::problem::{Fault, PROBLEMS_MAX, Place, Problem, Warning, excerpt};

/// What may be in an element.
pub(super) struct Shape {
    pub(super) attributes: &'static [&'static str],
    pub(super) children: &'static [&'static str],
    pub(super) text: Text,
}

/// Whether an element may hold text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Allowed,
    Refused,
}

/// A kind of value: how people are told about it, and how it is read.
pub(super) struct Kind<T> {
    pub(super) expected: &'static str,
    pub(super) parse: fn(&str) -> Option<T>,
}

pub(super) const ADDRESS: Kind<SocketAddr> = Kind {
    expected: "an IP address and a port, like 10.0.0.1:5222 or [2001:db8::1]:5222",
    parse: |text| text.parse().ok(),
};
pub(super) const SWITCH: Kind<bool> =
    Kind { expected: "'true' or 'false'", parse: |text| text.to_ascii_lowercase().parse().ok() };
pub(super) const PATH: Kind<PathBuf> =
    Kind { expected: "a path", parse: |text| (!text.is_empty()).then(|| PathBuf::from(text)) };
/// Up to a day: a longer time between two signs of life is a mistake of unit.
pub(super) const MILLISECONDS: Kind<Duration> = Kind {
    expected: "a whole number of milliseconds, from 1 to 86400000",
    parse: |text| text.parse().ok().filter(|n| (1..=86_400_000).contains(n)).map(Duration::from_millis),
};
pub(super) const SECONDS: Kind<Duration> = Kind {
    expected: "a whole number of seconds, from 1 to 3600",
    parse: |text| text.parse().ok().filter(|n| (1..=3600).contains(n)).map(Duration::from_secs),
};

/// What was found while a file was read.
pub(super) struct Reading<'a> {
    pub(super) folder: &'a Path,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
}

impl Reading<'_> {
    pub(super) fn problem(&mut self, place: Place, fault: Fault) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { place, fault });
        }
    }

    pub(super) fn warn(&mut self, place: Option<Place>, message: impl Into<String>) {
        if self.warnings.len() < PROBLEMS_MAX {
            self.warnings.push(Warning { place, message: message.into() });
        }
    }

    /// Reports whatever is in `element` and not in `shape`.
    pub(super) fn allow(&mut self, element: &Element, shape: &Shape) {
        for attribute in &element.attributes {
            if !shape.attributes.contains(&attribute.name.as_str()) {
                let expected = one_of(shape.attributes, "", "");
                let (name, element) = (excerpt(&attribute.name), element.name.clone());
                self.problem(attribute.place, Fault::UnknownAttribute { name, element, expected });
            }
        }
        for child in &element.children {
            if !shape.children.contains(&child.name.as_str()) {
                let expected = one_of(shape.children, "<", ">");
                let (name, parent) = (excerpt(&child.name), element.name.clone());
                self.problem(child.place, Fault::UnknownElement { name, parent, expected });
            }
        }
        if shape.text == Text::Refused && !element.text.trim().is_empty() {
            let (found, name) = (excerpt(&element.text), element.name.clone());
            self.problem(element.text_place, Fault::UnexpectedText { found, element: name });
        }
    }

    /// The child of that name; a second one is reported.
    pub(super) fn child<'e>(&mut self, element: &'e Element, name: &str) -> Option<&'e Element> {
        let mut found = element.children.iter().filter(|child| child.name == name);
        let first = found.next();
        for again in found {
            let fault = Fault::Repeated { name: name.to_owned(), parent: element.name.clone() };
            self.problem(again.place, fault);
        }
        first
    }

    /// The child of that name; its absence is reported.
    pub(super) fn required_child<'e>(&mut self, element: &'e Element, name: &str) -> Option<&'e Element> {
        let child = self.child(element, name);
        if child.is_none() {
            let fault = Fault::MissingElement { name: name.to_owned(), parent: element.name.clone() };
            self.problem(element.place, fault);
        }
        child
    }

    /// The value of an attribute that may be absent.
    pub(super) fn attribute<T>(&mut self, element: &Element, name: &str, kind: &Kind<T>) -> Option<T> {
        let attribute = element.attributes.iter().find(|attribute| attribute.name == name)?;
        let value = (kind.parse)(attribute.value.trim());
        if value.is_none() {
            let subject = format!("the attribute '{name}' of <{}>", element.name);
            self.bad_value(attribute.place, subject, &attribute.value, kind.expected);
        }
        value
    }

    /// The value of an attribute whose absence is reported.
    pub(super) fn required<T>(&mut self, element: &Element, name: &str, kind: &Kind<T>) -> Option<T> {
        if element.attributes.iter().all(|attribute| attribute.name != name) {
            let (name, expected) = (name.to_owned(), kind.expected.to_owned());
            self.problem(element.place, Fault::MissingAttribute { name, element: element.name.clone(), expected });
        }
        self.attribute(element, name, kind)
    }

    /// The text of an element that holds nothing else.
    pub(super) fn text<T>(&mut self, element: &Element, kind: &Kind<T>) -> Option<T> {
        self.allow(element, &Shape { attributes: &[], children: &[], text: Text::Allowed });
        let value = (kind.parse)(element.text.trim());
        if value.is_none() {
            let subject = format!("<{}>", element.name);
            self.bad_value(element.text_place, subject, &element.text, kind.expected);
        }
        value
    }

    /// A path, seen from the folder of the file. Its absence is reported.
    pub(super) fn required_path(&mut self, element: &Element, name: &str) -> Option<PathBuf> {
        let path = self.required(element, name, &PATH)?;
        Some(self.folder.join(path))
    }

    /// The value of the only attribute of a child that may be absent: `<lease milliseconds="3000"/>`.
    pub(super) fn setting<T>(
        &mut self,
        parent: &Element,
        name: &'static str,
        attribute: &'static [&'static str; 1],
        kind: &Kind<T>,
    ) -> Option<T> {
        let element = self.child(parent, name)?;
        self.allow(element, &Shape { attributes: attribute, children: &[], text: Text::Refused });
        self.required(element, attribute[0], kind)
    }

    pub(super) fn bad_value(&mut self, place: Place, subject: String, found: &str, expected: &str) {
        let fault = Fault::BadValue { subject, found: excerpt(found), expected: expected.to_owned() };
        self.problem(place, fault);
    }
}

fn one_of(names: &[&str], before: &str, after: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{before}{name}{after}")).collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}
