//! Where clients come in.
//!
//! The loop survives everything that accepting can fail with: when the process has no file descriptor left, those who
//! are connected stay so, and the next ones wait in the system's queue until somebody goes (hostile case F13).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cresset_core::admission::{Origin, Party};
use cresset_core::session::{Session, TlsEstablished};
use futures_util::future::{Either, select};
use tokio::sync::watch;
use tokio::time::sleep;

use super::admission::Admitted;
use super::connection::{Connection, Transport as ClientSide};
use super::turns::Turn;
use super::{ClientSettings, ClientTransport};
use crate::runtime;
use crate::transport::Transport;

/// How long to wait before accepting again after it failed. Long enough not to burn a processor while descriptors are
/// short, short enough that nobody notices afterwards.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Of so many failures in a row the first is logged: about one line a second.
const FAILURES_PER_LINE: u64 = 5;

/// How a stream begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListenerKind {
    /// In clear, with STARTTLS where there is a certificate.
    StartTls,
    /// With TLS (XEP-0368).
    DirectTls,
}

/// A port on which clients are served.
#[derive(Debug)]
pub struct Listener<L> {
    /// From [`Transport::bind`].
    pub listener: L,
    /// How streams begin.
    pub kind: ListenerKind,
}

/// Accepts clients until `stop` says so or is dropped, each into a task of its own. Those who are connected stay.
pub async fn serve<T: Transport>(
    transport: T,
    mut listener: Listener<T::Listener>,
    settings: ClientSettings,
    mut stop: watch::Receiver<bool>,
) {
    let settings = Arc::new(settings);
    let mut failures = 0_u64;
    loop {
        let stopped = std::pin::pin!(stop.wait_for(|stop| *stop));
        let accepted = std::pin::pin!(transport.accept(&mut listener.listener));
        let accepted = match select(stopped, accepted).await {
            Either::Left(_) => return,
            Either::Right((accepted, _)) => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                failures = 0;
                transport.look_after(&stream);
                accept(&settings, listener.kind, Box::new(stream), address);
            }
            Err(error) => {
                if failures.is_multiple_of(FAILURES_PER_LINE) {
                    tracing::warn!(%error, failures, "a client could not be accepted");
                }
                failures += 1;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one client in a task of its own, if there is a place for it.
pub(super) fn accept(
    settings: &Arc<ClientSettings>,
    kind: ListenerKind,
    transport: ClientTransport,
    address: SocketAddr,
) {
    let origin = settings.origin(address.ip());
    let Some(admitted) = settings.admission.admit(origin) else {
        tracing::debug!(%address, "too many connections");
        return;
    };
    let party = admitted.party(origin);
    let mut stranger = settings.strangers.turn(party);
    match kind {
        ListenerKind::StartTls => begin(settings.clone(), transport, admitted, (origin, party), stranger, None),
        ListenerKind::DirectTls => {
            let Some(tls) = settings.tls.clone() else { return };
            let settings = settings.clone();
            runtime::spawn(async move {
                match stranger.hear(super::tls::handshake(tls.direct(), transport)).await {
                    Ok(transport) => {
                        begin(settings, transport, admitted, (origin, party), stranger, Some(TlsEstablished))
                    }
                    Err(error) => tracing::debug!(%address, %error, "no TLS with a client"),
                }
            });
        }
    }
}

fn begin(
    settings: Arc<ClientSettings>,
    transport: ClientTransport,
    admitted: Admitted,
    (origin, party): (Origin, Party),
    stranger: Turn<Party>,
    established: Option<TlsEstablished>,
) {
    let now = settings.router.now();
    let mut session = Session::new(now, settings.session.clone(), (settings.randomness)());
    if let Some(established) = established {
        session.handle_tls(now, established);
    }
    let mut connection = Box::new(Connection::new(settings, session, admitted, origin, party, stranger));
    connection.transport = ClientSide::Open(transport);
    runtime::spawn(runtime::polled(connection.run()));
}
