//! `cresset user import`: many accounts from a file.
//!
//! Lines are taken in batches: read, the keys derived on all processors, written in one transaction. A line that
//! cannot be used is reported by its number and left out; the others are imported. What an interrupted import wrote
//! is kept, and the same file may be imported again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, stdin};
use std::path::Path;
use std::thread;

use cresset_core::jid::{DomainPart, NodePart};
use cresset_net::accounts::{Added, Credentials, Existing, NewAccount};
use indicatif::{ProgressBar, ProgressStyle};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::line::{self, Line, Secret};
use super::{Store, randomness};
use crate::exit::Failure;
use crate::terminal;

/// The part of `--help` about the file.
pub(super) const FORMAT: &str = "\
The file holds one account a line, as CSV in UTF-8: a name, a comma, and a password or SCRAM keys.
A first line 'name,password' is taken for a heading. Fields with commas or quotes are quoted.

  juliet,r0m30myr0m30
  romeo,SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY SCRAM-SHA-1$4096:SALT$STOREDKEY:SERVERKEY

Keys have the form in which PostgreSQL keeps them (salt and keys in base64), several separated by spaces.
They may have 4096 to 600000 iterations.
Lines that cannot be used are reported with their number; the others are imported, and the exit code is 1.";

/// Bytes of one line: a name and a password of 1023 bytes each, all of it quoted, or keys. A longer one is refused.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// Accounts in one transaction: about a second of deriving keys on a small machine.
const BATCH_ACCOUNTS_MAX: usize = 512;

/// What some programs write before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Imports a file; `-` is standard input.
pub(super) fn run(store: &Store, file: &Path, update: bool) -> Result<(), Failure> {
    let unreadable = |error: io::Error| Failure::failed(format!("{}: cannot be read: {error}", file.display()));
    let (input, bytes): (Box<dyn Read>, Option<u64>) = if file == Path::new("-") {
        (Box::new(stdin().lock()), None)
    } else {
        let file = File::open(file).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        (Box::new(file), Some(bytes))
    };
    let existing = if update { Existing::Update } else { Existing::Keep };
    let progress = progress(bytes);
    let mut lines = Lines::new(BufReader::new(input), store.domain.clone());
    let mut import = Import { store, existing, random: randomness()?, progress: &progress, tally: Tally::default() };
    loop {
        let batch = lines.batch(&mut |problem| import.refuse(problem)).map_err(unreadable)?;
        if batch.is_empty() {
            break;
        }
        import.write(batch)?;
        progress.set_position(lines.bytes_read);
    }
    let tally = import.tally;
    progress.finish_and_clear();
    tally.into_outcome()
}

/// A bar on a terminal; nothing elsewhere.
fn progress(bytes: Option<u64>) -> ProgressBar {
    let (progress, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{bar:40} {percent:>3} %  {msg}  {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    progress.with_style(ProgressStyle::with_template(template).expect("the template is well formed"))
}

/// An import on its way.
struct Import<'a> {
    store: &'a Store,
    existing: Existing,
    random: StdRng,
    progress: &'a ProgressBar,
    tally: Tally,
}

impl Import<'_> {
    fn refuse(&mut self, problem: Problem) {
        self.tally.refused += 1;
        self.progress.suspend(|| terminal::complain(&format!("line {}: {}", problem.line, problem.reason)));
    }

    fn write(&mut self, batch: Vec<(u64, Line)>) -> Result<(), Failure> {
        let accounts = derive(&batch, &mut self.random);
        let outcomes = self.store.ask(self.store.accounts().add_many(accounts, self.existing))?;
        for ((line, account), outcome) in batch.into_iter().zip(outcomes) {
            match outcome {
                Added::Created => self.tally.created += 1,
                Added::Updated => self.tally.updated += 1,
                Added::Exists => {
                    let reason = format!("there is an account '{}' already (see --update)", account.name);
                    self.refuse(Problem { line, reason });
                }
            }
        }
        self.progress.set_message(format!("{} accounts", self.tally.created + self.tally.updated));
        Ok(())
    }
}

/// Makes the keys of all passwords, on all processors.
fn derive(batch: &[(u64, Line)], random: &mut StdRng) -> Vec<NewAccount> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let share = batch.len().div_ceil(processors).max(1);
    thread::scope(|scope| {
        let workers: Vec<_> = batch
            .chunks(share)
            .map(|share| {
                let mut seed = <StdRng as SeedableRng>::Seed::default();
                random.fill_bytes(&mut seed);
                scope.spawn(move || derive_some(share, StdRng::from_seed(seed)))
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("deriving keys does not panic")).collect()
    })
}

fn derive_some(lines: &[(u64, Line)], mut random: StdRng) -> Vec<NewAccount> {
    lines
        .iter()
        .map(|(_, line)| {
            let credentials = match &line.secret {
                Secret::Password(password) => Credentials::derive(password, &mut random),
                Secret::Keys(keys) => keys.iter().cloned().collect(),
            };
            NewAccount { name: line.name.clone(), credentials }
        })
        .collect()
}

/// How many of which.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tally {
    created: u64,
    updated: u64,
    refused: u64,
}

