//! The connections, and what a request is answered.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use cresset_core::admission::{Host, Network};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::{
    ANSWER_TIME_MAX, Answer, Answers, CONNECTION_TIME_MAX, CONNECTIONS_MAX, HEAD_BYTES_MAX, HEAD_TIME_MAX, Question,
};
use crate::attendance::{Attendance, after};
use crate::transport::{TokioTransport, Transport};

/// After a failed accept (no file descriptor is free): not at once again, because it would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers until it is dropped.
pub(super) async fn serve(mut listener: TcpListener, answers: watch::Receiver<Answers>) {
    let mut connections: Attendance<Network, ()> = Attendance::new(CONNECTIONS_MAX);
    // One word for each connection at most.
    let (has_asked, mut asked) = mpsc::channel(CONNECTIONS_MAX);
    let mut pause = Duration::ZERO;
    loop {
        let wait = pause.max(connections.next_after());
        tokio::select! {
            biased;
            Some(number) = asked.recv() => connections.is_in_earnest(number),
            Some((number, ())) = connections.next() => connections.leaves(number),
            accepted = after(wait, TokioTransport.accept(&mut listener)) => match accepted {
                Ok((stream, address)) => {
                    pause = Duration::ZERO;
                    let (answers, has_asked) = (answers.clone(), has_asked.clone());
                    connections.begin(Host::of(address.ip()).network(), |number| {
                        attend(stream, number, has_asked, answers)
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept where health is told");
                    pause = ACCEPT_PAUSE;
                }
            }
        }
    }
}

async fn attend(stream: TcpStream, number: u64, has_asked: mpsc::Sender<u64>, answers: watch::Receiver<Answers>) {
    let answer = |request| {
        if has_asked.try_send(number).is_err() {
            tracing::trace!("a connection that has asked counts as silent");
        }
        respond(request, answers.clone())
    };
    let exchange = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    if !matches!(timeout(CONNECTION_TIME_MAX, exchange).await, Ok(Ok(()))) {
        tracing::trace!("a question about health was cut short, or took too long");
    }
}

/// A path is compared as it is: nothing is decoded, and no two spellings of it mean the same.
async fn respond(
    request: Request<Incoming>,
    answers: watch::Receiver<Answers>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let question = match request.uri().path() {
        "/health/live" => Question::Live,
        "/health" | "/health/ready" => Question::Ready,
        _ => return Ok(response(StatusCode::NOT_FOUND, "there are /health/live and /health/ready".to_owned())),
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    // Its end would have to be looked for.
    if !request.body().is_end_stream() {
        return Ok(response(StatusCode::PAYLOAD_TOO_LARGE, "a question has no body".to_owned()));
    }
    let asked = answers.borrow().clone()(question);
    let answer = timeout(ANSWER_TIME_MAX, asked).await.unwrap_or_else(|_| Err("it does not answer".to_owned()));
    Ok(told(question, answer))
}

fn told(question: Question, answer: Answer) -> Response<Full<Bytes>> {
    let word = match question {
        Question::Live => "live",
        Question::Ready => "ready",
    };
    match answer {
        Ok(()) => response(StatusCode::OK, word.to_owned()),
        Err(reason) => response(StatusCode::SERVICE_UNAVAILABLE, format!("not {word}: {reason}")),
    }
}

fn response(status: StatusCode, line: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(line + "\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
