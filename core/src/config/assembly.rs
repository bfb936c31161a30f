//! One tree out of several files: variables get their values, imports what they import.
//!
//! ```text
//! cresset.xml ─▶ <cresset>                        hazelcast-local-config.xml
//!                  └ <cluster>                      └ <hazelcast>
//!                      ├ <import resource="…"/> ◀─────── children, in place
//!                      └ …
//! ```
//!
//! An import stands at the top level of a `<hazelcast>` file, or in `<cluster>`. What is imported is always a
//! `<hazelcast>` file, may import in turn, and is seen from the folder of the file that names it. The same file twice
//! is an error, in a circle or not; so is a 17th one.
//!
//! Values of variables are not looked at again: a variable cannot name another one, nor hold an element.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::FILE_BYTES_MAX;
use super::document::{self, Element};
use super::files::{Content, Dialect, Files, Surroundings};
use super::problem::{Fault, PROBLEMS_MAX, Place, Problem, Warning, excerpt};

/// Files of one configuration. Beyond it: [`Fault::TooManyImports`].
const FILES_MAX: usize = 16;

/// What is put together, and what was found meanwhile.
pub(super) struct Assembly<'s> {
    surroundings: &'s dyn Surroundings,
    pub(super) files: Files,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
    /// The files that were begun, without `.` and `..`.
    begun: Vec<PathBuf>,
    /// Bytes that variables have put in.
    expanded_bytes: usize,
    /// The variables whose values were put in.
    pub(super) used: BTreeSet<String>,
}

impl<'s> Assembly<'s> {
    pub(super) fn new(surroundings: &'s dyn Surroundings) -> Self {
        Assembly {
            surroundings,
            files: Files::default(),
            problems: Vec::new(),
            warnings: Vec::new(),
            begun: Vec::new(),
            expanded_bytes: 0,
            used: BTreeSet::new(),
        }
    }

    /// The root element of a file with all that it imports; nothing if it is no XML.
    pub(super) fn add(&mut self, path: &Path, content: &Content) -> Option<Element> {
        let file = self.files.add(path, content.everybody_may_read);
        self.begun.push(plain(path));
        let mut root = match document::parse(&content.bytes, file) {
            Ok(root) => root,
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        if root.name == "hazelcast" {
            self.files.set_dialect(file, Dialect::Hazelcast);
        }
        self.expand(&mut root);
        if root.name == "hazelcast" {
            self.import_into(&mut root);
        } else {
            root.children.iter_mut().filter(|child| child.name == "cluster").for_each(|child| self.import_into(child));
        }
        Some(root)
    }

    /// A file that must be `<hazelcast>`, as an element of which only the children count.
    pub(super) fn add_hazelcast(&mut self, path: &Path, content: &Content) -> Option<Element> {
        let root = self.add(path, content)?;
        if root.name != "hazelcast" {
            self.problem(root.place, wrong_root(&root.name, "<hazelcast>"));
            return None;
        }
        Some(root)
    }

    fn import_into(&mut self, parent: &mut Element) {
        let mut children = Vec::new();
        for child in std::mem::take(&mut parent.children) {
            if child.name == "import" {
                children.extend(self.import(&child).into_iter().flat_map(|root| root.children));
            } else {
                children.push(child);
            }
        }
        parent.children = children;
    }

    fn import(&mut self, element: &Element) -> Option<Element> {
        let Some(resource) = element.attributes.iter().find(|attribute| attribute.name == "resource") else {
            let (name, element_name) = ("resource".to_owned(), "import".to_owned());
            let expected = "the path of a file".to_owned();
            self.problem(element.place, Fault::MissingAttribute { name, element: element_name, expected });
            return None;
        };
        match self.find(resource.value.trim(), element.place) {
            Ok((path, content)) => self.add_hazelcast(&path, &content),
            Err(fault) => {
                self.problem(resource.place, fault);
                None
            }
        }
    }

    /// The file that an import names, or why not.
    fn find(&self, resource: &str, place: Place) -> Result<(PathBuf, Content), Fault> {
        let refused = |reason: String| Fault::Import { path: excerpt(resource), reason };
        let local = resource.strip_prefix("file://").or_else(|| resource.strip_prefix("file:")).unwrap_or(resource);
        if local.is_empty() {
            return Err(refused("it has no name".to_owned()));
        }
        if let Some((scheme, _)) = local.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) {
            let reason = format!("only files are imported, by their path or file:///…, and not '{scheme}:'");
            return Err(refused(reason));
        }
        let path = self.files.folder(place).join(local);
        if self.begun.contains(&plain(&path)) {
            let reason = "it is part of this configuration already; a file is imported once, and not by itself";
            return Err(refused(reason.to_owned()));
        }
        if self.begun.len() == FILES_MAX {
            return Err(Fault::TooManyImports { max: FILES_MAX });
        }
        let content = self.surroundings.file(&path).map_err(|reason| match next_variable(local) {
            Some((_, name, _)) => {
                let name = excerpt(name);
                refused(format!("the variable ${{{name}}} has no value: give it one with -D {name}=…"))
            }
            None => refused(reason),
        })?;
        Ok((path, content))
    }

