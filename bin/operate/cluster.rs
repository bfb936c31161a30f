//! `cresset cluster`: asks a running node about its cluster.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use cresset_core::admission::Budget;
use cresset_net::admin::{
    ClusterStatus, Connections, MemberStatus, Request, TimesStatus, ask_events, ask_status, order,
};

use super::store::WhichStore;
use super::{drain, property, recover};
use crate::exit::Failure;
use crate::{configuration, terminal};

/// What to ask.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the members, who leads, and what the cluster can still lose
    Status {
        #[command(flatten)]
        node: WhichNode,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show who joined, left, led and became senior since the node joined
    Events {
        #[command(flatten)]
        node: WhichNode,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Switch clustering on for all nodes: they join without sending their clients away
    Enable {
        #[command(flatten)]
        store: WhichStore,
    },
    /// Switch clustering off for all nodes: each serves its own clients alone
    Disable {
        #[command(flatten)]
        store: WhichStore,
    },
    /// Give the cluster up whose quorum is lost for good, and found another one with the same accounts from this directory
    Recover {
        /// Say that this is what you want
        #[arg(long, required = true)]
        force_new_cluster: bool,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
        /// The configuration file of the node, which must not run
        #[arg(long, value_name = "FILE", default_value = configuration::DEFAULT_FILE)]
        config: PathBuf,
    },
    /// Have another member lead
    TransferLeader {
        /// The name of the member
        to: String,
        #[command(flatten)]
        node: WhichNode,
    },
    /// Send the clients of a member to the others, a few at a time, so that it can be stopped
    Drain {
        /// The name of the member
        name: String,
        #[command(flatten)]
        node: WhichNode,
    },
    /// Let a member have clients again
    Undrain {
        /// The name of the member
        name: String,
        #[command(flatten)]
        node: WhichNode,
    },
    /// Show the times on which fencing rests, or change them for all members while they serve
    Times {
        #[command(flatten)]
        times: ChangedTimes,
        #[command(flatten)]
        node: WhichNode,
    },
    /// Say that a member that is gone does not come back, so that its vote is not waited for
    Remove {
        /// The name of the member
        name: String,
        #[command(flatten)]
        node: WhichNode,
    },
}

/// What the times become.
#[derive(Debug, Args)]
pub(crate) struct ChangedTimes {
    /// Between two signs of life of a member
    #[arg(long, value_name = "MILLISECONDS")]
    heartbeat: Option<u64>,
    /// How long a member serves without proof that a quorum counts it in
    #[arg(long, value_name = "MILLISECONDS")]
    lease: Option<u64>,
    /// By how much two clocks may differ in speed
    #[arg(long, value_name = "PERCENT")]
    drift: Option<u32>,
    /// The silence after which a member is expelled
    #[arg(long, value_name = "MILLISECONDS")]
    expel_after: Option<u64>,
}

impl ChangedTimes {
    /// What is to be ordered; nothing if nothing is to be changed.
    fn request(self) -> Option<Request> {
        let ChangedTimes { heartbeat, lease, drift, expel_after } = self;
        let is_change = drift.is_some() || [heartbeat, lease, expel_after].iter().any(Option::is_some);
        is_change.then_some(Request::ChangeTimes {
            heartbeat_ms: heartbeat,
            lease_ms: lease,
            drift_percent: drift,
            expel_after_ms: expel_after,
        })
    }
}

/// Which node to ask.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct WhichNode {
    /// The configuration file of the node
    #[arg(long, value_name = "FILE", default_value = configuration::DEFAULT_FILE)]
    config: PathBuf,
    /// The control socket of the node
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl WhichNode {
    fn socket(self) -> Result<PathBuf, Failure> {
        match self.socket {
            Some(socket) => Ok(socket),
            None => Ok(configuration::load(&self.config)?.config.node.admin_socket),
        }
    }
}

/// Asks, and says what was answered.
///
/// # Errors
///
/// If no node answers, or if the cluster serves nobody there.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    match command {
        Command::Enable { store } => property::switch(store, true),
        Command::Disable { store } => property::switch(store, false),
        Command::Recover { yes, config, force_new_cluster: _ } => recover::recover(&config, yes),
        Command::Status { node, json } => {
            let status = runtime.block_on(ask_status(&node.socket()?)).map_err(Failure::asking)?;
            if json {
                terminal::say(&serde_json::to_string_pretty(&status).map_err(Failure::failed)?);
            } else {
                terminal::say(&table(&status));
            }
            if status.serving && (status.alone || status.can_lose.is_some()) {
                Ok(())
            } else {
                Err(Failure::NotServing)
            }
        }
        Command::Events { node, json } => {
            let events = runtime.block_on(ask_events(&node.socket()?)).map_err(Failure::asking)?;
            if json {
                terminal::say(&serde_json::to_string_pretty(&events).map_err(Failure::failed)?);
            } else {
                events
                    .iter()
                    .for_each(|event| terminal::say(&format!("{}  {} {}", event.at, event.member, event.what)));
            }
            Ok(())
        }
        Command::TransferLeader { to, node } => {
            let request = Request::TransferLeader { to: to.clone() };
            runtime.block_on(order(&node.socket()?, &request)).map_err(Failure::asking)?;
            terminal::say(&format!("{to} leads"));
            Ok(())
        }
        Command::Drain { name, node } => runtime.block_on(drain::drain(&node.socket()?, &name)),
        Command::Undrain { name, node } => {
            let request = Request::Undrain { name: name.clone() };
            runtime.block_on(order(&node.socket()?, &request)).map_err(Failure::asking)?;
            terminal::say(&format!("{name} may have clients"));
            Ok(())
        }
        Command::Times { times, node } => {
            let socket = node.socket()?;
            if let Some(request) = times.request() {
                runtime.block_on(order(&socket, &request)).map_err(Failure::asking)?;
            }
            let status = runtime.block_on(ask_status(&socket)).map_err(Failure::asking)?;
            terminal::say(&status.times.as_ref().map(|times| told(times, &status.node)).unwrap_or_default().join("\n"));
            Ok(())
        }
        Command::Remove { name, node } => {
            let request = Request::Remove { name: name.clone() };
            runtime.block_on(order(&node.socket()?, &request)).map_err(Failure::asking)?;
            terminal::say(&format!("{name} is not counted any more"));
            Ok(())
        }
    }
}

