//! A PostgreSQL server of the tests' own.
//!
//! ```text
//! test process ──pipe──▶ sh: pg_ctl start; wait for the pipe's end; pg_ctl stop; rm
//! ```
//!
//! One serves all tests of the process, each in a database of its own. Nothing runs when a test process ends, so the
//! server ends with the pipe that its shell reads, however the process came to its end.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::accounts::postgres::Settings;

/// What Debian calls `nobody` and `nogroup`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

/// Names the socket, also where nobody listens on it.
const USUAL_PORT: u16 = 5432;

/// Starts the server in `$1` with the programs in `$2` and the options in `$3`, and stops it when standard input ends.
const SHELL: &str = r#"
    cd "$1" || exit 1
    "$2/initdb" -D data -U cresset --auth-local=trust --auth-host=scram-sha-256 -E UTF8 --locale=C --no-sync >log 2>&1 || exit 1
    "$2/pg_ctl" -D data -l log -w -t 120 -o "-k '$1' -c fsync=off -c max_connections=300 $3" start >>log 2>&1 || exit 1
    echo started
    read -r end
    "$2/pg_ctl" -D data -w -m immediate stop >>log 2>&1
    rm -rf "$1"
"#;

/// A server that runs for as long as its value lives.
pub(super) struct Server {
    directory: PathBuf,
    programs: PathBuf,
    port: u16,
    databases: AtomicU64,
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Server {
    /// The one that all tests share. Never dropped: it ends with the process.
    pub(super) fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(Server::start)
    }

    /// Another one, for a test that stops it.
    pub(super) fn start() -> Server {
        Server::start_in(TempDir::new().expect("a directory"), USUAL_PORT, "-c listen_addresses=''")
    }

    /// One in a directory that holds what the options name.
    pub(super) fn start_in(directory: TempDir, port: u16, options: &str) -> Server {
        let programs = programs();
        // The shell removes it.
        let directory = directory.keep();
        let mut command = Command::new("sh");
        command.args(["-c", SHELL, "sh"]).args([&directory, &programs]).arg(format!("-p {port} {options}"));
        if is_root() {
            give_to_nobody(&directory);
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("there is a shell");
        let pipe = shell.stdin.take();
        let mut said = String::new();
        let out = shell.stdout.take().expect("it was piped");
        BufReader::new(out).read_line(&mut said).expect("the shell writes text");
        if said != "started\n" {
            let log = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
            panic!("PostgreSQL does not start:\n{log}");
        }
        Server { directory, programs, port, databases: AtomicU64::new(0), shell, pipe }
    }

    /// An empty database.
    pub(super) fn database(&self) -> Settings {
        self.database_with("")
    }

    /// An empty database that is created with these words.
    pub(super) fn database_with(&self, words: &str) -> Settings {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.ask("postgres", &format!("CREATE DATABASE {name} {words}"));
        Settings {
            url: format!("postgresql://cresset@{}/{name}", self.host()),
            roots: None,
            connections_max: 4,
            connect_time_max: Duration::from_secs(60),
            wait_time_max: Duration::from_secs(60),
            answer_time_max: Duration::from_secs(60),
        }
    }

    /// Its socket, as a URL says it.
    fn host(&self) -> String {
        let path = self.directory.to_str().expect("made of letters");
        path.bytes().fold(String::new(), |mut host, byte| {
            write!(host, "%{byte:02X}").expect("a string takes whatever is written to it");
            host
        })
    }

    /// What a statement answers, as `psql` shows it.
    pub(super) fn ask(&self, database: &str, statement: &str) -> String {
        let output = Command::new(self.programs.join("psql"))
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-U", "cresset", "-h"])
            .arg(&self.directory)
            .args(["-p", &self.port.to_string(), "-d", database, "-c", statement])
            .output()
            .expect("psql is beside the server");
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// The same for the database of these settings.
    pub(super) fn ask_in(&self, settings: &Settings, statement: &str) -> String {
        let database = settings.url.rsplit('/').next().expect("a URL has a last part");
        self.ask(database, statement)
    }

    /// Stops it as a power failure would, or starts it again.
    pub(super) fn control(&self, words: &[&str]) {
        let mut command = Command::new(self.programs.join("pg_ctl"));
        command.arg("-D").arg(self.directory.join("data")).arg("-l").arg(self.directory.join("log")).arg("-w");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let options = format!("-k '{}' -c listen_addresses='' -c fsync=off", self.directory.display());
        command.args(["-o", &options]).args(words).current_dir(&self.directory);
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("pg_ctl is beside the server").success(), "pg_ctl {words:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // Whatever became of it, there is nothing left to do.
        drop(self.shell.wait());
    }
}

/// The newest PostgreSQL of the machine.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, programs)| programs.join("initdb").exists())
        .max();
    let Some((_, programs)) = newest else {
        panic!(
            "these tests start a PostgreSQL server, and there is none: no initdb in /usr/lib/postgresql/*/bin \
             (apt-get install postgresql)"
        );
    };
    programs
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("every process is there").uid() == 0
}

fn give_to_nobody(directory: &Path) {
    let entries = std::fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("readable").path());
    for path in entries.chain([directory.to_owned()]) {
        chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may");
    }
}
