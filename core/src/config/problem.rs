//! What is wrong with a configuration file, and where.

use std::fmt;
use thiserror::Error;

use super::files::Files;

/// Characters of the file that a message repeats. What is longer is cut.
const EXCERPT_CHARACTERS_MAX: usize = 80;

/// Problems, and warnings, that are reported for one file. What comes after them is not looked for.
pub(super) const PROBLEMS_MAX: usize = 50;

/// A place in a file, counted as editors do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Which of the [`Files`], from 0.
    pub file: u16,
    /// The line, from 1; 0 for what has no lines, like arguments.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One mistake of the operator.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{place}: {fault}")]
pub struct Problem {
    /// Where it was found.
    pub place: Place,
    /// What was found, and what was expected.
    pub fault: Fault,
}

/// What was found, and what was expected.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[allow(missing_docs)] // the message says what the field holds
pub enum Fault {
    #[error("the file has {bytes} bytes; at most {max} are read", max = super::FILE_BYTES_MAX)]
    TooLarge { bytes: usize },
    #[error("the file is not well-formed XML: {reason}")]
    NotXml { reason: String },
    #[error("{what} found; a configuration file must not contain one")]
    Refused { what: &'static str },
    #[error("elements are nested deeper than {max}")]
    TooDeep { max: usize },
    #[error("the file begins with <{name}>; expected {expected}")]
    WrongRoot { name: String, expected: String },
    #[error("the file '{path}' cannot be imported: {reason}")]
    Import { path: String, reason: String },
    #[error("more than {max} files are imported")]
    TooManyImports { max: usize },
    #[error("with the values of its variables the configuration is longer than {max} bytes")]
    TooLong { max: usize },
    #[error("{what} is not supported; use DNS: {how}")]
    UseDns { what: String, how: &'static str },
    #[error(
        "<{element} enabled=\"true\"> asks for a protection that Cresset does not give in this way: {instead}; remove \
         the element, or say enabled=\"false\""
    )]
    Protection { element: String, instead: &'static str },
    #[error("{what} would be readable by everybody on this machine: chmod o-r '{file}'")]
    EverybodyMayRead { what: &'static str, file: String },
    #[error("unknown element <{name}> in <{parent}>; expected {expected}")]
    UnknownElement { name: String, parent: String, expected: String },
    #[error("unknown attribute '{name}' of <{element}>; expected {expected}")]
    UnknownAttribute { name: String, element: String, expected: String },
    #[error("text '{found}' found in <{element}>, which holds none")]
    UnexpectedText { found: String, element: String },
    #[error("<{name}> appears a second time in <{parent}>; it must appear once")]
    Repeated { name: String, parent: String },
    #[error("<{parent}> lacks the element <{name}>")]
    MissingElement { name: String, parent: String },
    #[error("<{element}> lacks the attribute '{name}': expected {expected}")]
    MissingAttribute { name: String, element: String, expected: String },
    #[error("'{found}' found for {subject}; expected {expected}")]
    BadValue { subject: String, found: String, expected: String },
    #[error("{0}")]
    Inconsistent(String),
}

/// All that is wrong with a configuration. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems {
    /// The files in which it is.
    pub files: Files,
    /// In the order of their places.
    pub problems: Vec<Problem>,
    /// What the operator may not have meant, besides.
    pub warnings: Vec<Warning>,
}

impl fmt::Display for Problems {
    /// One line for each, in the form `file:line:column: what is wrong`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {}", self.files.locate(problem.place), problem.fault)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Something that works and that the operator may not have meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// Where it was found; absent if it is about what the file does not say.
    pub place: Option<Place>,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// What a message repeats of the file: on one line, without control characters, and not too much of it.
pub(super) fn excerpt(found: &str) -> String {
    let mut shown: String = found.trim().chars().take(EXCERPT_CHARACTERS_MAX).flat_map(char::escape_debug).collect();
    if found.trim().chars().nth(EXCERPT_CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    shown.replace("\\'", "'").replace("\\\"", "\"")
}
