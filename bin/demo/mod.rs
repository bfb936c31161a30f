//! `cresset demo`: a whole cluster on this machine, by one command.
//!
//! ```text
//! plan ─▶ accounts ─▶ nodes (child processes) ─▶ all of them are members ─▶ what to try ─▶ Ctrl-C
//!                                                                        └▶ drill ─▶ exit code
//! ```
//!
//! The nodes are processes of this same program with configuration files that an operator could have written; so what
//! is shown here is what runs anywhere.

mod drill;
mod nodes;
mod plan;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use cresset_core::sasl::Password;
use cresset_net::accounts::sqlite::SqliteAccounts;
use cresset_net::accounts::{AccountStore, Added, Credentials};
use cresset_net::disk::make_private;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

use self::nodes::RunningNode;
use self::plan::{DOMAIN, Plan};
use crate::exit::Failure;
use crate::{logging, signals, terminal};

/// How long a cluster may take to form.
const FORM_TIME_MAX: Duration = Duration::from_secs(30);

/// What to show.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Keep everything in this folder, which must be empty; without it a temporary one is used and removed
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// Kill nodes while two users talk, show what happens when, and end
    #[arg(long)]
    drill: bool,
}

/// Shows it.
///
/// # Errors
///
/// If the cluster does not form, or the drill loses a message.
pub(crate) fn run(arguments: &Arguments, log: &logging::Log) -> Result<(), Failure> {
    if arguments.drill && arguments.nodes < 3 {
        return Err(Failure::Configuration("cresset: a drill kills a node, so it needs at least three".to_owned()));
    }
    let folder = Folder::open(arguments.dir.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        let mut random = StdRng::try_from_rng(&mut SysRng).map_err(Failure::failed)?;
        let plan = Plan::lay(folder.path(), arguments.nodes, &mut random)?;
        add_users(&plan, &mut random).await?;
        let mut demo = Demo::start(plan, log.to_arguments())?;
        let outcome = demo.show(arguments.drill).await;
        demo.stop().await;
        outcome
    })
}

/// Where a demo keeps its files.
enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn open(kept: Option<&Path>) -> Result<Folder, Failure> {
        let Some(path) = kept else {
            let temporary = tempfile::Builder::new().prefix("cresset-demo-").tempdir().map_err(Failure::failed)?;
            return Ok(Folder::Temporary(temporary));
        };
        let failed = |error| Failure::Failed(format!("'{}' cannot be used: {error}", path.display()));
        make_private(path).map_err(failed)?;
        if std::fs::read_dir(path).map_err(failed)?.next().is_some() {
            return Err(Failure::Failed(format!("'{}' is not empty: a demo begins with fresh data", path.display())));
        }
        Ok(Folder::Kept(std::path::absolute(path).map_err(failed)?))
    }

    fn path(&self) -> &Path {
        match self {
            Folder::Kept(path) => path,
            Folder::Temporary(folder) => folder.path(),
        }
    }
}

async fn add_users(plan: &Plan, random: &mut StdRng) -> Result<(), Failure> {
    let accounts = SqliteAccounts::open(&plan.accounts).map_err(Failure::failed)?;
    for (user, password) in &plan.users {
        let name = user.parse().map_err(Failure::failed)?;
        let password = Password::new(password).expect("letters and digits make a password");
        let credentials = Credentials::derive(&password, random);
        match accounts.add(name, credentials).await.map_err(Failure::failed)? {
            Added::Created => {}
            Added::Exists | Added::Updated => return Err(Failure::Failed(format!("'{user}' is there already"))),
        }
    }
    Ok(())
}

/// A cluster that runs.
struct Demo {
    plan: Plan,
    nodes: Vec<RunningNode>,
    log_arguments: Vec<String>,
    begun: Instant,
}

impl Demo {
    fn start(plan: Plan, log_arguments: Vec<String>) -> Result<Demo, Failure> {
        let begun = Instant::now();
        let start = |node| RunningNode::start(node, &log_arguments);
        let nodes = plan.nodes.iter().map(start).collect::<Result<_, _>>()?;
        Ok(Demo { plan, nodes, log_arguments, begun })
    }

    /// Waits until the cluster has formed, and then for what was asked for.
    async fn show(&mut self, drill: bool) -> Result<(), Failure> {
        let mut stop = signals::Stop::listen().map_err(Failure::failed)?;
        tokio::select! {
            biased;
            () = stop.asked() => return Ok(()),
            formed = self.form() => formed?,
        }
        terminal::say(&self.invitation());
        if drill {
            tokio::select! {
                biased;
                () = stop.asked() => Err(Failure::failed("the drill was stopped before its end")),
                outcome = drill::run(self) => outcome,
            }
        } else {
            self.watch(&mut stop).await;
            Ok(())
        }
    }

