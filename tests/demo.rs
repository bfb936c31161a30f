//! `cresset demo` as a process: the shortest way to see that everything works together.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One demo at a time: two that start together find the same ports free.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How long a drill may take; on an idle machine it is ten seconds.
const DRILL_TIME_MAX: Duration = Duration::from_secs(120);

/// How long a condition may take on a machine that does other things as well.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Two nodes are killed while two users talk; the drill fails if a message that was acknowledged is lost.
#[test]
fn the_drill_loses_nothing() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");

    let begun = Instant::now();
    let output = demo(folder.path()).arg("--drill").output().expect("the program");
    let took = begun.elapsed();

    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{complained}");
    assert!(said.contains("of 500 acknowledged messages 0 were lost"), "{said}");
    assert!(took < DRILL_TIME_MAX, "{} s, of which:\n{said}", took.as_secs());
}

/// Whoever kills a demo without mercy must not have to look for its nodes.
#[test]
fn no_node_outlives_a_demo_that_is_killed() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = demo(folder.path()).stdout(Stdio::piped()).spawn().expect("the program");
    wait_until_it_serves(&mut demo);
    let sockets = ["a", "b", "c"].map(|name| folder.path().join(name).join("admin.sock"));
    assert!(sockets.iter().all(|socket| UnixStream::connect(socket).is_ok()));

    demo.kill().expect("it runs");
    demo.wait().expect("it was killed");

    let begun = Instant::now();
    while sockets.iter().any(|socket| UnixStream::connect(socket).is_ok()) {
        assert!(begun.elapsed() < TIME_MAX, "a node still runs");
        std::thread::yield_now();
    }
}

#[test]
fn a_demo_begins_with_fresh_data_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("precious"), "").expect("a file");

    let output = demo(folder.path()).output().expect("the program");

    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not empty"));
}

fn demo(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cresset"));
    command.arg("demo").arg("--dir").arg(folder).stdin(Stdio::null());
    command
}

fn wait_until_it_serves(demo: &mut Child) {
    let lines = BufReader::new(demo.stdout.take().expect("a pipe")).lines();
    let serves = lines.map_while(Result::ok).any(|line| line.ends_with("Ctrl-C stops everything."));
    assert!(serves, "the demo has ended");
}