    /// Puts the values of variables in.
    fn expand(&mut self, element: &mut Element) {
        for attribute in &mut element.attributes {
            let place = attribute.place;
            if let Some((value, note)) = self.expanded(&attribute.value, place) {
                (attribute.value, attribute.note) = (value, note);
            }
        }
        if let Some((text, note)) = self.expanded(&element.text, element.text_place) {
            (element.text, element.note) = (text, note);
        }
        // The depth of the tree is bounded.
        element.children.iter_mut().for_each(|child| self.expand(child));
    }

    /// A text with the values of its variables, and whose they are; nothing if there is no variable in it.
    fn expanded(&mut self, text: &str, place: Place) -> Option<(String, Option<String>)> {
        let (mut out, mut notes) = (String::new(), Vec::new());
        let mut rest = text;
        while let Some((before, name, after)) = next_variable(rest) {
            out.push_str(before);
            match self.surroundings.variable(name) {
                Some(variable) => {
                    self.expanded_bytes += variable.value.len();
                    if self.expanded_bytes > FILE_BYTES_MAX {
                        self.problem(place, Fault::TooLong { max: FILE_BYTES_MAX });
                        return None;
                    }
                    out.push_str(&variable.value);
                    self.used.insert(name.to_owned());
                    notes.push(format!("${{{}}} from {}", excerpt(name), variable.given_by));
                }
                None => {
                    out.push_str(&rest[before.len()..rest.len() - after.len()]);
                    let name = excerpt(name);
                    let message = format!(
                        "the variable ${{{name}}} has no value and stays as it is: give it one with -D {name}=…, or in \
                         the environment"
                    );
                    if self.warnings.len() < PROBLEMS_MAX {
                        self.warnings.push(Warning { place: Some(place), message });
                    }
                }
            }
            rest = after;
        }
        if rest.len() == text.len() {
            return None;
        }
        out.push_str(rest);
        Some((out, (!notes.is_empty()).then(|| notes.join(", "))))
    }

    fn problem(&mut self, place: Place, fault: Fault) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { place, fault });
        }
    }
}

/// What is wrong with a file that begins with this element. Files of Hazelcast's that are none of a member are known by
/// how they begin.
pub(super) fn wrong_root(name: &str, expected: &str) -> Fault {
    let local = name.rsplit_once(':').map_or(name, |(_, local)| local);
    let hint = match local {
        "hazelcast-client" | "hazelcast-client-failover" => {
            ": this is the file of a client of Hazelcast's; that of a member is needed"
        }
        "beans" => ": this is a file of Spring; what it says about Hazelcast must stand in a file of its own",
        "hazelcast" | "cresset" => ": names are written without a prefix, and the namespace as xmlns=\"…\"",
        _ => "",
    };
    Fault::WrongRoot { name: excerpt(name), expected: format!("{expected}{hint}") }
}

/// What is before, in, and after the first `${…}`.
fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("${")?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name.trim(), after))
}

/// A letter and more than one character, so that nobody's drive is taken for one (RFC 3986 section 3.1).
fn is_scheme(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A path without `.` and `..`, so that two names of a file are seen to be the same.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !plain.pop() {
                    plain.push("..");
                }
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(component),
        }
    }
    plain
}

/// Calls every element by its path in the whole configuration.
pub(super) fn name_paths(element: &mut Element, path: &str) {
    path.clone_into(&mut element.path);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for child in &mut element.children {
        // The short form of `<network><join>`.
        let path = if path == "cluster" && child.name == "join" { "cluster/network" } else { path };
        let mut below = if path.is_empty() { child.name.clone() } else { format!("{path}/{}", child.name) };
        let count = seen.entry(child.name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            below.push_str(&format!("[{count}]"));
        }
        name_paths(child, &below);
    }
}
