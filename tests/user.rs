//! `cresset user` as an operator runs it: arguments and standard input in, lines and exit codes out.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

#[test]
fn an_account_is_created_changed_listed_and_removed() {
    let store = Store::new();

    assert_eq!(store.run(&["add", "--password-stdin", "Juliet"], "r0m30\n"), done(""));
    assert_eq!(store.run(&["add", "--password-stdin", "romeo"], "jul13t"), done(""));
    assert_eq!(store.run(&["password", "--password-stdin", "romeo"], "other\r\n"), done(""));
    assert_eq!(store.run(&["list"], ""), done("juliet\nromeo\n"));
    assert_eq!(store.run(&["remove", "juliet"], ""), done(""));
    assert_eq!(store.run(&["list"], ""), done("romeo\n"));
    let files = std::fs::read_dir(store.directory.path()).expect("read").count();
    assert_eq!(files, 1, "the file alone is a whole copy");
}

#[test]
fn what_is_there_or_is_not_there_is_told() {
    let store = Store::new();
    assert_eq!(store.run(&["list"], "").code, 1, "there is no store to list");
    assert!(!store.file().exists(), "looking creates nothing");
    store.run(&["add", "--password-stdin", "juliet"], "r0m30\n");

    let again = store.run(&["add", "--password-stdin", "juliet"], "other\n");
    let nobody = store.run(&["password", "--password-stdin", "romeo"], "other\n");
    let nothing = store.run(&["remove", "romeo"], "");

    assert_eq!(again, failed("cresset: there is an account 'juliet' already\n"));
    assert_eq!(nobody, failed("cresset: there is no account 'romeo'\n"));
    assert_eq!(nothing, failed("cresset: there is no account 'romeo'\n"));
}

#[test]
fn what_cannot_be_a_name_or_a_password_is_refused() {
    let store = Store::new();
    let name = |name: &str| store.run(&["add", "--password-stdin", name], "secret\n").code;
    let password = |password: &str| store.run(&["add", "--password-stdin", "juliet"], password).code;

    assert_eq!([name(""), name("a b"), name(&"x".repeat(1024)), name("juliet@example.org")], [2; 4]);
    assert_eq!([password(""), password("\nsecret"), password(&"x".repeat(5000)), password("a\u{7}")], [1; 4]);
    assert_eq!(store.run(&["list"], "").stdout, "");
}

/// Somebody who forgets the option in a script must not wait for a prompt that nobody sees.
#[test]
fn without_a_terminal_nobody_is_asked() {
    let store = Store::new();

    let asked = store.run(&["add", "juliet"], "secret\n");

    assert_eq!(asked.code, 2);
    assert!(asked.stderr.contains("--password-stdin"), "{}", asked.stderr);
}

#[test]
fn an_import_takes_the_good_lines_and_tells_the_bad_ones() {
    let store = Store::new();
    store.run(&["add", "--password-stdin", "romeo"], "jul13t\n");
    let file = "name,password\njuliet,secret\nromeo,other\n\"open,quote\njuliet,again\n";

    let imported = store.run(&["import", "-"], file);

    assert_eq!((imported.code, imported.stdout.as_str()), (1, "1 created, 0 updated, 3 refused\n"));
    let told = "line 4: a quote is not closed\n\
                line 5: the account 'juliet' was on line 2 already\n\
                line 3: there is an account 'romeo' already (see --update)\n\
                cresset: 3 lines were refused\n";
    assert_eq!(imported.stderr, told);
}

#[test]
fn an_import_may_be_repeated() {
    let store = Store::new();
    let file = store.directory.path().join("accounts.csv");
    std::fs::write(&file, "juliet,secret\nromeo,other\n").expect("written");
    let file = file.to_str().expect("a path in UTF-8");

    assert_eq!(store.run(&["import", file], ""), done("2 created, 0 updated, 0 refused\n"));
    assert_eq!(store.run(&["import", "--update", file], ""), done("0 created, 2 updated, 0 refused\n"));
    assert_eq!(store.run(&["import", "/nowhere"], "").code, 1);
    assert_eq!(store.run(&["list"], ""), done("juliet\nromeo\n"));
}

#[test]
fn a_file_that_is_no_store_is_left_alone() {
    let store = Store::new();
    std::fs::write(store.file(), "name,password\n".repeat(1000)).expect("written");

    let refused = store.run(&["list"], "");

    assert_eq!(refused.code, 1);
    assert!(refused.stderr.ends_with("is not an account store of Cresset\n"), "{}", refused.stderr);
}

#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

fn done(stdout: &str) -> Outcome {
    Outcome { code: 0, stdout: stdout.to_owned(), stderr: String::new() }
}

fn failed(stderr: &str) -> Outcome {
    Outcome { code: 1, stdout: String::new(), stderr: stderr.to_owned() }
}

struct Store {
    directory: TempDir,
}

impl Store {
    fn new() -> Store {
        Store { directory: TempDir::new().expect("a directory") }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("accounts.sqlite")
    }

    /// Runs `cresset user COMMAND --store … ARGUMENTS` with this standard input.
    fn run(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cresset"))
            .args(["user", arguments[0], "--store"])
            .arg(self.file())
            .args(&arguments[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        // A program that refuses its arguments does not read its input, and that is no failure of the test.
        drop(child.stdin.take().expect("piped").write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("ended");
        Outcome {
            code: output.status.code().expect("not killed"),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}
