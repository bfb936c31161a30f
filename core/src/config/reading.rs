//! Takes typed values out of elements, and gathers what is wrong instead of stopping at it.
//!
//! Whoever reads an element first says what may be in it ([`Reading::allow`]); so an element or attribute that nobody
//! reads is always reported: as a problem in a file of ours, as ignored in one of Hazelcast's. A value that is wrong or missing yields `None` and a problem; as long as there is a problem
//! no configuration comes out, so what the caller does with the `None` does not matter.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::document::Element;
use super::files::{Dialect, Files, Surroundings};
use super::origins::{Ignored, Origin, Origins};
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
pub(super) const PORT: Kind<u16> =
    Kind { expected: "a port, from 1 to 65535", parse: |text| text.parse().ok().filter(|port| *port > 0) };

/// Different things that are reported as ignored. Those beyond it are ignored without being named.
const IGNORED_MAX: usize = 200;

/// What was found while a configuration was read.
pub(super) struct Reading<'a> {
    pub(super) surroundings: &'a dyn Surroundings,
    pub(super) files: Files,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
    pub(super) origins: Origins,
    pub(super) ignored: BTreeMap<(u16, String), Ignored>,
}

impl Reading<'_> {
    /// Whose words are used at this place.
    pub(super) fn dialect(&self, place: Place) -> Dialect {
        self.files.dialect(place)
    }

    /// Names something that has no effect; the same thing again in the same file only counts.
    pub(super) fn ignore(&mut self, place: Place, name: &str, reason: &str) {
        let key = (place.file, name.to_owned());
        if let Some(ignored) = self.ignored.get_mut(&key) {
            ignored.count += 1;
        } else if self.ignored.len() < IGNORED_MAX {
            let (name, reason) = (name.to_owned(), reason.to_owned());
            self.ignored.insert(key, Ignored { place, name, count: 1, reason });
        }
    }

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

    /// The beginning of the first file.
    pub(super) fn start(&self) -> Place {
        Place { file: 0, line: 1, column: 1 }
    }

    /// Reports whatever is in `element` and not in `shape`.
    pub(super) fn allow(&mut self, element: &Element, shape: &Shape) {
        self.allow_but(element, shape, |_, _| false);
    }

    /// The same, but for children that somebody else looks at.
    pub(super) fn allow_but(&mut self, element: &Element, shape: &Shape, is_other: fn(&str, Dialect) -> bool) {
        for attribute in &element.attributes {
            if !shape.attributes.contains(&attribute.name.as_str()) {
                if self.dialect(attribute.place) == Dialect::Hazelcast {
                    if !is_about_xml(&attribute.name) {
                        let name = format!("{} of <{}>", excerpt(&attribute.name), element.name);
                        self.ignore(attribute.place, &name, "the attribute has no meaning here");
                    }
                    continue;
                }
                let expected = one_of(shape.attributes, "", "");
                let (name, element) = (excerpt(&attribute.name), element.name.clone());
                self.problem(attribute.place, Fault::UnknownAttribute { name, element, expected });
            }
        }
        for child in &element.children {
            if !shape.children.contains(&child.name.as_str()) && !is_other(&child.name, self.dialect(child.place)) {
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
        let origin = Origin::at(attribute.place, attribute.note.as_deref());
        self.origins.insert(format!("{}@{name}", element.path), origin);
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
        self.bare_text(element, kind)
    }

    /// The text of an element of which the rest was looked at.
    pub(super) fn bare_text<T>(&mut self, element: &Element, kind: &Kind<T>) -> Option<T> {
        let value = (kind.parse)(element.text.trim());
        if value.is_none() {
            let subject = format!("<{}>", element.name);
            self.bad_value(element.text_place, subject, &element.text, kind.expected);
        }
        self.origins.insert(element.path.clone(), Origin::at(element.text_place, element.note.as_deref()));
        value
    }

    /// The text of a child that may be absent: `<multicast-port>54327</multicast-port>`.
    pub(super) fn value<T>(&mut self, parent: &Element, name: &str, kind: &Kind<T>) -> Option<T> {
        let element = self.child(parent, name)?;
        self.text(element, kind)
    }

    /// Everything that stands in an element, parted as Hazelcast does: by `,`, `;` and blanks.
    pub(super) fn words<'e>(&mut self, element: &'e Element, expected: &str) -> Vec<&'e str> {
        self.allow(element, &Shape { attributes: &[], children: &[], text: Text::Allowed });
        let words: Vec<&str> = words_of(&element.text).collect();
        if words.is_empty() {
            self.bad_value(element.place, format!("<{}>", element.name), "", expected);
        }
        words
    }

    /// A path, seen from the folder of the file. Its absence is reported.
    pub(super) fn required_path(&mut self, element: &Element, name: &str) -> Option<PathBuf> {
        let path = self.required(element, name, &PATH)?;
        Some(self.files.folder(element.place).join(path))
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

/// What stands between `,`, `;` and blanks.
pub(super) fn words_of(text: &str) -> impl Iterator<Item = &str> {
    let is_between = |c: char| c == ',' || c == ';' || c.is_ascii_whitespace();
    text.split(is_between).filter(|word| !word.is_empty())
}

/// Attributes with which XML speaks about itself.
fn is_about_xml(name: &str) -> bool {
    name == "xmlns" || name.starts_with("xmlns:") || name.starts_with("xsi:")
}

fn one_of(names: &[&str], before: &str, after: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{before}{name}{after}")).collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}
