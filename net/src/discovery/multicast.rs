//! The task that asks the local network for members, and answers those who ask.
//!
//! ```text
//! join the group ──▶ hear, ask, answer ──┬─ a socket fails ──────▶ join again, a while later
//!       ▲                                └─ other interfaces ─────▶ join again, at once
//!       └──────────────────────────────────────────┘
//! ```
//!
//! It wants members for as long as the node runs: whoever was cut off from here for an hour has to be found as well, and
//! one small packet in half a minute is no burden. What the machine knows outlives the sockets.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use cresset_core::config::discovery::Multicast as Settings;
use cresset_core::discovery::{Counts, Multicast, Output};
use cresset_core::time::Uptime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::group::Group;
use super::interfaces::{self, Interface};
use crate::clock::Clock;

/// Between two looks at the interfaces, and between two attempts to join the group: a cable that is plugged in, or an
/// address that comes by DHCP, is used within it.
const INTERFACES_EVERY: Duration = Duration::from_secs(5);

/// Between two lines about packets that led to nothing.
const COUNTS_EVERY: Duration = Duration::from_secs(60);

/// Looks for members by multicast until it is aborted. `through` is the address that the node listens on for others.
pub(super) async fn run<C: Clock>(
    machine: Multicast,
    settings: Settings,
    through: IpAddr,
    clock: C,
    found: watch::Sender<BTreeSet<SocketAddr>>,
) {
    let mut asking =
        Asking { machine, clock, found, settings, through, trouble: Trouble::default(), told: Told::default() };
    asking.machine.handle_wanted(asking.clock.now());
    loop {
        match asking.while_joined().await {
            Ok(()) => tracing::info!("the interfaces have changed: joining the multicast group again"),
            Err(error) => {
                asking.trouble.tell(Some(&error));
                sleep(INTERFACES_EVERY).await;
            }
        }
    }
}

struct Asking<C> {
    machine: Multicast,
    clock: C,
    found: watch::Sender<BTreeSet<SocketAddr>>,
    settings: Settings,
    through: IpAddr,
    trouble: Trouble,
    told: Told,
}

impl<C: Clock> Asking<C> {
    /// Until other interfaces are there.
    async fn while_joined(&mut self) -> io::Result<()> {
        let interfaces = self.interfaces()?;
        let mut group = Group::join(&self.settings, &interfaces)?;
        tracing::info!(
            group = %SocketAddr::new(self.settings.group, self.settings.port), ?interfaces, "looking for members by multicast"
        );
        let mut look = Instant::now() + INTERFACES_EVERY;
        loop {
            self.carry_out(&group).await;
            let pause = self.machine.poll_timeout().map_or(Duration::MAX, |due| due.since(self.clock.now()));
            tokio::select! {
                biased;
                () = sleep(pause) => self.machine.handle_timeout(self.clock.now()),
                () = sleep_until(look) => {
                    if self.interfaces()? != interfaces {
                        return Ok(());
                    }
                    look = Instant::now() + INTERFACES_EVERY;
                }
                heard = group.hear() => {
                    let (sender, packet) = heard?;
                    self.machine.handle_packet(self.clock.now(), sender, packet);
                }
            }
            self.told.tell(self.clock.now(), self.machine.counts());
        }
    }

    async fn carry_out(&mut self, group: &Group) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send(packet) => {
                    let result = group.say(&packet).await;
                    self.trouble.tell(result.as_ref().err());
                }
                Output::Found(members) => {
                    tracing::info!(?members, "found by multicast");
                    self.found.send_replace(members);
                }
                // Who asks everybody has no question to anybody.
                Output::Ask(..) => {}
            }
        }
    }

    fn interfaces(&self) -> io::Result<Vec<Interface>> {
        interfaces::towards(self.settings.group, self.through)
    }
}

/// What is wrong with the network at the moment, as the log has it.
#[derive(Default)]
struct Trouble(Option<String>);

impl Trouble {
    /// Says what is wrong, and that it is over, once each.
    fn tell(&mut self, error: Option<&io::Error>) {
        let trouble = error.map(ToString::to_string);
        if trouble != self.0 {
            match &trouble {
                Some(reason) => tracing::warn!(%reason, "members cannot be looked for by multicast: trying again"),
                None => tracing::info!("members can be looked for by multicast again"),
            }
        }
        self.0 = trouble;
    }
}

/// What the log says of packets that led to nothing.
#[derive(Default)]
struct Told {
    counts: Counts,
    next: Option<Uptime>,
}

impl Told {
    /// Says what has come since it was last said, if a minute has passed. Our own packets and answers to others, which
    /// everybody hears, are nothing to speak of.
    fn tell(&mut self, now: Uptime, counts: Counts) {
        let notable = |counts: Counts| (counts.foreign, counts.unauthenticated, counts.untrusted, counts.excess);
        if notable(counts) == notable(self.counts) || self.next.is_some_and(|next| now < next) {
            return;
        }
        let Counts { foreign, unauthenticated, untrusted, excess, replayed, own: _ } = counts;
        if unauthenticated > self.counts.unauthenticated {
            tracing::warn!(
                foreign,
                unauthenticated,
                untrusted,
                excess,
                replayed,
                "packets to the multicast group that another cluster, or one with another join secret, has made"
            );
        } else {
            tracing::info!(
                foreign,
                unauthenticated,
                untrusted,
                excess,
                replayed,
                "packets to the multicast group that were ignored"
            );
        }
        *self = Told { counts, next: Some(now + COUNTS_EVERY) };
    }
}
