//! Whether a node lives, and whether clients can log in there, for load balancers and for whoever restarts processes:
//! over HTTP/1.1.
//!
//! ```text
//! haproxy, kubelet ──GET /health/ready──▶ server ──Question──▶ the node ──▶ 200, or 503 and why not in one line
//! ```
//!
//! One request and one answer on each connection, bounded in size and time, and so is the number of connections: if there
//! are too many, those are cut first who have asked nothing.
//!
//! Nothing here decides anything: where answers come from is handed in. They hold no names, no addresses, no secrets.

mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, ready};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::runtime;
use crate::transport::{TokioTransport, Transport};

/// Connections at one time. Beyond it one is cut for the next: of those who have asked nothing, as long as there are any.
const CONNECTIONS_MAX: usize = 64;

/// Bytes of the head of a request, the smallest bound that hyper has; what is longer is answered by 431.
const HEAD_BYTES_MAX: usize = 8192;

/// How long the head of a request may take.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);

/// How long the node may take to answer. Whoever asks waits for a second or two by default.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a connection may last, the writing of the answer included.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(12);

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// Whether the process does its work. If it does not, it is to be started again.
    Live,
    /// Whether clients can log in. If not, they are to be sent elsewhere.
    Ready,
}

/// So it is, or why not, in one line.
pub type Answer = Result<(), String>;

/// Where answers come from.
pub type Answers = Arc<dyn Fn(Question) -> BoxFuture<'static, Answer> + Send + Sync>;

/// The open port. It is closed when this value is dropped.
pub struct Health {
    address: SocketAddr,
    answers: watch::Sender<Answers>,
    server: JoinHandle<()>,
}

impl Health {
    /// Listens, and says until it is told more that the node is not ready for this reason. Must run inside a
    /// [`runtime::scope`].
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub async fn open(address: SocketAddr, reason: String) -> std::io::Result<Health> {
        let listener = TokioTransport.bind(address).await?;
        TokioTransport.hear_first(&listener);
        let address = TokioTransport.local_address(&listener)?;
        tracing::info!(%address, "health is told");
        let (answers, given) = watch::channel(not_ready(reason));
        Ok(Health { address, answers, server: runtime::spawn(server::serve(listener, given)) })
    }

    /// Where it is asked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From here on these are the answers.
    pub fn answer_by(&self, answers: Answers) {
        self.answers.send_replace(answers);
    }

    /// From here on the node lives, and is not ready for this reason.
    pub fn is_not_ready(&self, reason: String) {
        self.answers.send_replace(not_ready(reason));
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn not_ready(reason: String) -> Answers {
    Arc::new(move |question| {
        let answer = match question {
            Question::Live => Ok(()),
            Question::Ready => Err(reason.clone()),
        };
        ready(answer).boxed()
    })
}

#[cfg(test)]
mod tests;
