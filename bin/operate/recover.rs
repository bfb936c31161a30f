//! `cresset cluster recover`: gives up a cluster whose quorum is lost for good, after it has asked whether it is.

use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cresset_net::admin::ask_status;
use cresset_net::disk::DirectoryDisk;
use cresset_net::run::{Remains, Survivor};

use super::store::{Missing, WhichStore};
use crate::exit::Failure;
use crate::{configuration, terminal};

/// How long a member may take to accept a connection. One that lives on a network of today does so in milliseconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Gives the cluster up, from the directory of a node that does not run.
///
/// # Errors
///
/// If the node runs, or a quorum is alive, or the operator is not sure.
pub(super) fn recover(file: &Path, is_confirmed: bool) -> Result<(), Failure> {
    let config = configuration::load(file)?.config;
    if !config.node.data.is_dir() {
        return Err(Failure::failed(format!("there is no data directory '{}'", config.node.data.display())));
    }
    WhichStore::of(file.to_owned()).with(Missing::Refuse, |store| {
        if store.wait(ask_status(&config.node.admin_socket)).is_ok() {
            return Err(Failure::failed(format!("the node '{}' runs: stop it first", config.node.name)));
        }
        let disk = DirectoryDisk::open(&config.node.data).map_err(Failure::failed)?;
        let (name, founded) =
            match store.wait(Remains::read(Arc::new(disk), store.accounts())).map_err(Failure::failed)? {
                // This command was interrupted: the cluster is given up already.
                Remains::Unfinished(unfinished) => (unfinished.name().to_owned(), store.wait(unfinished.finish())),
                Remains::Survivor(survivor) => {
                    refuse_if_alive(&survivor)?;
                    if !is_confirmed {
                        confirm(&survivor)?;
                    }
                    (survivor.name().to_owned(), store.wait(survivor.give_up(store.accounts())))
                }
            };
        let cluster = founded.map_err(Failure::failed)?;
        terminal::say(&format!(
            "the node '{name}' founds the cluster {cluster} when it is started; the others join it with empty data \
             directories"
        ));
        Ok(())
    })
}

/// A member that lives accepts connections. One that does not may be dead, or not be reached from here.
fn refuse_if_alive(survivor: &Survivor) -> Result<(), Failure> {
    let answers = |address: &SocketAddr| TcpStream::connect_timeout(address, ANSWER_TIME_MAX).is_ok();
    let alive = survivor.other_voters().iter().filter(|(_, address)| answers(address));
    let names: Vec<&str> = alive.map(|(name, _)| name.as_str()).collect();
    let (by_themselves, with_this_one) = survivor.needed();
    if names.len() >= by_themselves {
        let names = names.join(", ");
        return Err(Failure::failed(format!(
            "a quorum is alive ({names}): start this node, and it is a member as before"
        )));
    }
    if names.len() >= with_this_one {
        let with = if names.is_empty() { String::new() } else { format!(" with {}", names.join(", ")) };
        return Err(Failure::failed(format!("this node{with} is a quorum: start it, and it serves as before")));
    }
    Ok(())
}

fn confirm(survivor: &Survivor) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        let reason = "cresset: whether the quorum is lost for good has to be confirmed: say --yes";
        return Err(Failure::Configuration(reason.to_owned()));
    }
    let voters: Vec<String> =
        survivor.other_voters().iter().map(|(name, address)| format!("{name} at {address}")).collect();
    terminal::say(&format!(
        "The cluster {} is given up and another one founded, with the same accounts, by the node '{}'.\n\
         Nobody is in it who does not join anew, with an empty data directory. Too few of these answer from here: {}.\n\
         If they live where this machine does not reach them, they stop, and so do their clients' sessions.",
        survivor.cluster(),
        survivor.name(),
        voters.join(", ")
    ));
    print_prompt();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Failure::failed)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure::failed("nothing was changed")) }
}

fn print_prompt() {
    let mut out = std::io::stdout().lock();
    // Without a terminal that shows it there is no answer either.
    drop(out.write_all(b"Type 'yes' to go on: ").and_then(|()| out.flush()));
}
