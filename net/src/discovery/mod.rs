//! Looks for members for as long as the node runs, and tells the control plane whom to dial.
//!
//! ```text
//!                  ┌── core: Multicast ◀──▶ group.rs    packets to the local network
//! Search ─▶ task ──┤
//!                  └── core: Lookup ──┬───▶ names.rs    the system's resolver, SRV
//!                           │         └───▶ aws         the instances at EC2
//!                           │ Found(addresses)
//!                           ▼
//!                  candidates ─▶ control plane ─▶ mesh.set_peers
//! ```
//!
//! The machines of `core` decide what is asked, when, and whom to believe; here are their sockets. Nothing that goes
//! wrong here ends a node: a network that is not there yet, or a name server that is gone, is said once and tried again.
//!
//! A list of nothing but addresses needs no task, and has none: so a simulated node runs nothing of this.

mod aws;
mod group;
mod interfaces;
mod lookup;
mod multicast;
mod names;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use cresset_core::config::discovery::TcpIp;
use cresset_core::config::{ClusterSettings, Discovery, PeerAddress};
use cresset_core::discovery::{DiscoveryKey, Lookup, Multicast};
use cresset_core::ids::BootId;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::runtime;

/// What is known of the node that looks for others.
pub(crate) struct Seeker<C> {
    pub(crate) clock: C,
    pub(crate) boot: BootId,
    /// Where it may be dialled.
    pub(crate) address: SocketAddr,
    /// What the packets of its cluster are made with.
    pub(crate) key: DiscoveryKey,
    /// What its questions are made from: nobody may guess them.
    pub(crate) randomness: fn() -> StdRng,
}

/// The search for members. It ends when this is dropped.
pub(crate) struct Search {
    candidates: watch::Receiver<BTreeSet<SocketAddr>>,
    /// Absent for a list without names: nothing is looked for.
    task: Option<JoinHandle<()>>,
}

impl Search {
    /// Begins to look for members in the way of the configuration. Must run inside a [`runtime::scope`].
    pub(crate) fn begin<C: Clock>(settings: &ClusterSettings, seeker: Seeker<C>) -> Search {
        let listed = match &settings.discovery {
            Discovery::TcpIp(list) => addresses(list.candidates()),
            Discovery::Alone => Some(BTreeSet::new()),
            Discovery::Multicast(_) | Discovery::Dns(_) | Discovery::Aws(_) => None,
        };
        let is_all = listed.is_some();
        let (found, candidates) = watch::channel(listed.unwrap_or_default());
        let task = (!is_all).then(|| look(settings, seeker, found));
        Search { candidates, task }
    }

    /// Addresses at which members may be, as far as they are found.
    pub(crate) fn candidates(&mut self) -> BTreeSet<SocketAddr> {
        self.candidates.borrow_and_update().clone()
    }

    /// Until there are other candidates than were seen last. Dropping the future loses nothing.
    pub(crate) async fn changed(&mut self) {
        if self.candidates.changed().await.is_err() {
            // Whoever looks has ended, or nobody ever did: there will be no others.
            std::future::pending().await
        }
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn look<C: Clock>(
    settings: &ClusterSettings,
    seeker: Seeker<C>,
    found: watch::Sender<BTreeSet<SocketAddr>>,
) -> JoinHandle<()> {
    let Seeker { clock, boot, address, key, randomness } = seeker;
    let lookup = match &settings.discovery {
        Discovery::Alone => Lookup::by_list(address, &TcpIp::of(address.port(), [])),
        Discovery::TcpIp(list) => Lookup::by_list(address, list),
        Discovery::Dns(dns) => Lookup::by_names(address, dns),
        Discovery::Aws(aws) => Lookup::by_instances(address, aws),
        Discovery::Multicast(multicast) => {
            let machine = Multicast::new(multicast.clone(), key, boot, address, randomness());
            return runtime::spawn(multicast::run(machine, multicast.clone(), settings.listen.ip(), clock, found));
        }
    };
    runtime::spawn(lookup::run(lookup, clock, found))
}

/// The addresses of hosts that are all given by their addresses; absent if there is a name among them.
fn addresses(hosts: Vec<PeerAddress>) -> Option<BTreeSet<SocketAddr>> {
    let address = |peer: PeerAddress| Some(SocketAddr::new(peer.host.parse::<IpAddr>().ok()?, peer.port));
    hosts.into_iter().map(address).collect()
}

#[cfg(test)]
mod tests;
