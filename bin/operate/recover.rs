//! `cresset cluster recover`: gives up a cluster whose quorum is lost for good, after it has asked whether it is.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use cresset_net::admin::ask_status;
use cresset_net::disk::DirectoryDisk;
use cresset_net::run::{AnswersAs, LinkProtection, Remains, Survivor};
use cresset_net::transport::TokioTransport;

use super::store::{Missing, Store, WhichStore};
use crate::exit::Failure;
use crate::node::read_secret;
use crate::{configuration, terminal};

/// Gives the cluster up, from the directory of a node that does not run.
///
/// # Errors
///
/// If the node runs, or a quorum is alive, or the operator is not sure.
pub(super) fn recover(file: &Path, is_confirmed: bool) -> Result<(), Failure> {
    let config = configuration::load(file)?.config;
    if !config.node.data.is_dir() {
        return Err(Failure::failed(format!(
            "there is no data directory '{}': if it is lost, start the node once, stop it, and say this again",
            config.node.data.display()
        )));
    }
    let protection = match &config.cluster.secret_file {
        Some(file) => LinkProtection::Secret(read_secret(file)?),
        None => LinkProtection::SharedSecret,
    };
    WhichStore::of(file.to_owned()).with(Missing::Refuse, |store| {
        if store.wait(ask_status(&config.node.admin_socket)).is_ok() {
            return Err(Failure::failed(format!("the node '{}' runs: stop it first", config.node.name)));
        }
        let disk = DirectoryDisk::open(&config.node.data).map_err(Failure::failed)?;
        let (name, founded) =
            match store.wait(Remains::read(Arc::new(disk), store.cluster())).map_err(Failure::failed)? {
                // This command was interrupted: the cluster is given up already.
                Remains::Unfinished(unfinished) => (unfinished.name().to_owned(), store.wait(unfinished.finish())),
                Remains::Survivor(survivor) => {
                    let missing = refuse_if_alive(store, &survivor, &protection)?;
                    if !is_confirmed {
                        confirm(&survivor, &missing)?;
                    }
                    (survivor.name().to_owned(), store.wait(survivor.give_up(store.cluster())))
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

/// Who is alive, as that member, and who is not: a sentence for each of the others.
///
/// # Errors
///
/// If the cluster goes on without being given up.
fn refuse_if_alive(store: &Store, survivor: &Survivor, protection: &LinkProtection) -> Result<Vec<String>, Failure> {
    if !survivor.knows_the_voters() {
        return refuse_if_anybody_runs(store, survivor);
    }
    let (mut alive, mut missing) = (Vec::new(), Vec::new());
    for voter in survivor.other_voters() {
        match store.wait(survivor.who_answers(&TokioTransport, protection, voter)) {
            AnswersAs::Itself => alive.push(voter.name.as_str()),
            AnswersAs::Another(member) => missing.push(format!(
                "{} at {} (member {member} answers there, with another data directory than the voter had)",
                voter.name, voter.address
            )),
            AnswersAs::Nobody => missing.push(format!("{} at {}", voter.name, voter.address)),
        }
    }
    let (by_themselves, with_this_one) = survivor.needed();
    if alive.len() >= by_themselves {
        let names = alive.join(", ");
        return Err(Failure::failed(format!(
            "a quorum is alive ({names}): start this node, and it is a member as before"
        )));
    }
    if alive.len() >= with_this_one {
        let with = if alive.is_empty() { String::new() } else { format!(" with {}", alive.join(", ")) };
        return Err(Failure::failed(format!("this node{with} is a quorum: start it, and it serves as before")));
    }
    Ok(missing)
}

/// A directory that was emptied does not know whom to ask. So nobody may run.
fn refuse_if_anybody_runs(store: &Store, survivor: &Survivor) -> Result<Vec<String>, Failure> {
    let running = store.wait(survivor.who_runs(store.cluster())).map_err(Failure::failed)?;
    if running.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = running.iter().map(ToString::to_string).collect();
    Err(Failure::failed(format!(
        "the data directory of this node does not know who the members are, and other nodes run with this account store \
         (member {}): do it on the machine of a member whose directory is not lost, or stop those first",
        ids.join(", ")
    )))
}

fn confirm(survivor: &Survivor, missing: &[String]) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        let reason = "cresset: whether the quorum is lost for good has to be confirmed: say --yes";
        return Err(Failure::Configuration(reason.to_owned()));
    }
    let who = if missing.is_empty() {
        "Who the members were is not known here; none of them runs with this account store.".to_owned()
    } else {
        format!("Too few answer from here as the members that they were; these do not: {}.", missing.join(", "))
    };
    terminal::say(&format!(
        "The cluster {} is given up and another one founded, with the same accounts, by the node '{}'.\n\
         Nobody is in it who does not join anew, with an empty data directory. {who}\n\
         If they live where this machine does not reach them, they stop, and so do their clients' sessions.",
        survivor.cluster(),
        survivor.name(),
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
