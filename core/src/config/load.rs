//! From files to a configuration, or to everything that is wrong with them.

use std::path::{Path, PathBuf};

use super::assembly::{Assembly, name_paths, wrong_root};
use super::cresset;
use super::document::{Attribute, Element};
use super::files::{Content, Dialect, Files, Nowhere, Surroundings};
use super::hazelcast;
use super::model::{ClusterSettings, Config};
use super::origins::{Ignored, Origins};
use super::problem::{Fault, Place, Problem, Problems, Warning, excerpt};
use super::reading::Reading;

/// A configuration that can be started with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// What it says.
    pub config: Config,
    /// What the operator may not have meant.
    pub warnings: Vec<Warning>,
    /// What of it has no effect, in the order of the files.
    pub ignored: Vec<Ignored>,
    /// The files it was put together of.
    pub files: Files,
    /// Where each value came from.
    pub origins: Origins,
}

/// A file of Hazelcast's by itself, as the cluster part of a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckedCluster {
    /// What it says.
    pub cluster: ClusterSettings,
    /// What the operator may not have meant.
    pub warnings: Vec<Warning>,
    /// What of it has no effect, in the order of the files.
    pub ignored: Vec<Ignored>,
    /// The files it was put together of.
    pub files: Files,
    /// Where each value came from.
    pub origins: Origins,
}

/// Either kind of file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CheckedFile {
    /// `<cresset>`: a node can be started with it.
    Node(Box<Checked>),
    /// `<hazelcast>`: how the members of a cluster find each other.
    Cluster(Box<CheckedCluster>),
}

/// What a node is that has no `cresset.xml`, as arguments say it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    /// The XMPP domain.
    pub domain: String,
    /// The name of the node.
    pub name: String,
    /// The data directory of the node.
    pub data: PathBuf,
    /// The account database; absent: one in the data directory.
    pub accounts: Option<PathBuf>,
}

/// Where the node's own part of a configuration is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Main {
    /// In a `cresset.xml`.
    File(PathBuf, Content),
    /// In the arguments.
    Given(Given),
}

/// Reads the bytes of a `cresset.xml` that refers to nothing. Relative paths in it are seen from the folder of `file`.
///
/// # Errors
///
/// All problems of the file, up to 50, in the order of their places.
pub fn read(file: &Path, bytes: &[u8]) -> Result<Checked, Problems> {
    let content = Content { bytes: bytes.to_owned(), everybody_may_read: false };
    load(&Main::File(file.to_owned(), content), None, &Nowhere)
}

/// Puts the configuration of a node together: its own part, and the file of Hazelcast's if there is one.
///
/// # Errors
///
/// All problems of all files, up to 50, in the order of their places.
pub fn load(
    main: &Main,
    hazelcast: Option<(&Path, &Content)>,
    surroundings: &dyn Surroundings,
) -> Result<Checked, Problems> {
    load_expecting("<cresset>", main, hazelcast, surroundings)
}

fn load_expecting(
    expected: &str,
    main: &Main,
    hazelcast: Option<(&Path, &Content)>,
    surroundings: &dyn Surroundings,
) -> Result<Checked, Problems> {
    let mut assembly = Assembly::new(surroundings);
    let root = match main {
        Main::File(path, content) => assembly.add(path, content),
        Main::Given(given) => {
            assembly.files.add(Path::new("the arguments"), false);
            Some(element_of(given))
        }
    };
    let imported = hazelcast.and_then(|(path, content)| assembly.add_hazelcast(path, content));
    let root = root.filter(|root| is_root(&mut assembly, root, expected)).map(|mut root| {
        if let Some(imported) = imported {
            cluster_of(&mut root).children.extend(imported.children);
        }
        name_paths(&mut root, "");
        root
    });
    let used = std::mem::take(&mut assembly.used);
    let mut reading = reading(assembly, surroundings);
    let config = root.and_then(|root| cresset::read_root(&mut reading, &root));
    hazelcast::name_definitions(&mut reading, &used);
    let (config, Findings { warnings, ignored, files, origins }) = finish(config, reading)?;
    Ok(Checked { config, warnings, ignored, files, origins })
}

