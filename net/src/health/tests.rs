//! Questions over real connections. Hostile ones from outside of the process are in `tests/real`.

use futures_util::future::pending;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// Which process this is, which is asked.
async fn opened() -> Health {
    let anywhere = "127.0.0.1:0".parse().expect("an address");
    runtime::scope(1, Health::open(anywhere, "it starts".to_owned())).await.expect("a port is free")
}

/// Inside of a scope, with a node that is ready.
async fn with_ready<F: Future<Output = ()>>(test: impl FnOnce(Health) -> F) {
    let asked = async {
        let health = opened().await;
        health.answer_by(Arc::new(|_| ready(Ok(())).boxed()));
        test(health).await;
    };
    runtime::scope(1, asked).await;
}

/// All that comes back until the connection is closed.
async fn exchange(health: &Health, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(health.address()).await.expect("it listens");
    // One that was cut already is seen to have no answer.
    drop(stream.write_all(request).await);
    let mut answer = Vec::new();
    // A connection that is reset with something unread has answered before.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8(answer).expect("text")
}

async fn get(health: &Health, path: &str) -> (String, String) {
    let answer = exchange(health, format!("GET {path} HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.lines().next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status");
    (status.split(' ').next().expect("a number").to_owned(), body.to_owned())
}

fn is(status: &str, body: &str) -> (String, String) {
    (status.to_owned(), body.to_owned())
}

#[tokio::test]
async fn a_node_lives_from_the_start_and_is_ready_when_it_says_so() {
    let test = async {
        let health = opened().await;
        assert_eq!(get(&health, "/health/live").await, is("200", "live\n"));
        assert_eq!(get(&health, "/health/ready").await, is("503", "not ready: it starts\n"));

        health.answer_by(Arc::new(|_| ready(Ok(())).boxed()));
        assert_eq!(get(&health, "/health/ready").await, is("200", "ready\n"));
        assert_eq!(get(&health, "/health").await, is("200", "ready\n"));

        health.is_not_ready("it stops".to_owned());
        assert_eq!(get(&health, "/health").await, is("503", "not ready: it stops\n"));
        assert_eq!(get(&health, "/health/live").await, is("200", "live\n"));
    };
    runtime::scope(1, test).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_answer_is_not_live() {
    with_ready(async |health| {
        health.answer_by(Arc::new(|_| pending().boxed()));

        assert_eq!(get(&health, "/health/live").await, is("503", "not live: it does not answer\n"));
    })
    .await;
}

/// What load balancers send: HTTP/1.0 without a host, HEAD, a query, the absolute form of a proxy.
#[tokio::test]
async fn all_usual_forms_of_the_question_are_answered() {
    with_ready(async |health| {
        for request in [
            "GET /health/ready HTTP/1.0\r\n\r\n",
            "HEAD /health/ready HTTP/1.1\r\nHost: n\r\n\r\n",
            "GET /health/ready?from=lb HTTP/1.1\r\nHost: n\r\nConnection: keep-alive\r\n\r\n",
            "GET http://n/health/ready HTTP/1.1\r\nHost: n\r\n\r\n",
        ] {
            let answer = exchange(&health, request.as_bytes()).await;
            assert!(answer.contains(" 200 OK\r\n"), "{request}: {answer}");
            assert!(!answer.to_lowercase().contains("keep-alive"), "{request}: {answer}");
            assert_eq!(answer.ends_with("ready\n"), !request.starts_with("HEAD"), "{request}: {answer}");
        }
    })
    .await;
}

/// I1, I2, I9, I10.
#[tokio::test]
async fn what_is_no_question_is_refused_and_the_connection_closed() {
    with_ready(async |health| {
        let headers = |count| (0..count).map(|number| format!("h{number}: x\r\n")).collect::<String>();
        for (request, expected) in [
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), "404"),
            ("GET /health/ HTTP/1.1\r\n\r\n".to_owned(), "404"),
            ("GET //health HTTP/1.1\r\n\r\n".to_owned(), "404"),
            ("GET /%68ealth HTTP/1.1\r\n\r\n".to_owned(), "404"),
            ("GET /health/../health HTTP/1.1\r\n\r\n".to_owned(), "404"),
            ("POST /health HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(), "405"),
            ("DELETE /health/live HTTP/1.1\r\n\r\n".to_owned(), "405"),
            ("GET /health HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\nx".to_owned(), "413"),
            (
                "GET /health HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
                "413",
            ),
            ("GET /health HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx".to_owned(), "400"),
            (format!("GET /health HTTP/1.1\r\n{}\r\n", headers(200)), "431"),
            (format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(HEAD_BYTES_MAX)), "431"),
            (format!("GET /{} HTTP/1.1\r\n\r\n", "y".repeat(HEAD_BYTES_MAX)), "431"),
            ("GET /health HTTP/7.3\r\n\r\n".to_owned(), "400"),
            ("<stream:stream xmlns='jabber:client'>\r\n\r\n".to_owned(), "400"),
        ] {
            let answer = exchange(&health, request.as_bytes()).await;
            let shown: String = request.chars().take(60).collect();
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{shown}: {answer}");
        }
        assert_eq!(get(&health, "/health").await.0, "200");
    })
    .await;
}

