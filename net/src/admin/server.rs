//! Answers requests on the control socket.
//!
//! Many at a time: one that keeps silent, or whose answer takes its time, keeps nobody waiting. If there are too many,
//! those who have asked nothing have to go first, of the process that has opened most ([`Attendance`]).

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::{CONNECTIONS_MAX, EXCHANGE_TIME_MAX, REQUEST_BYTES_MAX, Request, Response};
use crate::attendance::{Attendance, after};

/// Where answers come from. Each has to be there before the exchange has taken too long.
pub type Answers = Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;

/// The user that may ask for everything.
const ROOT: u32 = 0;

/// After a failed accept (no file descriptor is free): not at once again, because it would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the control socket cannot be opened.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages say what the fields hold
pub enum AdminError {
    #[error("another node answers at the control socket '{}': does it use the same data directory?", path.display())]
    InUse { path: PathBuf },
    #[error("'{}' is in the way of the control socket and is not a socket", path.display())]
    NotASocket { path: PathBuf },
    #[error("the control socket '{}' cannot be opened: {error}", path.display())]
    Failed { path: PathBuf, error: std::io::Error },
}

/// The open control socket of a node. It is removed when this value is dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl Server {
    /// Opens the socket for the user that runs the node, and nobody else. One that a dead node left behind is replaced.
    ///
    /// # Errors
    ///
    /// If a node answers there, or the socket cannot be made.
    pub async fn open(path: &Path) -> Result<Server, AdminError> {
        let failed = |error| AdminError::Failed { path: path.to_owned(), error };
        remove_remains(path).await?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        let owner = std::fs::metadata(path).map_err(failed)?.uid();
        Ok(Server { listener, path: path.to_owned(), owner })
    }

    /// Answers until it is dropped.
    pub async fn serve(self, answers: Answers) {
        let mut exchanges: Attendance<Process, std::io::Result<Step>> = Attendance::new(CONNECTIONS_MAX);
        let mut pause = Duration::ZERO;
        loop {
            let wait = pause.max(exchanges.next_after());
            tokio::select! {
                biased;
                Some((number, step)) = exchanges.next() => match step {
                    Ok(Step::Asked(line, writer)) => exchanges.goes_on(number, answer(line, writer, answers.clone())),
                    Ok(Step::Answered) => exchanges.leaves(number),
                    Err(error) => {
                        exchanges.leaves(number);
                        tracing::debug!(%error, "a request on the control socket was cut short, or took too long");
                    }
                },
                accepted = after(wait, self.listener.accept()) => match accepted {
                    Ok((stream, _)) => {
                        pause = Duration::ZERO;
                        if let Some(process) = self.allowed(&stream) {
                            exchanges.begin(process, |_| hear(stream));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept on the control socket");
                        pause = ACCEPT_PAUSE;
                    }
                }
            }
        }
    }

    /// The process at the other end, if it may ask. Between bind and chmod the socket may have been open to others: who
    /// asks is what counts.
    fn allowed(&self, stream: &UnixStream) -> Option<Process> {
        let peer = stream.peer_cred().ok().filter(|peer| peer.uid() == self.owner || peer.uid() == ROOT);
        if peer.is_none() {
            tracing::warn!("another user tried to use the control socket");
        }
        peer.map(|peer| Process(peer.pid()))
    }
}

/// A process that has connected, where the system says which.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Process(Option<i32>);

/// How far an exchange is.
enum Step {
    /// A line was read that is not empty.
    Asked(Vec<u8>, OwnedWriteHalf),
    /// There is nothing more to say.
    Answered,
}

impl Drop for Server {
    fn drop(&mut self) {
        // A socket that stays behind is replaced at the next start.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Reads the request.
async fn hear(stream: UnixStream) -> std::io::Result<Step> {
    let (reader, writer) = stream.into_split();
    let mut line = Vec::new();
    timeout(EXCHANGE_TIME_MAX, BufReader::new(reader.take(REQUEST_BYTES_MAX)).read_until(b'\n', &mut line)).await??;
    Ok(if line.is_empty() { Step::Answered } else { Step::Asked(line, writer) })
}

/// Answers it.
async fn answer(line: Vec<u8>, mut writer: OwnedWriteHalf, answers: Answers) -> std::io::Result<Step> {
    let response = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => timeout(request.time_max(), answers(request)).await?,
        Err(error) => Response::Refused { reason: format!("not a request: {error}") },
    };
    let mut answer = serde_json::to_vec(&response).map_err(std::io::Error::other)?;
    answer.push(b'\n');
    let written = async {
        writer.write_all(&answer).await?;
        writer.shutdown().await
    };
    timeout(EXCHANGE_TIME_MAX, written).await??;
    Ok(Step::Answered)
}

/// Removes the socket of a node that is dead.
async fn remove_remains(path: &Path) -> Result<(), AdminError> {
    let failed = |error| AdminError::Failed { path: path.to_owned(), error };
    match UnixStream::connect(path).await {
        Ok(_) => Err(AdminError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            use std::os::unix::fs::FileTypeExt;
            // Connecting to a plain file is refused too; that one is not ours to delete.
            if !std::fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket() {
                return Err(AdminError::NotASocket { path: path.to_owned() });
            }
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}