    async fn form(&mut self) -> Result<(), Failure> {
        let Demo { plan, nodes, .. } = self;
        let members = plan.nodes.len();
        let all_are_members = async {
            for (number, plan) in plan.nodes.iter().enumerate() {
                let is_whole = |status: &_| nodes::is_whole(status, members);
                let formed = nodes::until(plan, "all are members", FORM_TIME_MAX, is_whole).await;
                formed.map_err(|failure| (number, failure))?;
            }
            Ok(())
        };
        let outcome = tokio::select! {
            biased;
            failure = any_ended(nodes) => Err(failure),
            outcome = all_are_members => outcome,
        };
        outcome.map_err(|(number, failure)| {
            terminal::complain(&nodes::log_tail(&plan.nodes[number]));
            failure
        })
    }

    /// Starts a node that has ended once more.
    fn start_again(&mut self, number: usize) -> Result<(), Failure> {
        self.nodes[number] = RunningNode::start(&self.plan.nodes[number], &self.log_arguments)?;
        Ok(())
    }

    /// Says when a node ends, until the demo is to stop.
    async fn watch(&mut self, stop: &mut signals::Stop) {
        let mut seen = vec![false; self.nodes.len()];
        loop {
            tokio::select! {
                biased;
                () = stop.asked() => return,
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
            for (number, node) in self.nodes.iter_mut().enumerate() {
                let Some(status) = node.ended().filter(|_| !seen[number]) else { continue };
                seen[number] = true;
                let plan = &self.plan.nodes[number];
                terminal::say(&format!(
                    "node {} has ended ({status}); it comes back with: {} node --config {}",
                    plan.name(),
                    program(),
                    plan.file.display()
                ));
            }
        }
    }

    /// One after the other: each leaves while the others can still agree that it does.
    async fn stop(&mut self) {
        for node in &mut self.nodes {
            node.ask_to_stop();
            node.stopped().await;
        }
    }

    /// What there is, and what to try with it.
    fn invitation(&self) -> String {
        let mut lines = vec![format!(
            "{} nodes serve {DOMAIN}; they were one cluster after {:.1} s",
            self.nodes.len(),
            self.begun.elapsed().as_secs_f64()
        )];
        lines.push(String::new());
        for (plan, node) in self.plan.nodes.iter().zip(&self.nodes) {
            let process = node.process().map_or("-".to_owned(), |process| process.to_string());
            lines.push(format!(
                "  node {}   clients {}   process {process}   log {}",
                plan.name(),
                plan.clients,
                plan.log.display()
            ));
        }
        lines.push(String::new());
        for (user, password) in &self.plan.users {
            lines.push(format!("  account {user}@{DOMAIN}   password {password}"));
        }
        lines.push("  the nodes' certificates sign themselves; their fingerprints (SHA-256):".to_owned());
        for plan in &self.plan.nodes {
            let fingerprint = plan.fingerprint().unwrap_or_else(|| "not made".to_owned());
            lines.push(format!("  node {}   {fingerprint}", plan.name()));
        }
        lines.push(String::new());
        lines.extend(self.suggestions());
        lines.join("\n")
    }

    fn suggestions(&self) -> Vec<String> {
        let (first, last) = (&self.plan.nodes[0], &self.plan.nodes[self.plan.nodes.len() - 1]);
        let (romeo, juliet) = (&self.plan.users[0], &self.plan.users[1]);
        let log_in = |user: &str, port: u16| {
            format!("  profanity, as {user}:   /connect {user}@{DOMAIN} server 127.0.0.1 port {port} tls trust")
        };
        let process = self.nodes[self.nodes.len() - 1].process().unwrap_or_default();
        vec![
            "Try:".to_owned(),
            log_in(romeo.0, first.clients.port()),
            log_in(juliet.0, last.clients.port()),
            format!("  look at it:            {} cluster status --socket {}", program(), first.socket().display()),
            format!("  kill juliet's node:    kill -9 {process}"),
            String::new(),
            "Ctrl-C stops everything.".to_owned(),
        ]
    }
}

/// Waits until a node ends that should not, and says which.
async fn any_ended(nodes: &mut [RunningNode]) -> (usize, Failure) {
    loop {
        for (number, node) in nodes.iter_mut().enumerate() {
            if let Some(status) = node.ended() {
                return (number, Failure::Failed(format!("a node ended before the cluster was formed ({status})")));
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// This program, as a shell can start it.
fn program() -> String {
    std::env::current_exe().map_or("cresset".to_owned(), |path| path.display().to_string())
}