/// Reads either kind of file, told apart by the root element.
///
/// # Errors
///
/// All problems of all files, up to 50, in the order of their places.
pub fn load_file(path: &Path, content: &Content, surroundings: &dyn Surroundings) -> Result<CheckedFile, Problems> {
    let mut assembly = Assembly::new(surroundings);
    let root = assembly.add(path, content);
    let Some(mut root) = root.filter(|root| root.name == "hazelcast") else {
        let main = Main::File(path.to_owned(), content.clone());
        let checked = load_expecting("<cresset> or <hazelcast>", &main, None, surroundings)?;
        return Ok(CheckedFile::Node(Box::new(checked)));
    };
    name_paths(&mut root, "cluster");
    let used = std::mem::take(&mut assembly.used);
    let mut reading = reading(assembly, surroundings);
    let cluster = cresset::cluster::read(&mut reading, &root);
    hazelcast::name_definitions(&mut reading, &used);
    let (cluster, Findings { warnings, ignored, files, origins }) = finish(Some(cluster), reading)?;
    Ok(CheckedFile::Cluster(Box::new(CheckedCluster { cluster, warnings, ignored, files, origins })))
}

struct Findings {
    warnings: Vec<Warning>,
    ignored: Vec<Ignored>,
    files: Files,
    origins: Origins,
}

fn is_root(assembly: &mut Assembly<'_>, root: &Element, expected: &str) -> bool {
    if root.name == "cresset" {
        return true;
    }
    let fault = match assembly.files.dialect(root.place) {
        Dialect::Cresset => wrong_root(&root.name, expected),
        Dialect::Hazelcast => Fault::WrongRoot {
            name: excerpt(&root.name),
            expected: format!("{expected}; a file of Hazelcast's is taken by --hazelcast-config"),
        },
    };
    assembly.problems.push(Problem { place: root.place, fault });
    false
}

/// The `<cluster>` of a `<cresset>`; an empty one is put in if there is none.
fn cluster_of(root: &mut Element) -> &mut Element {
    let number = root.children.iter().position(|child| child.name == "cluster").unwrap_or_else(|| {
        root.children.push(element(root.place, "cluster", &[], ""));
        root.children.len() - 1
    });
    &mut root.children[number]
}

/// The arguments as the element that a file would hold.
fn element_of(given: &Given) -> Element {
    let place = Place { file: 0, line: 0, column: 0 };
    // A relative path in an argument is seen from where the program runs, as the folder of "the arguments" is empty.
    let data = given.data.to_string_lossy();
    let mut root = element(place, "cresset", &[], "");
    root.children.push(element(place, "domain", &[], &given.domain));
    root.children.push(element(place, "node", &[("name", &given.name), ("data", &data)], ""));
    if let Some(path) = &given.accounts {
        let mut accounts = element(place, "accounts", &[], "");
        accounts.children.push(element(place, "sqlite", &[("path", &path.to_string_lossy())], ""));
        root.children.push(accounts);
    }
    root
}

fn element(place: Place, name: &str, attributes: &[(&str, &str)], text: &str) -> Element {
    let attribute = |(name, value): &(&str, &str)| Attribute {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
        place,
        note: None,
    };
    Element {
        name: name.to_owned(),
        place,
        attributes: attributes.iter().map(attribute).collect(),
        children: Vec::new(),
        text: text.to_owned(),
        text_place: place,
        note: None,
        path: String::new(),
    }
}

fn reading<'a>(assembly: Assembly<'_>, surroundings: &'a dyn Surroundings) -> Reading<'a> {
    let Assembly { files, problems, warnings, .. } = assembly;
    Reading { surroundings, files, problems, warnings, origins: Origins::default(), ignored: Default::default() }
}

fn finish<T>(read: Option<T>, reading: Reading<'_>) -> Result<(T, Findings), Problems> {
    let Reading { files, mut problems, mut warnings, origins, ignored, .. } = reading;
    // What is about no place in particular comes last.
    warnings.sort_by_key(|warning| (warning.place.is_none(), warning.place));
    match read {
        Some(read) if problems.is_empty() => {
            let mut ignored: Vec<Ignored> = ignored.into_values().collect();
            ignored.sort_by_key(|ignored| ignored.place);
            Ok((read, Findings { warnings, ignored, files, origins }))
        }
        Some(_) | None => {
            problems.sort_by_key(|problem| problem.place);
            Err(Problems { files, problems, warnings })
        }
    }
}
