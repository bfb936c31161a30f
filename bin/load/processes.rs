//! Processor time and memory of the servers, as Linux tells them in `/proc`.
//!
//! A process that died keeps the last figure that was read of it; what it used between that reading and its death
//! is not known and not invented.

use std::time::Duration;

/// The kernel's unit of processor time in `/proc`: `USER_HZ`, 100 on every architecture that Rust's standard
/// library supports on Linux.
const TICK: Duration = Duration::from_millis(10);

/// The processes to watch.
#[derive(Debug, Clone)]
pub(crate) struct Processes {
    watched: Vec<(u32, Duration)>,
}

impl Processes {
    /// Watches these; none is allowed.
    pub(crate) fn new(pids: &[u32]) -> Processes {
        let mut processes = Processes { watched: pids.iter().map(|pid| (*pid, Duration::ZERO)).collect() };
        processes.cpu();
        processes
    }

    /// Whether there is anything to report.
    pub(crate) fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// Processor time of all of them together since each began.
    pub(crate) fn cpu(&mut self) -> Duration {
        for (pid, last) in &mut self.watched {
            if let Some(cpu) = cpu_of(&pid.to_string()) {
                *last = cpu;
            }
        }
        self.watched.iter().map(|(_, last)| *last).sum()
    }

    /// Resident memory of all of them together, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.watched.iter().filter_map(|(pid, _)| resident_kib_of(*pid)).sum()
    }
}

/// Processor time of this process.
pub(crate) fn own_cpu() -> Duration {
    cpu_of("self").unwrap_or_default()
}

fn cpu_of(pid: &str) -> Option<Duration> {
    parse_cpu(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// proc_pid_stat(5): user and system time are fields 14 and 15; the name, field 2, may hold anything.
fn parse_cpu(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    TICK.checked_mul(user.checked_add(system)?)
}

fn resident_kib_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 9 9 20 0 1 0 1 1 1";

        assert_eq!(parse_cpu(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse_cpu("7 (a) S 1"), None);
    }
}
