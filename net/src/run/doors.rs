//! The ports on which clients come in, from the first to the last of a node.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cresset_core::admission::Budget;
use cresset_core::config::{ClientSettings as Configured, ListenerTls};
use cresset_core::limits::{FAREWELL_TIME_MAX, STOP_WAIT_MAX};
use cresset_core::session::{SessionSettings, TlsPolicy};
use cresset_core::sometimes;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::accounts::Store;
use crate::clients::{
    Admission, Certificate, ClientSettings, Derive, Listener, ListenerKind, ServerTls, Threads, TlsError, Tries, serve,
};
use crate::router::Router;
use crate::runtime::Workers;
use crate::transport::Transport;

/// How often to look whether the last client has taken its leave.
const FAREWELL_PAUSE: Duration = Duration::from_millis(10);

/// Why clients cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum DoorsError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for clients: {reason}")]
    Port {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
    /// The certificate is no good.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A listener needs a certificate and there is none.
    #[error("a listener with TLS needs a certificate")]
    NoCertificate,
}

/// What clients need that is not in the configuration.
pub struct Reception {
    /// The certificate, unless no listener uses TLS.
    pub certificate: Option<Certificate>,
    /// Where keys are derived from passwords.
    pub derive: Arc<dyn Derive>,
    /// A generator for one session, seeded by the operating system except in a simulation.
    pub randomness: fn() -> StdRng,
    /// The threads that serve clients, and carry what they say to other members.
    pub workers: Workers,
    /// How many file descriptors the process may have.
    pub descriptors: usize,
}

/// The open ports.
pub(super) struct Doors {
    addresses: Vec<SocketAddr>,
    /// For how many clients there are file descriptors.
    budget: Budget,
    admission: Admission,
    tls: Option<Arc<ServerTls>>,
    router: Arc<Router>,
    stop: watch::Sender<bool>,
}

impl Doors {
    /// Binds every port, then accepts on all of them: if one cannot be bound, nobody is let in by another.
    pub(super) async fn open<T: Transport>(
        transport: T,
        configured: &Configured,
        session: SessionSettings,
        reception: Reception,
        accounts: Arc<dyn Store>,
        router: Arc<Router>,
    ) -> Result<Doors, DoorsError> {
        let Reception { certificate, derive, randomness, workers, descriptors } = reception;
        let tls = certificate.map(ServerTls::new).transpose()?.map(Arc::new);
        let wanted = usize::try_from(configured.connections_max).unwrap_or(usize::MAX);
        let budget = Budget::new(descriptors, wanted);
        tell_budget(&budget);
        let admission = Admission::new(budget.connections_max);
        let tries = Arc::new(Tries::default());
        let threads = workers.threads();
        let (strangers, busy) = (Threads::new((threads / 2).max(1)), Threads::new(threads));
        let (stop, stopped) = watch::channel(false);
        let mut bound = Vec::new();
        for listener in &configured.listeners {
            let (policy, kind) = manner(listener.tls);
            if policy != TlsPolicy::Disabled && tls.is_none() {
                return Err(DoorsError::NoCertificate);
            }
            warn_of_clear_text(listener.address, policy);
            let unbound = |reason| DoorsError::Port { address: listener.address, reason };
            let (on_workers, at) = (transport.clone(), listener.address);
            let port = workers.spawn(async move { on_workers.bind(at).await });
            let port = port.await.expect("binding a port does not panic").map_err(unbound)?;
            let address = transport.local_address(&port).map_err(unbound)?;
            let session =
                SessionSettings { tls: policy, plain_without_tls: policy == TlsPolicy::Disabled, ..session.clone() };
            let settings = ClientSettings {
                session: Arc::new(session),
                tls: tls.clone().filter(|_| policy != TlsPolicy::Disabled),
                derive: derive.clone(),
                tries: tries.clone(),
                strangers: strangers.clone(),
                busy: busy.clone(),
                proxied: listener.proxied,
                admission: admission.clone(),
                randomness,
                accounts: accounts.clone(),
                router: router.clone(),
            };
            bound.push((address, Listener { listener: port, kind }, settings));
        }
        workers.spawn(tries.tell_bursts(router.clone(), stopped.clone()));
        let mut addresses = Vec::new();
        for (address, listener, settings) in bound {
            tracing::info!(%address, "clients may connect");
            addresses.push(address);
            workers.spawn(serve(transport.clone(), listener, settings, stopped.clone()));
        }
        Ok(Doors { addresses, budget, admission, tls, router, stop })
    }

    /// How many clients there may be, and those that are there.
    pub(super) fn places(&self) -> (Budget, Admission) {
        (self.budget, self.admission.clone())
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) fn replace_certificate(&self, certificate: Certificate) -> Result<(), TlsError> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload(certificate))
    }

    /// Lets nobody in any more, sends away who is there, and waits [`FAREWELL_TIME_MAX`] at most until they have gone. What
    /// was acknowledged and is not decided is waited for a while longer: nobody else has it.
    pub(super) async fn close(&self, other_host: Option<&str>) {
        self.stop.send_replace(true);
        self.router.send_away(other_host);
        let gone = async {
            while self.router.session_count() + self.router.undecided() > 0 {
                sleep(FAREWELL_PAUSE).await;
            }
        };
        if timeout(FAREWELL_TIME_MAX, gone).await.is_err() {
            tracing::warn!(sessions = self.router.session_count(), "not all clients took their leave in time");
            let settled = async {
                while self.router.unsettled() > 0 {
                    sleep(FAREWELL_PAUSE).await;
                }
            };
            if timeout(STOP_WAIT_MAX, settled).await.is_err() {
                let (stanzas, sessions) = (self.router.undecided(), self.router.session_count());
                tracing::error!(stanzas, sessions, "the node stops with what it could not leave with anybody");
            } else {
                sometimes!("a_node_that_stops_waits_for_what_it_owes");
            }
        }
    }
}

fn manner(tls: ListenerTls) -> (TlsPolicy, ListenerKind) {
    match tls {
        ListenerTls::Required => (TlsPolicy::Required, ListenerKind::StartTls),
        ListenerTls::Optional => (TlsPolicy::Optional, ListenerKind::StartTls),
        ListenerTls::Disabled => (TlsPolicy::Disabled, ListenerKind::StartTls),
        ListenerTls::Direct => (TlsPolicy::Required, ListenerKind::DirectTls),
    }
}

fn tell_budget(budget: &Budget) {
    let Budget { descriptors, connections_max, wanted } = *budget;
    if budget.is_short() {
        tracing::warn!(
            descriptors,
            connections_max,
            configured = wanted,
            "there are not enough file descriptors for as many clients as are configured: raise the limit of open files"
        );
    } else {
        tracing::info!(descriptors, connections_max, "clients have places");
    }
}

/// On loopback it is what measurements want; anywhere else passwords may travel in clear.
fn warn_of_clear_text(address: SocketAddr, policy: TlsPolicy) {
    match policy {
        TlsPolicy::Optional | TlsPolicy::Disabled if !address.ip().is_loopback() => {
            tracing::warn!(%address, ?policy, "CLIENTS MAY TALK WITHOUT ENCRYPTION HERE, passwords and messages included");
        }
        TlsPolicy::Required | TlsPolicy::Optional | TlsPolicy::Disabled => {}
    }
}
