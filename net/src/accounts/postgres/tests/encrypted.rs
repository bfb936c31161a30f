//! A database on the other side of a network: what goes there is encrypted, and the server proves who it is.

use std::net::TcpListener;

use tempfile::TempDir;

use super::*;

#[tokio::test]
async fn a_server_is_believed_only_with_a_certificate_that_leads_to_ours() {
    let test = async {
        let (server, port, roots) = server_with_tls();
        let near = server.database();
        let database = near.url.rsplit('/').next().expect("named").to_owned();
        let grant = format!("CREATE ROLE far LOGIN PASSWORD 'hidden'; GRANT CREATE ON DATABASE {database} TO far");
        server.ask_in(&near, &grant);
        let far = |parameters: &str| Settings {
            url: format!("postgresql://far:hidden@localhost:{port}/{database}{parameters}"),
            ..near.clone()
        };

        let stranger = PostgresAccounts::open(&far("?sslmode=require")).await.err().expect("not believed");
        assert!(matches!(stranger, OpenError::Failed { .. }), "{stranger}");
        let stranger = stranger.to_string();
        assert!(stranger.contains("UnknownIssuer") && !stranger.contains("hidden"), "{stranger}");

        let trusting = Settings { roots: Some(roots.path().join("chain.pem")), ..far("?sslmode=require") };
        let store = open(&trusting).await;
        add(&store, "juliet").await;
        let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'far'";
        assert_eq!(server.ask_in(&near, encrypted), "t");

        let intruder = Settings { url: trusting.url.replace("hidden", "guessed"), ..trusting };
        let refused = PostgresAccounts::open(&intruder).await.err().expect("not let in").to_string();
        assert!(refused.contains("password authentication failed") && !refused.contains("guessed"), "{refused}");
    };
    scope(0, test).await;
}

fn server_with_tls() -> (Server, u16, TempDir) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    // The server removes its own directory, and the key must be closed to others.
    let (roots, directory) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    std::fs::write(roots.path().join("chain.pem"), &chain).expect("written");
    for (name, content) in [("chain.pem", chain), ("key.pem", key)] {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, closed).expect("its owner may");
    }
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let place = directory.path().display().to_string();
    let options = format!(
        "-c listen_addresses=127.0.0.1 -c ssl=on -c ssl_cert_file={place}/chain.pem -c ssl_key_file={place}/key.pem"
    );
    (Server::start_in(directory, port, &options), port, roots)
}