impl Tally {
    fn into_outcome(self) -> Result<(), Failure> {
        let Tally { created, updated, refused } = self;
        terminal::say(&format!("{created} created, {updated} updated, {refused} refused"));
        match refused {
            0 => Ok(()),
            1 => Err(Failure::failed("1 line was refused")),
            _ => Err(Failure::failed(format!("{refused} lines were refused"))),
        }
    }
}

/// Why a line is left out.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Problem {
    /// From 1.
    line: u64,
    reason: String,
}

/// The lines of a file, each once for each name.
struct Lines<R> {
    input: R,
    domain: Option<DomainPart>,
    number: u64,
    bytes_read: u64,
    /// On which line each name was. Bounded by the file; a store must have room for the same names.
    seen: BTreeMap<NodePart, u64>,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R, domain: Option<DomainPart>) -> Lines<R> {
        Lines { input, domain, number: 0, bytes_read: 0, seen: BTreeMap::new() }
    }

    /// The next accounts, with the numbers of their lines; none at the end of the file.
    fn batch(&mut self, refuse: &mut impl FnMut(Problem)) -> io::Result<Vec<(u64, Line)>> {
        let mut batch = Vec::new();
        while batch.len() < BATCH_ACCOUNTS_MAX
            && let Some(line) = self.next_line()?
        {
            match line.and_then(|line| self.read(&line)) {
                Ok(Some(line)) => batch.push((self.number, line)),
                Ok(None) => {}
                Err(reason) => refuse(Problem { line: self.number, reason }),
            }
        }
        Ok(batch)
    }

    /// The next line without its line break; none at the end of the file.
    fn next_line(&mut self) -> io::Result<Option<Result<Vec<u8>, String>>> {
        let mut line = Vec::new();
        let most = LINE_BYTES_MAX as u64 + 1;
        let read = self.input.by_ref().take(most).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes_read += read as u64;
        if line.pop_if(|byte| *byte == b'\n').is_none() && line.len() > LINE_BYTES_MAX {
            self.bytes_read += self.input.skip_until(b'\n')? as u64;
            return Ok(Some(Err(format!("the line is longer than {LINE_BYTES_MAX} bytes"))));
        }
        line.pop_if(|byte| *byte == b'\r');
        if self.number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Some(Ok(line)))
    }

    /// What a line says; nothing if it is empty or the heading.
    fn read(&mut self, line: &[u8]) -> Result<Option<Line>, String> {
        if line.is_empty() || (self.number == 1 && line.eq_ignore_ascii_case(b"name,password")) {
            return Ok(None);
        }
        let line = line::read(line, self.domain.as_ref())?;
        if let Some(first) = self.seen.get(&line.name) {
            return Err(format!("the account '{}' was on line {first} already", line.name));
        }
        self.seen.insert(line.name.clone(), self.number);
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_lines_are_read_between_bad_ones() {
        let file = b"\xef\xbb\xbfName,Password\r\njuliet,a\r\n\r\nbroken\nromeo,b\n\xff,c\nJuliet,d\nnurse,e";

        let (good, bad) = read_all(file);

        assert_eq!(good, [(2, "juliet".to_owned()), (5, "romeo".to_owned()), (8, "nurse".to_owned())]);
        let bad: Vec<(u64, &str)> = bad.iter().map(|problem| (problem.line, problem.reason.as_str())).collect();
        let expected = [
            (4, "expected 2 fields, name and password, and found 1"),
            (6, "this is not UTF-8"),
            (7, "the account 'juliet' was on line 2 already"),
        ];
        assert_eq!(bad, expected);
    }

    #[test]
    fn a_quote_that_is_left_open_does_not_swallow_the_file() {
        let (good, bad) = read_all(b"juliet,\"a\nromeo,b\n");

        assert_eq!(good, [(2, "romeo".to_owned())]);
        assert_eq!(bad[0].line, 1);
    }

    #[test]
    fn a_line_without_end_is_refused_and_passed_over() {
        let mut file = b"x".repeat(10 * LINE_BYTES_MAX);
        file.extend(b"\njuliet,a\n");

        let (good, bad) = read_all(&file);

        assert_eq!(good, [(2, "juliet".to_owned())]);
        assert_eq!(bad, [Problem { line: 1, reason: "the line is longer than 8192 bytes".to_owned() }]);
    }

    #[test]
    fn a_line_of_exactly_the_bound_is_read() {
        let file = "x".repeat(LINE_BYTES_MAX);

        let (_, bad) = read_all(format!("{file}\n{file}").as_bytes());

        assert!(bad.iter().all(|problem| problem.reason.starts_with("expected 2 fields")), "{bad:?}");
        assert_eq!(bad.len(), 2);
    }

    #[test]
    fn the_heading_is_one_only_on_the_first_line() {
        let (good, _) = read_all(b"juliet,a\nname,password\n");

        assert_eq!(good, [(1, "juliet".to_owned()), (2, "name".to_owned())]);
    }

    /// Numbers and names of good lines, and the problems, of a file that is read to its end.
    fn read_all(file: &[u8]) -> (Vec<(u64, String)>, Vec<Problem>) {
        let mut lines = Lines::new(file, None);
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        loop {
            let batch = lines.batch(&mut |problem| bad.push(problem)).expect("memory can be read");
            if batch.is_empty() {
                assert_eq!(lines.bytes_read, file.len() as u64);
                return (good, bad);
            }
            good.extend(batch.into_iter().map(|(number, line)| (number, line.name.into_inner())));
        }
    }
}