/// Two requests in one go: the second is not looked at.
#[tokio::test]
async fn a_connection_answers_one_question() {
    with_ready(async |health| {
        let twice = "GET /health HTTP/1.1\r\nHost: n\r\n\r\n".repeat(2);

        let answer = exchange(&health, twice.as_bytes()).await;

        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    })
    .await;
}

/// O16. Honest questions are answered while others connect as fast as they can and say nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_questions_are_answered_during_a_flood_of_connections() {
    honest_questions_are_answered_while_others_say(b"").await;
}

/// O16. The same with others who begin with a question and do not end it, so that the system takes each for somebody who
/// has something to say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_questions_are_answered_during_a_flood_of_questions_without_an_end() {
    honest_questions_are_answered_while_others_say(b"G").await;
}

/// How often an honest question may have to be asked.
const TRIES_MAX: usize = 5;

async fn honest_questions_are_answered_while_others_say(words: &'static [u8]) {
    with_ready(async |health| {
        let address = health.address();
        let flood = tokio::spawn(async move {
            let mut silent = std::collections::VecDeque::new();
            loop {
                let mut stream = TcpStream::connect(address).await.expect("it listens");
                // One that was cut already has said enough.
                drop(stream.write_all(words).await);
                silent.push_back(stream);
                if silent.len() > 4 * CONNECTIONS_MAX {
                    silent.pop_front();
                }
            }
        });

        for _ in 0..200 {
            let request = b"GET /health HTTP/1.1\r\nHost: n\r\n\r\n";
            let mut answer = exchange(&health, request).await;
            // On a busy machine one may be cut between its connection and its question. Balancers ask again.
            for _ in 1..TRIES_MAX {
                if answer.is_empty() {
                    answer = exchange(&health, request).await;
                }
            }
            assert!(answer.ends_with("ready\n"), "{answer}");
        }
        flood.abort();
    })
    .await;
}

/// O16. Who has asked and waits for its answer is not cut for those who ask nothing.
#[tokio::test]
async fn a_question_that_is_being_answered_is_not_cut() {
    with_ready(async |health| {
        let (answer, answered) = watch::channel(false);
        health.answer_by(Arc::new(move |_| {
            let mut answered = answered.clone();
            async move { answered.wait_for(|is| *is).await.map(drop).map_err(|error| error.to_string()) }.boxed()
        }));
        let mut asks = TcpStream::connect(health.address()).await.expect("it listens");
        asks.write_all(b"GET /health HTTP/1.1\r\nHost: n\r\n\r\n").await.expect("it reads");
        let mut silent = Vec::new();
        for _ in 0..3 * CONNECTIONS_MAX {
            let mut stream = TcpStream::connect(health.address()).await.expect("it listens");
            // The system keeps those that say nothing at all to itself for a while.
            drop(stream.write_all(b"G").await);
            silent.push(stream);
        }
        let mut rest = Vec::new();
        drop(silent[0].read_to_end(&mut rest).await);

        answer.send_replace(true);
        let mut heard = String::new();
        asks.read_to_string(&mut heard).await.expect("it is answered");

        assert!(heard.starts_with("HTTP/1.1 200 ") && rest.is_empty(), "{heard}");
    })
    .await;
}

/// F2: they are cut after a while, and the answer to everybody else does not wait for that.
#[tokio::test]
async fn those_who_say_nothing_keep_nobody_from_an_answer() {
    with_ready(async |health| {
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX + 10 {
            let mut stream = TcpStream::connect(health.address()).await.expect("it listens");
            stream.write_all(b"GET /health HTTP/1.1\r\nx: ").await.expect("it is up");
            silent.push(stream);
        }

        assert_eq!(get(&health, "/health").await, is("200", "ready\n"));

        let mut rest = Vec::new();
        drop(silent[0].read_to_end(&mut rest).await);
        assert!(rest.is_empty(), "the oldest was cut without an answer");
    })
    .await;
}
