//! The files of which a configuration is put together, and what else it refers to.
//!
//! Core reads nothing by itself: whatever is outside of the bytes is asked of [`Surroundings`].

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::problem::Place;

/// What a configuration refers to and does not hold.
pub trait Surroundings {
    /// A file that is to be imported.
    ///
    /// # Errors
    ///
    /// A few words that say why it cannot be read.
    fn file(&self, path: &Path) -> Result<Content, String>;

    /// The value of `${name}`.
    fn variable(&self, name: &str) -> Option<Variable>;

    /// The names that the operator gave a value on purpose, as with `-D`; the environment's are not among them.
    fn definitions(&self) -> Vec<String> {
        Vec::new()
    }

    /// The addresses of this machine, in the order of its interfaces.
    fn addresses(&self) -> Vec<IpAddr>;

    /// An address of a host.
    fn address_of(&self, host: &str) -> Option<IpAddr>;
}

/// A file as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// All of it, or one byte more than is allowed.
    pub bytes: Vec<u8>,
    /// Whether users of the machine other than the owner and the group may read it, too. Then it must hold no secret.
    pub everybody_may_read: bool,
}

/// The value of a variable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variable {
    /// The value.
    pub value: String,
    /// Who gave it: `-D`, or `the environment`.
    pub given_by: &'static str,
}

/// Nothing around: no file, no variable, no address.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

impl Surroundings for Nowhere {
    fn file(&self, _: &Path) -> Result<Content, String> {
        Err("no other file is read here".to_owned())
    }

    fn variable(&self, _: &str) -> Option<Variable> {
        None
    }

    fn addresses(&self) -> Vec<IpAddr> {
        Vec::new()
    }

    fn address_of(&self, _: &str) -> Option<IpAddr> {
        None
    }
}

/// Whose words a file is written in, by its root element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// `<cresset>`: what is unknown is refused.
    Cresset,
    /// `<hazelcast>`: what is of no use here is named and ignored.
    Hazelcast,
}

/// The files of which a configuration was put together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Files(Vec<File>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct File {
    path: PathBuf,
    dialect: Dialect,
    everybody_may_read: bool,
}

impl Files {
    /// Adds a file, and gives the number by which places name it.
    pub(super) fn add(&mut self, path: &Path, everybody_may_read: bool) -> u16 {
        self.0.push(File { path: path.to_owned(), dialect: Dialect::Cresset, everybody_may_read });
        u16::try_from(self.0.len() - 1).expect("the number of files is bounded far below that")
    }

    pub(super) fn set_dialect(&mut self, file: u16, dialect: Dialect) {
        self.0[usize::from(file)].dialect = dialect;
    }

    pub(super) fn dialect(&self, place: Place) -> Dialect {
        self.0.get(usize::from(place.file)).map_or(Dialect::Cresset, |file| file.dialect)
    }

    pub(super) fn everybody_may_read(&self, place: Place) -> bool {
        self.0.get(usize::from(place.file)).is_some_and(|file| file.everybody_may_read)
    }

    /// The folder from which relative paths at this place are seen.
    pub(super) fn folder(&self, place: Place) -> &Path {
        self.path(place).parent().unwrap_or(Path::new(""))
    }

    /// The file in which a place is.
    pub fn path(&self, place: Place) -> &Path {
        self.0.get(usize::from(place.file)).map_or(Path::new(""), |file| &file.path)
    }

    /// `file:line:column`, as editors understand it.
    pub fn locate(&self, place: Place) -> String {
        let file = self.path(place).display();
        if place.line == 0 { file.to_string() } else { format!("{file}:{}:{}", place.line, place.column) }
    }

    /// `file:line`.
    pub fn line(&self, place: Place) -> String {
        let file = self.path(place).display();
        if place.line == 0 { file.to_string() } else { format!("{file}:{}", place.line) }
    }
}