/// The status as people read it: the members, then what holds for all, then what to do.
fn table(status: &ClusterStatus) -> String {
    let head =
        ["NAME", "STATE", "ROLE", "VOTES", "LINK", "SESSIONS", "APPLIED", "LEASE", "VERSION", "ADDRESS", "CLIENTS"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(status.members.iter().map(row));
    let widths: Vec<usize> =
        (0..head.len()).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect();
    let unknown = "unknown";
    let leader = status.leader.as_deref().unwrap_or(unknown);
    let senior = status.senior.as_deref().unwrap_or(unknown);
    lines.push(String::new());
    lines.push(format!("cluster {}, seen by {}", status.cluster_id, status.node));
    lines.push(format!("leader {leader} (term {}), senior {senior}, index {}", status.term, status.applied_index));
    lines.push(format!("{} sessions", status.sessions));
    lines.extend(difference_of_versions(status));
    lines.extend(status.times.as_ref().map(|times| told(times, &status.node)).unwrap_or_default());
    if status.serving && status.alone {
        lines.push(format!("{} serves alone: these are its own sessions", status.node));
    }
    if let Some(Connections { now, max, configured, descriptors }) = status.connections {
        let budget = Budget { descriptors, connections_max: max, wanted: configured };
        lines.push(format!("{}: {now} connections of clients; {budget}", status.node));
    }
    if let Some(reason) = &status.unready {
        lines.push(format!("nobody can log in at {}: {reason}", status.node));
    }
    lines.push(status.advice.clone());
    lines.join("\n")
}

/// The times on which fencing rests, a line each: what they are, and what is to be known besides.
fn told(times: &TimesStatus, node: &str) -> Vec<String> {
    let TimesStatus { heartbeat_ms, lease_ms, drift_percent, expel_after_ms, agreed, becoming, without_effect } = times;
    let whose = if *agreed { String::new() } else { format!(" (by the file of {node}: not agreed on yet)") };
    let mut lines = vec![format!(
        "times: heartbeat {heartbeat_ms} ms, lease {lease_ms} ms, drift {drift_percent} %, expel-after {expel_after_ms} ms\
         {whose}"
    )];
    lines.extend(becoming.as_ref().map(|to| format!("the times become {to} as soon as every member knows of it")));
    lines.extend(without_effect.as_ref().map(|other| {
        format!(
            "the file of {node} says {other}: without effect, because the members agree on it; correct <cluster> in it"
        )
    }));
    lines
}

/// Who runs another version of the program than the node that was asked.
fn difference_of_versions(status: &ClusterStatus) -> Option<String> {
    let ours = status.members.iter().find(|member| member.name == status.node)?.program.as_ref()?;
    let differs = |member: &&MemberStatus| member.program.as_ref().is_some_and(|theirs| theirs != ours);
    let others: Vec<String> = status
        .members
        .iter()
        .filter(differs)
        .map(|member| format!("{} runs {}", member.name, member.program.as_deref().unwrap_or_default()))
        .collect();
    (!others.is_empty()).then(|| {
        let others = others.join(", ");
        format!(
            "versions differ: {} runs {ours}, {others}; all keep to version {} of the agreed state",
            status.node, status.version
        )
    })
}

fn row(member: &MemberStatus) -> [String; 11] {
    let or_dash = |number: Option<u64>, unit: &str| number.map_or("-".to_owned(), |number| format!("{number}{unit}"));
    let clients: Vec<String> = member.client_addresses.iter().map(ToString::to_string).collect();
    let votes = match (member.leader, member.voter) {
        (true, _) => "leader",
        (false, true) => "yes",
        (false, false) => "no",
    };
    [
        member.name.clone(),
        member.state.as_str().to_owned(),
        member.role.clone(),
        votes.to_owned(),
        if member.reachable { "up" } else { "down" }.to_owned(),
        member.sessions.to_string(),
        or_dash(member.applied_index, ""),
        or_dash(member.lease_remaining_ms, " ms"),
        member.program.clone().unwrap_or_else(|| "-".to_owned()),
        member.address.to_string(),
        if clients.is_empty() { "-".to_owned() } else { clients.join(",") },
    ]
}

#[cfg(test)]
mod tests {
    use cresset_net::admin::MemberState;

    use super::*;

    #[test]
    fn the_table_ends_with_what_the_cluster_can_lose() {
        let shown = table(&status(3));

        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("NAME    STATE   ROLE    VOTES   LINK"), "{shown}");
        assert!(lines[1].starts_with("node-1  active  server  leader  up"), "{shown}");
        assert!(lines[2].ends_with("127.0.0.1:5702  127.0.0.1:5223"), "{shown}");
        assert_eq!(lines.last(), Some(&"you can lose 1 more member"));
    }

    /// O1.
    #[test]
    fn places_for_clients_are_told_with_what_bounds_them() {
        let connections = Connections { now: 7, max: 512, configured: 50_000, descriptors: 1024 };

        let shown = table(&ClusterStatus { connections: Some(connections), ..status(3) });

        let line =
            "node-1: 7 connections of clients; 512 at most, with 1024 file descriptors (50000 are configured: raise";
        assert!(shown.lines().any(|shown| shown.starts_with(line)), "{shown}");
    }

    #[test]
    fn two_servers_are_told_what_they_lack() {
        assert!(table(&status(2)).ends_with("you cannot lose a member: add a witness"));
    }

    /// T10.
    #[test]
    fn the_times_are_told_with_what_a_file_says_in_vain() {
        let times = TimesStatus {
            heartbeat_ms: 250,
            lease_ms: 12_000,
            drift_percent: 5,
            expel_after_ms: 15_000,
            agreed: true,
            becoming: None,
            without_effect: Some("lease 3000 ms".to_owned()),
        };

        let shown = table(&ClusterStatus { times: Some(times.clone()), ..status(3) });

        let line = "times: heartbeat 250 ms, lease 12000 ms, drift 5 %, expel-after 15000 ms";
        assert!(shown.lines().any(|shown| shown == line), "{shown}");
        assert!(shown.contains("the file of node-1 says lease 3000 ms: without effect"), "{shown}");
        let told = told(&TimesStatus { agreed: false, ..times }, "node-1");
        assert!(told[0].ends_with("ms (by the file of node-1: not agreed on yet)"), "{told:?}");
    }

    #[test]
    fn a_program_of_another_version_is_marked() {
        let mut status = status(3);
        assert!(!table(&status).contains("versions differ"));
        status.members[1].program = Some("0.2.0".to_owned());
        status.members[2].program = None;

        let shown = table(&status);

        let line = "versions differ: node-1 runs 0.1.0, node-2 runs 0.2.0; all keep to version 1 of the agreed state";
        assert!(shown.lines().any(|shown| shown == line), "{shown}");
        assert!(shown.lines().nth(2).is_some_and(|row| row.contains("0.2.0")), "{shown}");
    }

    fn status(members: u16) -> ClusterStatus {
        let member = |number: u16| MemberStatus {
            name: format!("node-{number}"),
            id: u64::from(number),
            role: "server".to_owned(),
            state: MemberState::Active,
            voter: true,
            leader: number == 1,
            seniority: u32::from(number),
            incarnation: 1,
            address: ([127, 0, 0, 1], 5700 + number).into(),
            client_addresses: vec![([127, 0, 0, 1], 5221 + number).into()],
            reachable: true,
            sessions: 0,
            applied_index: None,
            lease_remaining_ms: Some(2750),
            program: Some("0.1.0".to_owned()),
        };
        let status = ClusterStatus {
            cluster_id: "c".to_owned(),
            node: "node-1".to_owned(),
            clustering: true,
            alone: false,
            serving: true,
            unready: None,
            connections: None,
            leader: Some("node-1".to_owned()),
            senior: Some("node-1".to_owned()),
            term: 1,
            applied_index: 4,
            sessions: 0,
            version: 1,
            times: None,
            members: (1..=members).map(member).collect(),
            can_lose: None,
            advice: String::new(),
        };
        status.with_advice()
    }
}
