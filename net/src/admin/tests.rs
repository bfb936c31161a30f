use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::*;

#[tokio::test]
async fn the_status_is_answered_as_the_node_gives_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, _server) = started(folder.path()).await;

    let answered = ask_status(&socket).await.expect("an answer");

    assert_eq!(answered, status());
    assert_eq!(answered.can_lose, Some(1));
    assert_eq!(answered.advice, "you can lose 1 more member");
}

#[tokio::test]
async fn an_order_is_done_or_refused_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, _server) = started(folder.path()).await;

    assert!(order(&socket, &Request::Remove { name: "c".to_owned() }).await.is_ok());
    let refused = order(&socket, &Request::TransferLeader { to: "w".to_owned() }).await.expect_err("it is refused");
    assert_eq!(refused.to_string(), "refused: 'w' has no vote");
    assert_eq!(ask_events(&socket).await.expect("an answer"), vec![]);
}

#[tokio::test]
async fn the_socket_is_for_its_owner_only_and_goes_with_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, mut server) = started(folder.path()).await;
    let mode = std::fs::metadata(&socket).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    server.shutdown().await;

    assert!(matches!(ask_status(&socket).await, Err(AskError::NoSocket { .. })));
}

#[tokio::test]
async fn a_socket_left_by_a_dead_node_is_replaced_and_a_living_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket"));
    assert!(matches!(ask_status(&socket).await, Err(AskError::NobodyThere { .. })));

    let (socket, _server) = started(folder.path()).await;

    assert!(ask_status(&socket).await.is_ok());
    assert!(matches!(Server::open(&socket).await, Err(AdminError::InUse { .. })));
}

#[tokio::test]
async fn a_file_in_the_way_is_not_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    std::fs::write(&path, "precious").expect("a file");

    assert!(matches!(Server::open(&path).await, Err(AdminError::NotASocket { .. })));
    assert_eq!(std::fs::read(&path).expect("the file"), b"precious");
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, _server) = started(folder.path()).await;
    for line in ["nonsense\n".to_owned(), "{\"ask\":\"explode\"}\n".to_owned(), "{\"ask\":".repeat(10_000) + "\n"] {
        let answer = talk(&socket, line.as_bytes()).await;
        assert!(answer.starts_with("{\"answer\":\"refused\",\"reason\":\"not a request"), "{answer}");
    }
    assert!(ask_status(&socket).await.is_ok());
}

/// O16. The time that passes here is that of the wait: nobody waits for those who say nothing, or are slow.
#[tokio::test(start_paused = true)]
async fn those_who_say_nothing_keep_nobody_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, _server) = started(folder.path()).await;
    let mut silent = Vec::new();
    for number in 0..3 * CONNECTIONS_MAX {
        let mut stream = UnixStream::connect(&socket).await.expect("a connection");
        if number % 2 == 0 {
            stream.write_all(b"{").await.expect("it is up");
        }
        silent.push(stream);
    }
    let begun = tokio::time::Instant::now();

    assert!(ask_status(&socket).await.is_ok());

    assert!(begun.elapsed() < EXCHANGE_TIME_MAX / 2, "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    drop(silent[0].read_to_end(&mut rest).await);
    assert!(rest.is_empty(), "the oldest was cut without an answer");
}

/// O16. An order may take a minute, and the status is asked for meanwhile.
#[tokio::test(start_paused = true)]
async fn an_order_that_takes_its_time_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("admin.sock");
    let server = Server::open(&socket).await.expect("a socket");
    let mut tasks = JoinSet::new();
    tasks.spawn(server.serve(Arc::new(|request| {
        Box::pin(async {
            if !matches!(request, Request::Status) {
                tokio::time::sleep(ORDER_TIME_MAX).await;
            }
            answer(request)
        })
    })));
    let ordering = {
        let socket = socket.clone();
        tokio::spawn(async move { order(&socket, &Request::Remove { name: "c".to_owned() }).await })
    };
    tokio::task::yield_now().await;
    let begun = tokio::time::Instant::now();

    assert!(ask_status(&socket).await.is_ok());

    assert!(begun.elapsed() < EXCHANGE_TIME_MAX, "{:?}", begun.elapsed());
    assert!(ordering.await.expect("it does not panic").is_ok());
}

/// Whoever connects and says nothing must not keep the operator out.
#[tokio::test(start_paused = true)]
async fn a_silent_client_is_cut_off_and_the_next_one_is_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, _server) = started(folder.path()).await;
    let mut silent = UnixStream::connect(&socket).await.expect("a connection");

    let mut nothing = Vec::new();
    silent.read_to_end(&mut nothing).await.expect("the end of the stream");

    assert!(nothing.is_empty());
    assert!(ask_status(&socket).await.is_ok());
}

async fn talk(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).await.expect("a connection");
    // The server stops reading at its bound; the rest may fail to be written.
    drop(stream.write_all(bytes).await);
    let mut answer = vec![0; 256];
    let length = stream.read(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

async fn started(folder: &Path) -> (PathBuf, JoinSet<()>) {
    let socket = folder.join("admin.sock");
    let server = Server::open(&socket).await.expect("a socket");
    let mut tasks = JoinSet::new();
    tasks.spawn(server.serve(Arc::new(|request| Box::pin(async { answer(request) }))));
    (socket, tasks)
}

fn answer(request: Request) -> Response {
    match request {
        Request::Status => Response::Status { status: Box::new(status()) },
        Request::Events => Response::Events { events: Vec::new() },
        Request::TransferLeader { to } => Response::Refused { reason: format!("'{to}' has no vote") },
        Request::Remove { .. } | Request::Drain { .. } | Request::Undrain { .. } | Request::ChangeTimes { .. } => {
            Response::Done
        }
    }
}

fn status() -> ClusterStatus {
    let member = |number: u16, name: &str| MemberStatus {
        name: name.to_owned(),
        id: u64::from(number),
        role: "server".to_owned(),
        state: MemberState::Active,
        voter: true,
        leader: number == 1,
        seniority: u32::from(number),
        incarnation: 7,
        address: ([127, 0, 0, 1], 5700 + number).into(),
        client_addresses: vec![([127, 0, 0, 1], 5221 + number).into()],
        reachable: true,
        sessions: 3,
        applied_index: Some(9),
        lease_remaining_ms: None,
        program: Some("0.1.0".to_owned()),
    };
    let status = ClusterStatus {
        cluster_id: "c".to_owned(),
        node: "a".to_owned(),
        clustering: true,
        alone: false,
        serving: true,
        unready: None,
        connections: None,
        leader: Some("a".to_owned()),
        senior: Some("a".to_owned()),
        term: 2,
        applied_index: 9,
        sessions: 9,
        version: 1,
        times: None,
        members: vec![member(1, "a"), member(2, "b"), member(3, "c")],
        can_lose: None,
        advice: String::new(),
    };
    status.with_advice()
}
