//! `cresset user`: creates, changes, removes, lists and imports accounts, in the account store that the nodes share.
//! Nodes that are running see the change with the next log-in.
//!
//! A password is asked for at the terminal or read from standard input. It is never an argument, because arguments
//! are shown to everybody by `ps` and kept by the shell.

mod import;
mod line;

use std::io::{BufRead, IsTerminal, stdin};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use cresset_core::jid::{DomainPart, NodePart};
use cresset_core::sasl::Password;
use cresset_net::accounts::{ACCOUNTS_PER_CALL_MAX, Added, Credentials, Written};
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

use super::store::{Missing, Store, WhichStore};
use crate::exit::Failure;
use crate::terminal;

/// Bytes that are read in the hope of a password: more than any password has.
const PASSWORD_LINE_BYTES_MAX: u64 = 4096;

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create an account
    Add {
        #[command(flatten)]
        store: WhichStore,
        #[command(flatten)]
        password: WhichPassword,
        /// The part of its JID before the '@', or the whole JID
        name: String,
    },
    /// Give an account another password
    Password {
        #[command(flatten)]
        store: WhichStore,
        #[command(flatten)]
        password: WhichPassword,
        /// The account
        name: String,
    },
    /// Remove an account with its roster and the messages that wait for it
    Remove {
        #[command(flatten)]
        store: WhichStore,
        /// The account
        name: String,
    },
    /// Print the names of all accounts, one a line
    List {
        #[command(flatten)]
        store: WhichStore,
    },
    /// Create accounts from a file
    #[command(after_help = import::FORMAT)]
    Import {
        #[command(flatten)]
        store: WhichStore,
        /// Change the password of accounts that exist already; they are refused otherwise
        #[arg(long)]
        update: bool,
        /// The file; '-' is standard input
        file: PathBuf,
    },
}

/// Where the password comes from: the terminal, unless the arguments say otherwise.
#[derive(Debug, Args)]
pub(crate) struct WhichPassword {
    /// Read the password from standard input, up to the first line break
    #[arg(long)]
    password_stdin: bool,
}

/// Does it.
///
/// # Errors
///
/// If it could not be done, or not for every line of an import.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { store, password, name } => {
            store.with(Missing::Create, |store| add(store, &named(store, &name)?, &password))
        }
        Command::Password { store, password, name } => {
            store.with(Missing::Refuse, |store| change(store, &named(store, &name)?, &password))
        }
        Command::Remove { store, name } => store.with(Missing::Refuse, |store| {
            let name = named(store, &name)?;
            done(store.ask(store.accounts().remove(name.clone()))?, &name)
        }),
        Command::List { store } => store.with(Missing::Refuse, list),
        Command::Import { store, update, file } => {
            store.with(Missing::Create, |store| import::run(store, &file, update))
        }
    }
}

fn add(store: &Store, name: &NodePart, password: &WhichPassword) -> Result<(), Failure> {
    // Known beforehand, so that nobody thinks of a password for nothing; `add` has the last word.
    if store.ask(store.accounts().exists(name.clone()))? {
        return Err(exists(name));
    }
    let credentials = credentials(&password.read()?)?;
    match store.ask(store.accounts().add(name.clone(), credentials))? {
        Added::Created => Ok(()),
        Added::Updated | Added::Exists => Err(exists(name)),
    }
}

fn change(store: &Store, name: &NodePart, password: &WhichPassword) -> Result<(), Failure> {
    if !store.ask(store.accounts().exists(name.clone()))? {
        return Err(unknown(name));
    }
    let credentials = credentials(&password.read()?)?;
    done(store.ask(store.accounts().change_credentials(name.clone(), credentials))?, name)
}

/// The account that an argument names.
fn named(store: &Store, text: &str) -> Result<NodePart, Failure> {
    account(text, store.domain.as_ref()).map_err(Failure::Configuration)
}

/// The account that `text` means: a localpart, or a bare JID of the domain.
fn account(text: &str, domain: Option<&DomainPart>) -> Result<NodePart, String> {
    let localpart = match text.split_once('@') {
        None => text,
        Some((localpart, of)) => match (DomainPart::new(of), domain) {
            (Ok(of), Some(domain)) if *of == **domain => localpart,
            (Ok(_) | Err(_), Some(domain)) => return Err(format!("'{text}' is no account of the domain '{domain}'")),
            (Ok(_) | Err(_), None) => {
                return Err(format!("give only the part of '{text}' before the '@': the store knows no domain"));
            }
        },
    };
    match localpart.len() {
        0 => Err("the account name is empty".to_owned()),
        1..=1023 => localpart.parse().map_err(|_| format!("'{localpart}' cannot be the first part of a JID")),
        bytes => Err(format!("the account name is too long: {bytes} bytes, at most 1023 are allowed")),
    }
}

