//! Those who have not authenticated.

use std::io;
use std::time::Duration;

use cresset_core::admission::Door;
use cresset_core::limits::{AUTHENTICATION_TIME_MAX, TLS_HANDSHAKE_TIME_MAX};
use cresset_core::node::Service;
use rustls::pki_types::ServerName;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::*;
use crate::transport::{Migrate, Transport};

/// Hostile case F2: one byte at a time does not buy more time.
#[tokio::test(start_paused = true)]
async fn a_stranger_who_dawdles_is_sent_away_at_the_deadline() {
    seeded(async {
        let world = World::new().await;
        let mut stranger = world.connect();
        let started = Instant::now();

        for byte in OPEN.bytes().take(6) {
            stranger.say(&char::from(byte).to_string()).await;
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
        stranger.hear_end().await;

        assert!(started.elapsed() < AUTHENTICATION_TIME_MAX + Duration::from_secs(1), "{:?}", started.elapsed());
    })
    .await;
}

/// Hostile case F1.
#[tokio::test(start_paused = true)]
async fn a_place_is_free_again_when_a_stranger_is_gone() {
    seeded(async {
        let world = World::with(|settings| settings.admission = Admission::new(2)).await;
        let mut silent = [world.connect(), world.connect()];

        assert_eq!(world.connect().hear_end().await, "");
        for stranger in &mut silent {
            stranger.hear_end().await;
        }
        drop(silent);
        world.settle_down().await;

        assert_eq!(world.settings.admission.connections(), 0);
        assert_eq!(world.settings.router.session_count(), 0);
        world.log_in("romeo", "orchard").await;
    })
    .await;
}

/// T21. What they find is what holds when they open a stream, not when they connect.
#[tokio::test(start_paused = true)]
async fn who_is_not_served_hears_it_in_answer_to_the_header_and_nothing_else() {
    seeded(async {
        let world = World::new().await;
        world.plane.serve(Service::Close);
        let (mut client, mut patient) = (world.connect(), world.connect());
        assert!(client.hears_nothing(Duration::from_secs(1)).await);

        client.say(OPEN).await;
        let heard = client.hear_end().await;
        assert!(heard.contains("<stream:error><system-shutdown "), "{heard}");
        assert!(!heard.contains("features"), "{heard}");

        world.plane.serve(Service::Serve);
        patient.log_in("romeo").await;
    })
    .await;
}

/// T17.
#[tokio::test(start_paused = true)]
async fn who_comes_to_a_drained_node_is_sent_elsewhere_before_it_negotiates() {
    seeded(async {
        let world = World::with(with_tls).await;
        let mut stays = encrypt(world.connect_with(64 * 1024, ListenerKind::DirectTls)).await;
        stays.log_in("juliet").await;
        stays.bind("balcony").await;
        world.settings.router.set_door(Door::Elsewhere(SocketAddr::from(([127, 0, 0, 1], 5223))));

        let mut in_clear = world.connect();
        in_clear.say(OPEN).await;
        let mut encrypted = encrypt(world.connect_with(64 * 1024, ListenerKind::DirectTls)).await;
        encrypted.say(OPEN).await;

        for heard in [in_clear.hear_end().await, encrypted.hear_end().await] {
            assert!(heard.contains(">127.0.0.1:5223</see-other-host>"), "{heard}");
            assert!(!heard.contains("features"), "{heard}");
        }
        assert!(stays.hears_nothing(Duration::from_secs(1)).await);
    })
    .await;
}

/// T12. The client is gone without a word: nothing comes from it, and what is sent to it seems to arrive.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_without_a_word_is_given_up() {
    seeded(async {
        let world = World::new().await;
        let mut gone = world.available("romeo", "phone").await;
        let started = Instant::now();

        let heard = gone.hear_end_within(Duration::from_secs(600)).await;

        assert!(heard.contains("<ping xmlns='urn:xmpp:ping'/>") && heard.contains("<connection-timeout "), "{heard}");
        assert_eq!(started.elapsed().as_secs(), 210);
        let mut juliet = world.available("juliet", "balcony").await;
        juliet.chat("romeo@capulet.example", "m1").await;
        world.settle_down().await;
        assert_eq!(world.stored_for("romeo").await, 1);
    })
    .await;
}

