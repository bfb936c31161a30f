//! Asks a running node through its control socket.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{ClusterEvent, ClusterStatus, RESPONSE_BYTES_MAX, Request, Response};

/// Why there is no answer. Each is a sentence for the operator.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages say what the fields hold
pub enum AskError {
    #[error("no node runs here: there is no control socket at '{}'", path.display())]
    NoSocket { path: PathBuf },
    #[error("no node runs here any more: nobody answers at the control socket '{}'", path.display())]
    NobodyThere { path: PathBuf },
    #[error("you may not use the control socket '{}': run this as the user that runs the node", path.display())]
    NoPermission { path: PathBuf },
    #[error("the node at '{}' did not answer within {} s", path.display(), .within.as_secs())]
    TimedOut { path: PathBuf, within: Duration },
    #[error("the node at '{}' answered something that is not understood ({reason}): is it of another version?",
            path.display())]
    NotUnderstood { path: PathBuf, reason: String },
    #[error("refused: {reason}")]
    Refused { reason: String },
    #[error("refused: {reason}")]
    NoQuorum { reason: String },
    #[error("the control socket '{}' failed: {error}", path.display())]
    Failed { path: PathBuf, error: std::io::Error },
}

/// Asks for the status of the cluster.
///
/// # Errors
///
/// If there is no node, no permission, or no answer that can be understood.
pub async fn ask_status(socket: &Path) -> Result<ClusterStatus, AskError> {
    match ask(socket, &Request::Status).await? {
        Response::Status { status } => Ok(*status),
        other @ (Response::Events { .. } | Response::Done | Response::NoQuorum { .. } | Response::Refused { .. }) => {
            Err(no_answer(socket, other))
        }
    }
}

/// Asks what happened to the members, the oldest first.
///
/// # Errors
///
/// If there is no node, no permission, or no answer that can be understood.
pub async fn ask_events(socket: &Path) -> Result<Vec<ClusterEvent>, AskError> {
    match ask(socket, &Request::Events).await? {
        Response::Events { events } => Ok(events),
        other @ (Response::Status { .. } | Response::Done | Response::NoQuorum { .. } | Response::Refused { .. }) => {
            Err(no_answer(socket, other))
        }
    }
}

/// Asks for something to be done, and waits until it is.
///
/// # Errors
///
/// If there is no node or no permission, or if it is refused.
pub async fn order(socket: &Path, request: &Request) -> Result<(), AskError> {
    match ask(socket, request).await? {
        Response::Done => Ok(()),
        other @ (Response::Status { .. }
        | Response::Events { .. }
        | Response::NoQuorum { .. }
        | Response::Refused { .. }) => Err(no_answer(socket, other)),
    }
}

/// What it means that something else was answered than what was asked for.
fn no_answer(socket: &Path, answer: Response) -> AskError {
    let another = |kind: &str| AskError::NotUnderstood { path: socket.to_owned(), reason: format!("it is {kind}") };
    match answer {
        Response::Refused { reason } => AskError::Refused { reason },
        Response::NoQuorum { reason } => AskError::NoQuorum { reason },
        Response::Status { .. } => another("a status"),
        Response::Events { .. } => another("events"),
        Response::Done => another("that it is done"),
    }
}

/// Sends one request and waits for the answer.
///
/// # Errors
///
/// If there is no node, no permission, or no answer that can be understood.
pub async fn ask(socket: &Path, request: &Request) -> Result<Response, AskError> {
    // The node gives up first.
    let within = request.time_max() + Duration::from_secs(1);
    let answer = match timeout(within, exchange(socket, request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(failure(socket, error)),
        Err(_) => return Err(AskError::TimedOut { path: socket.to_owned(), within }),
    };
    if answer.is_empty() {
        return Err(AskError::NobodyThere { path: socket.to_owned() });
    }
    serde_json::from_slice(&answer)
        .map_err(|error| AskError::NotUnderstood { path: socket.to_owned(), reason: error.to_string() })
}

async fn exchange(socket: &Path, request: &Request) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut line = serde_json::to_vec(request).map_err(std::io::Error::other)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(RESPONSE_BYTES_MAX)).read_until(b'\n', &mut answer).await?;
    Ok(answer)
}

fn failure(socket: &Path, error: std::io::Error) -> AskError {
    let path = socket.to_owned();
    let nobody = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    let kind = error.kind();
    if kind == ErrorKind::NotFound {
        AskError::NoSocket { path }
    } else if kind == ErrorKind::PermissionDenied {
        AskError::NoPermission { path }
    } else if nobody.contains(&kind) {
        AskError::NobodyThere { path }
    } else {
        AskError::Failed { path, error }
    }
}