impl WhichPassword {
    fn read(&self) -> Result<Password, Failure> {
        let text = if self.password_stdin {
            first_line(stdin().lock())?
        } else if stdin().is_terminal() {
            let first = rpassword::prompt_password("Password: ").map_err(Failure::failed)?;
            let again = rpassword::prompt_password("Once more: ").map_err(Failure::failed)?;
            if first != again {
                return Err(Failure::failed("these are two different passwords; nothing was changed"));
            }
            first
        } else {
            let hint = "there is no terminal to ask for a password: use --password-stdin".to_owned();
            return Err(Failure::Configuration(format!("cresset: {hint}")));
        };
        password(&text).map_err(Failure::failed)
    }
}

/// Up to the first line break or the end.
fn first_line(input: impl BufRead) -> Result<String, Failure> {
    let mut text = String::new();
    let read = input.take(PASSWORD_LINE_BYTES_MAX).read_line(&mut text);
    read.map_err(|error| Failure::failed(format!("cannot read the password: {error}")))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// A password, or why it is none.
fn password(text: &str) -> Result<Password, &'static str> {
    if text.is_empty() {
        return Err("the password is empty");
    }
    Password::new(text).ok_or("the password is too long or has characters that cannot be typed")
}

fn credentials(password: &Password) -> Result<Credentials, Failure> {
    Ok(Credentials::derive(password, &mut randomness()?))
}

/// A generator seeded by the operating system.
fn randomness() -> Result<StdRng, Failure> {
    StdRng::try_from_rng(&mut SysRng).map_err(|error| Failure::failed(format!("no randomness: {error}")))
}

fn list(store: &Store) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let names = store.ask(store.accounts().list(after, ACCOUNTS_PER_CALL_MAX))?;
        let Some(last) = names.last() else { return Ok(()) };
        terminal::say(&names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join("\n"));
        after = Some(last.clone());
    }
}

fn done(written: Written, name: &NodePart) -> Result<(), Failure> {
    match written {
        Written::Done => Ok(()),
        Written::NoSuchAccount => Err(unknown(name)),
    }
}

fn unknown(name: &NodePart) -> Failure {
    Failure::failed(format!("there is no account '{name}'"))
}

fn exists(name: &NodePart) -> Failure {
    Failure::failed(format!("there is an account '{name}' already"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_named_by_its_localpart_or_its_jid() {
        let domain: DomainPart = "example.org".parse().expect("a domain");

        for text in ["juliet", "Juliet", "juliet@example.org", "juliet@EXAMPLE.org"] {
            assert_eq!(account(text, Some(&domain)).map(NodePart::into_inner), Ok("juliet".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused_with_the_reason() {
        let domain: DomainPart = "example.org".parse().expect("a domain");
        let refused = |text: &str, domain| account(text, domain).expect_err("refused");

        assert_eq!(refused("", None), "the account name is empty");
        assert_eq!(refused("@example.org", Some(&domain)), "the account name is empty");
        assert!(refused(&"x".repeat(1024), None).contains("1024 bytes"));
        assert!(refused("a b", None).contains("cannot be the first part of a JID"));
        assert!(refused("a/b", None).contains("cannot be the first part of a JID"));
        assert!(refused("a\0b", None).contains("cannot be the first part of a JID"));
        assert!(refused("juliet@other.org", Some(&domain)).contains("no account of the domain 'example.org'"));
        assert!(refused("juliet@example.org/x", Some(&domain)).contains("no account of the domain"));
        assert!(refused("juliet@example.org", None).contains("before the '@'"));
    }

    #[test]
    fn a_password_ends_with_its_line() {
        let read = |input: &[u8]| first_line(input).map_err(|failure| failure.code());

        assert_eq!(read(b"se cret \r\nnext"), Ok("se cret ".to_owned()));
        assert_eq!(read(b"secret"), Ok("secret".to_owned()));
        assert_eq!(read(b""), Ok(String::new()));
        assert_eq!(read(b"\xff\n"), Err(1));
    }

    #[test]
    fn a_password_without_end_is_not_read_to_the_end() {
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));

        let text = first_line(endless).map_err(|failure| failure.code()).expect("cut off");

        assert!(password(&text).is_err());
    }
}
