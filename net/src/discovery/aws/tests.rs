//! Against servers of our own that say what AWS says, and what it never would.

use std::sync::{Arc, Mutex};

use cresset_core::config::discovery::{AwsCredentials, Ports, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const NOW: UnixMillis = UnixMillis(1_440_938_160_000);
const PATIENCE: Patience = Patience { connection: Duration::from_secs(5), read: Duration::from_secs(5) };

#[tokio::test]
async fn all_pages_are_asked_for_and_each_instance_is_at_all_ports() {
    let server = Server::start(&[&page("10.0.0.1", "more"), &page("10.0.0.2", "")]).await;

    let found = instances(&aws(&server), NOW).await;

    let expected = ["10.0.0.1:5701", "10.0.0.1:5702", "10.0.0.2:5701", "10.0.0.2:5702"];
    assert_eq!(found, Ok(expected.map(|text| text.parse().expect("an address")).to_vec()));
    let asked = server.asked();
    assert!(asked[0].starts_with("POST / HTTP/1.1\r\n") && !asked[0].contains("NextToken"), "{}", asked[0]);
    assert!(asked[1].ends_with("&NextToken=more"), "{}", asked[1]);
    assert!(asked.iter().all(|request| request.contains("authorization: AWS4-HMAC-SHA256 Credential=KEY/20150830/")));
    assert!(asked.iter().all(|request| !request.contains("hunter2")), "the key itself is never sent");
}

#[tokio::test]
async fn a_server_that_stumbles_is_asked_again() {
    let server = Server::start(&[&answer(503, "busy"), &page("10.0.0.1", "")]).await;

    let found = instances(&aws(&server), NOW).await.expect("the second time");

    assert_eq!((found.len(), server.asked().len()), (2, 2));
}

/// AWS counts requests, and would refuse it again.
#[tokio::test]
async fn what_is_refused_is_not_asked_again() {
    let refusal = "<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors></Response>";
    let server = Server::start(&[&answer(403, refusal), &page("10.0.0.1", "")]).await;

    let found = instances(&aws(&server), NOW).await;

    assert_eq!(found, Err("AWS refuses: UnauthorizedOperation".to_owned()));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn what_is_no_answer_is_a_reason_and_not_the_end() {
    for said in ["", "SMTP ready\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ncut", &answer(200, "<html/>")] {
        let server = Server::start(&[said]).await;
        let settings = Aws { retries: 0, ..aws(&server) };

        assert!(instances(&settings, NOW).await.is_err(), "{said}");
    }
}

#[tokio::test]
async fn the_role_of_the_instance_lends_keys_to_who_shows_a_token() {
    let lent =
        "{\"AccessKeyId\": \"ASIA\", \"SecretAccessKey\": \"lent\", \"Token\": \"session\", \"Code\": \"Success\"}";
    let answers = ["for a minute", "members", "for a minute", lent].map(|body| answer(200, body));
    let server = Server::start(&answers.each_ref().map(String::as_str)).await;

    let lent = surroundings(&server).credentials(&AwsCredentials::Environment).await.expect("lent");

    let expected = Credentials {
        access_key: "ASIA".to_owned(),
        secret_key: Secret::new("lent"),
        session_token: Some(Secret::new("session")),
    };
    assert_eq!(lent, expected);
    let asked = server.asked();
    assert!(asked[0].starts_with("PUT /latest/api/token HTTP/1.1\r\n"));
    assert!(asked[3].starts_with("GET /latest/meta-data/iam/security-credentials/members HTTP/1.1\r\n"));
    assert!(asked[3].contains("x-aws-ec2-metadata-token: for a minute\r\n"), "{}", asked[3]);
}

#[tokio::test]
async fn an_instance_without_a_role_has_no_keys_and_says_so() {
    let answers = [answer(200, "token"), answer(404, "")];
    let server = Server::start(&answers.each_ref().map(String::as_str)).await;

    let refused = surroundings(&server).credentials(&AwsCredentials::Environment).await;

    let reason = "the metadata service: status 404 for /latest/meta-data/iam/security-credentials/".to_owned();
    assert_eq!(refused, Err(Trouble::Lasting(reason)));
}

#[tokio::test]
async fn the_environment_goes_before_the_instance() {
    let variables = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some("AKIA".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("secret".to_owned()),
        "AWS_REGION" => Some("eu-north-1".to_owned()),
        _ => None,
    };
    let surroundings = keys::Surroundings::new(variables, PATIENCE);

    let found = surroundings.credentials(&AwsCredentials::Environment).await.expect("said by the environment");

    assert_eq!((found.access_key.as_str(), found.session_token), ("AKIA", None));
    assert_eq!(surroundings.region().await, Ok("eu-north-1".to_owned()));
}

/// Says one thing on each connection, one after the other, and keeps what it was asked.
struct Server {
    host: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answers: &[&str]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("bound").to_string();
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let keeps = asked.clone();
        let serve = async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let request = read_request(&mut stream).await;
                keeps.lock().expect("nobody panics").push(request);
                stream.write_all(answer.as_bytes()).await.expect("said");
            }
        };
        crate::runtime::scope(1, async { drop(crate::runtime::spawn(serve)) }).await;
        Server { host, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics").clone()
    }
}

/// The head, and as much of a body as it says.
async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
    let mut request = String::new();
    let mut bytes = [0; 4096];
    loop {
        let count = stream.read(&mut bytes).await.expect("a request");
        request.push_str(std::str::from_utf8(&bytes[..count]).expect("text"));
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.map_or(0, |length| length.parse().expect("a number")) {
                return request;
            }
        }
    }
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} Something\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn page(address: &str, next: &str) -> String {
    let body = format!(
        "<DescribeInstancesResponse><reservationSet><item><instancesSet><item><privateIpAddress>{address}\
         </privateIpAddress></item></instancesSet></item></reservationSet><nextToken>{next}</nextToken>\
         </DescribeInstancesResponse>"
    );
    answer(200, &body)
}

fn surroundings(server: &Server) -> keys::Surroundings {
    let endpoint = format!("http://{}/", server.host);
    keys::Surroundings::new(
        move |name| (name == "AWS_EC2_METADATA_SERVICE_ENDPOINT").then(|| endpoint.clone()),
        PATIENCE,
    )
}

fn aws(server: &Server) -> Aws {
    Aws {
        credentials: AwsCredentials::Key { access_key: "KEY".to_owned(), secret_key: Secret::new("hunter2") },
        region: Some("eu-central-1".to_owned()),
        host_header: server.host.clone(),
        security_group: None,
        tags: Vec::new(),
        connection_time_max: PATIENCE.connection,
        read_time_max: PATIENCE.read,
        retries: 3,
        ports: Ports { first: 5701, count: 2 },
        use_public_address: false,
    }
}
