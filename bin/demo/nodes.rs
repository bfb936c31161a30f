//! The node processes of a demo.
//!
//! Each child's standard input is a pipe that only this process holds, and a child stops when it is closed: so no
//! child outlives a demo, however the demo ends.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use cresset_net::admin::{ClusterStatus, MemberState, ask_status};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::plan::PlannedNode;
use crate::exit::Failure;

/// How long a node may take to stop when it is asked to, which is a second more than it takes. Beyond it, it is killed.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// Between two looks at a node's status.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Bytes of the end of a log that are shown if its node failed.
const LOG_TAIL_BYTES: usize = 3000;

/// A node process.
#[derive(Debug)]
pub(crate) struct RunningNode {
    child: Child,
}

impl RunningNode {
    /// Starts the node as an operator would.
    ///
    /// # Errors
    ///
    /// If the process cannot be started.
    pub(crate) fn start(plan: &PlannedNode, log_arguments: &[String]) -> Result<RunningNode, Failure> {
        let program = std::env::current_exe().map_err(Failure::failed)?;
        let log = File::options().create(true).append(true).mode(0o600).open(&plan.log).map_err(Failure::failed)?;
        let child = Command::new(program)
            .args(log_arguments)
            .arg("node")
            .arg("--stop-on-stdin-eof")
            .arg("--config")
            .arg(&plan.file)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(Failure::failed)?)
            .stderr(log)
            // Ctrl-C at the terminal is for the demo, which then stops the nodes.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::failed)?;
        Ok(RunningNode { child })
    }

    /// The id of the process, as long as it runs.
    pub(crate) fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// How the process ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends the process at once, as `kill -9` does.
    pub(crate) async fn kill(&mut self) {
        // It fails only if the process has ended already.
        drop(self.child.kill().await);
    }

    /// Asks the process to stop.
    pub(crate) fn ask_to_stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits until the process has stopped, and kills it if it does not.
    pub(crate) async fn stopped(&mut self) {
        if timeout(STOP_TIME_MAX, self.child.wait()).await.is_err() {
            self.kill().await;
        }
    }
}

/// Waits until what a node says of its cluster is as wanted, and says how long that took.
///
/// # Errors
///
/// If it is not within `time_max`.
pub(crate) async fn until(
    plan: &PlannedNode,
    what: &str,
    time_max: Duration,
    mut is_so: impl FnMut(&ClusterStatus) -> bool,
) -> Result<(Duration, ClusterStatus), Failure> {
    let begun = Instant::now();
    let mut last = "it did not answer".to_owned();
    while begun.elapsed() < time_max {
        match ask_status(plan.socket()).await {
            Ok(status) if is_so(&status) => return Ok((begun.elapsed(), status)),
            Ok(status) => last = status.advice,
            Err(error) => last = error.to_string(),
        }
        sleep(LOOK_AGAIN).await;
    }
    Err(Failure::Failed(format!("node {}: not within {} s: {what} ({last})", plan.name(), time_max.as_secs())))
}

/// Whether a node serves, knows the leader, counts so many active members, and as many of them vote as will.
pub(crate) fn is_whole(status: &ClusterStatus, members: usize) -> bool {
    let active = status.members.iter().filter(|member| member.state == MemberState::Active && member.reachable);
    // An odd number up to five votes.
    let can_lose = match members {
        0..=2 => 0,
        3 | 4 => 1,
        5.. => 2,
    };
    status.serving
        && status.leader.is_some()
        && active.count() == members
        && status.can_lose.is_some_and(|number| number >= can_lose)
}

/// Whether a member takes part as far as the node knows that was asked.
pub(crate) fn is_active(status: &ClusterStatus, name: &str) -> bool {
    status.members.iter().any(|member| member.name == name && member.state == MemberState::Active)
}

/// The end of a node's log.
pub(crate) fn log_tail(plan: &PlannedNode) -> String {
    let log = std::fs::read(&plan.log).unwrap_or_default();
    let tail = &log[log.len().saturating_sub(LOG_TAIL_BYTES)..];
    format!("the end of {}:\n{}", plan.log.display(), String::from_utf8_lossy(tail))
}