/// Hostile case B1: what came in clear behind `<starttls/>` is not heard, neither in clear nor within TLS.
#[tokio::test(start_paused = true)]
async fn what_is_slipped_in_behind_starttls_is_not_heard() {
    seeded(async {
        let world = World::with(with_tls).await;
        let mut client = world.connect();
        client.say(OPEN).await;
        client.hear("</stream:features>").await;

        let evil = format!("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{OPEN}<presence/>");
        client.say(&evil).await;
        client.hear("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await;
        assert!(client.heard.is_empty(), "{}", client.heard);
        let mut client = encrypt(client).await;

        assert!(client.hears_nothing(Duration::from_secs(2)).await);
        client.log_in("romeo").await;
        client.bind("orchard").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_logs_in_over_direct_tls() {
    seeded(async {
        let world = World::with(with_tls).await;

        let mut client = encrypt(world.connect_with(64 * 1024, ListenerKind::DirectTls)).await;

        client.log_in("romeo").await;
        client.bind("orchard").await;
    })
    .await;
}

/// Hostile case B8.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_not_continued_is_given_up() {
    seeded(async {
        let world = World::with(with_tls).await;
        let started = Instant::now();
        let mut client = world.connect();
        client.say(OPEN).await;
        client.hear("</stream:features>").await;
        client.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await;
        client.hear("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await;

        client.hear_end().await;

        assert!(started.elapsed() < TLS_HANDSHAKE_TIME_MAX + Duration::from_secs(1));
    })
    .await;
}

/// Hostile case F13: while there are no file descriptors, nobody new comes in, and afterwards everybody does.
#[tokio::test(start_paused = true)]
async fn accepting_goes_on_after_the_descriptors_ran_out() {
    seeded(async {
        let world = World::new().await;
        let (queue, waiting) = mpsc::channel(1);
        let listener = Listener { listener: Short { failures: 20, waiting }, kind: ListenerKind::StartTls };
        let (_stop, stopped) = watch::channel(false);
        runtime::spawn(serve(ShortOfDescriptors, listener, ClientSettings::clone(&world.settings), stopped));

        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        queue.send(theirs).await.unwrap();

        let mut client = Client { stream: Box::new(ours), heard: String::new() };
        client.log_in("romeo").await;
    })
    .await;
}

/// O12.3: an attacker on one address gets slower and slower, and is refused when it hurries. The owner logs in from another
/// address at once.
#[tokio::test(start_paused = true)]
async fn passwords_are_tried_slowly_and_the_owner_gets_in() {
    seeded(async {
        let world = World::new().await;
        let attacker = SocketAddr::from(([192, 0, 2, 1], 1));
        let started = Instant::now();
        let (mut wrong, mut refused) = (0, 0);
        // Eight connections at a time, each with the five tries that a stream has.
        for _ in 0..4 {
            let mut streams: Vec<Client> =
                (0..8).map(|_| world.connect_from(attacker, 64 * 1024, ListenerKind::StartTls)).collect();
            for stream in &mut streams {
                stream.say(OPEN).await;
                stream.hear("</stream:features>").await;
                stream.say(&GUESS.repeat(5)).await;
            }
            // Whose turn does not come in time is sent away by the deadline of authentication.
            for stream in &mut streams {
                let heard = stream.hear_end().await;
                wrong += heard.matches("<not-authorized/>").count();
                refused += heard.matches("<temporary-auth-failure/>").count();
            }
        }

        let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
        assert!(wrong <= 10 + seconds / 5 + 3 && refused > 50, "{wrong} in {seconds} s, {refused} refused");

        let mut owner = world.connect_from(SocketAddr::from(([192, 0, 2, 2], 1)), 64 * 1024, ListenerKind::StartTls);
        let started = Instant::now();
        owner.log_in("romeo").await;
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    })
    .await;
}

/// A stranger who goes while he waits for his turn is gone when it comes.
#[tokio::test(start_paused = true)]
async fn a_place_is_free_again_when_somebody_goes_whose_turn_has_not_come() {
    seeded(async {
        let world = World::new().await;
        let mut streams = Vec::new();
        for _ in 0..13 {
            let mut stream = world.connect();
            stream.say(OPEN).await;
            stream.hear("</stream:features>").await;
            stream.say(&GUESS.repeat(2)).await;
            streams.push(stream);
        }
        world.settle_down().await;

        drop(streams);
        tokio::time::sleep(Duration::from_secs(16)).await;

        assert_eq!(world.settings.router.session_count(), 0);
    })
    .await;
}

/// A wrong password of Romeo's.
const GUESS: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHdyb25n</auth>";

impl Migrate for DuplexStream {}

/// A network on which accepting fails so many times.
#[derive(Clone)]
struct ShortOfDescriptors;

struct Short {
    failures: u32,
    waiting: mpsc::Receiver<DuplexStream>,
}

impl Transport for ShortOfDescriptors {
    type Stream = DuplexStream;
    type Listener = Short;

    async fn connect(&self, _address: SocketAddr) -> io::Result<DuplexStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn bind(&self, _address: SocketAddr) -> io::Result<Short> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn accept(&self, listener: &mut Short) -> io::Result<(DuplexStream, SocketAddr)> {
        if listener.failures > 0 {
            listener.failures -= 1;
            // EMFILE: too many open files.
            return Err(io::Error::from_raw_os_error(24));
        }
        let stream = listener.waiting.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((stream, SocketAddr::from(ADDRESS)))
    }

    fn local_address(&self, _listener: &Short) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(ADDRESS))
    }
}

fn with_tls(settings: &mut ClientSettings) {
    let certificate = Certificate::self_signed("capulet.example").unwrap();
    settings.tls = Some(Arc::new(ServerTls::new(certificate).unwrap()));
    let session = SessionSettings { tls: TlsPolicy::Required, ..SessionSettings::clone(&settings.session) };
    settings.session = Arc::new(session);
}

async fn encrypt(client: Client) -> Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    let name = ServerName::try_from("capulet.example").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, client.stream).await.unwrap();
    Client { stream: Box::new(stream), heard: String::new() }
}

/// Trusts every certificate: it is not what is tested.
#[derive(Debug)]
struct Trusting;

impl rustls::client::danger::ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _certificate: &rustls::pki_types::CertificateDer<'_>,
        _others: &[rustls::pki_types::CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &rustls::pki_types::CertificateDer<'_>,
        _signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &rustls::pki_types::CertificateDer<'_>,
        _signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
