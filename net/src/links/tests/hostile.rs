//! Strangers, misconfigured nodes and peers that misbehave (hostile-input group G).
//!
//! Links have no certificates and no join tokens: members prove that they know the join secret of their cluster, in a handshake
//! that cannot be replayed. So nothing expires with the clock (G2, G25) or has to be rotated while they talk (G24), and no
//! token can be stolen (G5).

use cresset_core::fencing::Times;
use cresset_core::ids::{BootId, RouteId, Sequence};
use cresset_core::routing::{DataAnswer, DataFrame, Destination, Home, NumberRange};
use cresset_core::stanza::{Kind, MessageType, Stanza};
use cresset_core::wire::{self, LinkFormat};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::links::frame::FrameKind;
use crate::links::handshake::{self, Acquainted};
use crate::links::hello::Hello;
use crate::links::wire::Reading;

/// Both meet under `change`d identities and security, and both say why they do not talk.
async fn both_refuse(change: impl FnOnce(&mut Identity, &mut LinkSecurity)) -> (HelloRefusal, HelloRefusal) {
    let mut listens = Node::start(1).await;
    let (mut identity, mut security) = (identity(2), noise());
    change(&mut identity, &mut security);
    let mut dials = Node::start_as(TokioTransport, identity, security).await;
    dials.dial(&[&listens]);

    let (dialled, at_dialler) = dials.wait_refusal().await;
    let (accepted, at_listener) = listens.wait_refusal().await;
    assert_eq!((dialled, accepted), (Direction::Dialled, Direction::Accepted));
    (at_dialler, at_listener)
}

/// G2.
#[test]
fn a_node_with_another_secret_is_refused_and_both_say_so() {
    block_on_one_thread(async {
        let refusals = both_refuse(|_, security| *security = LinkSecurity::Noise(JoinSecret::derive(b"guess"))).await;

        assert_eq!(refusals, (HelloRefusal::WrongSecret, HelloRefusal::WrongSecret));
    });
}

/// G20, G21.
#[test]
fn a_node_without_encryption_is_refused_and_both_say_so() {
    block_on_one_thread(async {
        let refusals = both_refuse(|_, security| *security = LinkSecurity::PlaintextForSimulation).await;

        assert_eq!(refusals, (HelloRefusal::OtherSecurity, HelloRefusal::OtherSecurity));
    });
}

/// G4.
#[test]
fn a_node_of_another_cluster_is_refused_and_both_name_both() {
    block_on_one_thread(async {
        let (dials, listens) = both_refuse(|identity, _| identity.cluster = "other.example".into()).await;

        let (one, two) = ("chat.example".to_owned(), "other.example".to_owned());
        assert_eq!(dials, HelloRefusal::WrongCluster { ours: two.clone(), theirs: one.clone() });
        assert_eq!(listens, HelloRefusal::WrongCluster { ours: one, theirs: two });
    });
}

/// A file that two machines see is damaged by both.
#[test]
fn nodes_on_two_machines_with_one_sqlite_file_are_refused_and_both_say_what_to_do() {
    block_on_one_thread(async {
        let refusals = both_refuse(|identity, _| identity.machine = "another".into()).await;

        assert_eq!(refusals, (HelloRefusal::OtherMachine, HelloRefusal::OtherMachine));
        assert!(refusals.0.to_string().contains("keeps them in PostgreSQL"));
    });
}

/// T9, T10. A node with the wrong file must not join without a word.
#[test]
fn another_domain_name_or_lease_is_refused_and_both_name_both() {
    block_on_one_thread(async {
        let lease = |times: Times| Times { lease: Duration::from_secs(12), ..times };
        let others = [
            Alike { domain: "other.example".into(), ..alike() },
            Alike { name: "other".into(), ..alike() },
            Alike { times: lease(alike().times), ..alike() },
        ];
        for other in others {
            let (dials, listens) = both_refuse(|identity, _| identity.alike = Some(other.clone())).await;

            assert_eq!(Some(dials), other.difference(&alike()).map(HelloRefusal::NotAlike));
            assert_eq!(Some(listens), alike().difference(&other).map(HelloRefusal::NotAlike));
        }
    });
}

/// G11.
#[test]
fn versions_without_overlap_are_refused_and_both_name_both() {
    block_on_one_thread(async {
        let later = VersionRange { min: 4, max: 5 };
        let (dials, listens) = both_refuse(|identity, _| identity.versions = later).await;

        let usual = VersionRange { min: 1, max: 3 };
        assert_eq!(dials, HelloRefusal::IncompatibleVersions { ours: later, theirs: usual });
        assert_eq!(listens, HelloRefusal::IncompatibleVersions { ours: usual, theirs: later });
    });
}

/// G11. A node whose program is older than what the cluster has agreed on is not led to believe that it could join.
#[test]
fn who_does_not_follow_the_agreed_version_is_refused_and_both_name_both() {
    block_on_one_thread(async {
        let mut member = Node::start(1).await;
        assert!(member.mesh.agree_on_version(2) && !member.mesh.agree_on_version(2));
        let former = Identity { versions: VersionRange { min: 1, max: 1 }, ..identity(2) };
        let mut old = Node::start_as(TokioTransport, former, noise()).await;
        old.dial(&[&member]);

        let (_, at_old) = old.wait_refusal().await;
        let (_, at_member) = member.wait_refusal().await;

        let (theirs, its) = (VersionRange { min: 2, max: 3 }, VersionRange { min: 1, max: 1 });
        assert_eq!(at_old, HelloRefusal::IncompatibleVersions { ours: its, theirs });
        assert_eq!(at_member, HelloRefusal::IncompatibleVersions { ours: theirs, theirs: its });
        assert!(at_old.to_string().contains("ours are 1-1, theirs are 2-3; update the program"), "{at_old}");

        let between = Identity { versions: VersionRange { min: 2, max: 2 }, ..identity(3) };
        let fits = Node::start_as(TokioTransport, between, noise()).await;
        fits.dial(&[&member]);
        let up = member.wait_up(Lane::Control, Direction::Accepted).await;
        assert_eq!((up.version, up.program.as_str()), (2, "0.3.0"));
    });
}

/// G1, G5. A first message that was recorded and is sent again proves nothing: there is no link, and no member is disturbed.
#[test]
fn garbage_and_replays_get_no_link_and_disturb_nobody() {
    block_on_two_threads(async {
        let mut one = Node::start(1).await;
        let two = Node::start(2).await;
        two.dial(&[&one]);
        one.wait_up(Lane::Control, Direction::Accepted).await;

        let garbage: [&[u8]; 6] = [
            b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
            b"<?xml version='1.0'?><stream:stream>",
            &[0xff; 4096],
            b"CRESSET\x01N\xff\xff",
            b"CRESSET\x01N\x00\x00",
            b"CRESSET\x02N",
        ];
        for bytes in garbage {
            let mut stream = TcpStream::connect(one.address()).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            // A reset is as good an answer as the end of the stream.
            let _ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is not kept waiting");
            assert!(answer.len() <= 2, "{answer:?}");
        }

        assert_still_linked(&mut one, &two).await;
    });
}

/// G28. Slow strangers do not keep a peer out.
#[test]
fn connections_that_never_say_hello_do_not_keep_peers_out() {
    block_on_two_threads(async {
        let one = Node::start(1).await;
        let mut strangers = Vec::new();
        for _ in 0..300 {
            let mut stream = TcpStream::connect(one.address()).await.unwrap();
            stream.write_all(b"CRES").await.unwrap();
            strangers.push(stream);
        }

        let mut two = Node::start(2).await;
        two.dial(&[&one]);
        for lane in [Lane::Control, Lane::Raft] {
            two.wait_up(lane, Direction::Dialled).await;
        }
    });
}

/// O6. The oldest of those who shook hands was dropped for the next, also if it had proven that it is a peer.
#[test]
fn a_peer_that_has_proven_itself_is_not_dropped_for_strangers() {
    block_on_two_threads(async {
        let one = Node::start(1).await;
        let (proven, is_proven) = oneshot::channel();
        let (go_on, goes_on) = oneshot::channel();
        let stream = TcpStream::connect(one.address()).await.unwrap();
        let slow = HoldsBack { stream, proven: Some(proven), goes_on: Some(goes_on), writes: 0 };
        let ours = Hello { identity: identity(2), lane: Lane::Control };
        let dialling = runtime::spawn(async move { handshake::dial(Box::new(slow), &noise(), &ours).await.map(drop) });
        is_proven.await.unwrap();

        let mut strangers = Vec::new();
        for _ in 0..600 {
            let mut stranger = TcpStream::connect(one.address()).await.unwrap();
            // The system keeps the silent to itself for a second, of which the peer has few.
            stranger.write_all(&[0]).await.unwrap();
            strangers.push(stranger);
        }
        let mut rest = Vec::new();
        let _ended = timeout(PATIENCE, strangers[0].read_to_end(&mut rest)).await.expect("its seat was needed");
        go_on.send(()).unwrap();

        assert_eq!(dialling.await.unwrap(), Ok(()));
    });
}

impl Migrate for HoldsBack {}

/// The stream of a peer that is far away: what it writes after its first message waits.
struct HoldsBack {
    stream: TcpStream,
    proven: Option<oneshot::Sender<()>>,
    goes_on: Option<oneshot::Receiver<()>>,
    writes: usize,
}

impl AsyncRead for HoldsBack {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, bytes)
    }
}

impl AsyncWrite for HoldsBack {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes += 1;
        if self.writes > 1
            && let Some(goes_on) = &mut self.goes_on
        {
            let told = goes_on.poll_unpin(cx).is_ready();
            self.proven.take().into_iter().for_each(|proven| proven.send(()).unwrap());
            if !told {
                return Poll::Pending;
            }
            self.goes_on = None;
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[test]
fn a_handshake_that_is_never_finished_ends_in_five_seconds() {
    block_on_paused(async {
        let pipes = Pipes::default();
        let one = Node::start_as(pipes.clone(), identity(1), noise()).await;
        let mut stranger = pipes.connect(one.address()).await.unwrap();
        stranger.write_all(b"CRESSET").await.unwrap();

        let begun = tokio::time::Instant::now();
        let mut answer = Vec::new();
        stranger.read_to_end(&mut answer).await.unwrap();

        assert_eq!((answer.len(), begun.elapsed().as_secs()), (0, 5));
    });
}

/// A peer that knows the secret and sends what no peer sends.
struct Rogue {
    wire: super::super::wire::Wire,
}

impl Rogue {
    async fn dial(address: SocketAddr, lane: Lane) -> Rogue {
        let stream = TcpStream::connect(address).await.unwrap();
        let ours = Hello { identity: Identity { boot: BootId(666), ..identity(66) }, lane };
        let Acquainted { wire, .. } = handshake::dial(Box::new(stream), &noise(), &ours).await.unwrap();
        Rogue { wire }
    }

    /// Sends until the other side closes.
    async fn send(&mut self, kind: FrameKind, parts: &[&[u8]]) {
        self.wire.push(kind, parts);
        let until_closed = async { while self.wire.turn(Reading::On).await.is_ok() {} };
        timeout(PATIENCE, until_closed).await.expect("the other side closes");
    }
}

impl Rogue {
    /// Waits until this answer came.
    async fn hears(&mut self, expected: &DataAnswer) {
        let heard = async {
            loop {
                while let Some(frame) = self.wire.next_frame().unwrap() {
                    let is_answer = frame.kind == FrameKind::Data;
                    if is_answer
                        && DataAnswer::decode(frame.payload, LinkFormat::Third).unwrap().as_ref() == Some(expected)
                    {
                        return;
                    }
                }
                self.wire.turn(Reading::On).await.unwrap();
            }
        };
        timeout(PATIENCE, heard).await.expect("it is answered");
    }
}

impl Node {
    async fn wait_rogue_closed(&mut self) -> LinkFault {
        self.wait(|event| match event {
            LinkEvent::Closed { peer, fault, .. } if peer.member == MemberId(66) => Some(fault),
            _ => None,
        })
        .await
    }
}

/// G7, G11.
#[test]
fn frames_that_are_too_long_or_malformed_close_their_link_only() {
    block_on_two_threads(async {
        let mut one = Node::start(1).await;
        let mut two = Node::start(2).await;
        two.dial(&[&one]);
        two.wait_up(Lane::Control, Direction::Dialled).await;

        let too_long = vec![0; Lane::Control.payload_bytes_max() + 1];
        let cases: [(Lane, FrameKind, &[u8]); 3] = [
            (Lane::Control, FrameKind::Control, &too_long),
            (Lane::Raft, FrameKind::Request, b"short"),
            (Lane::Raft, FrameKind::Request, &too_long),
        ];
        for (lane, kind, payload) in cases {
            let mut rogue = Rogue::dial(one.address(), lane).await;
            rogue.send(kind, &[payload]).await;
            let fault = one.wait_rogue_closed().await;
            assert!(matches!(fault, LinkFault::FrameLength { .. } | LinkFault::Malformed(_)), "{fault}");
        }

        assert_still_linked(&mut one, &two).await;
    });
}

/// G11. The link ends by name, and nothing else does.
#[test]
fn a_frame_of_a_format_that_was_not_agreed_on_closes_its_link_only() {
    block_on_two_threads(async {
        let mut one = Node::start(1).await;
        let mut two = Node::start(2).await;
        two.dial(&[&one]);
        two.wait_up(Lane::Control, Direction::Dialled).await;
        let peer = Peer { member: MemberId(66), boot: BootId(666) };
        one.mesh.set_current(peer, Incarnation(666));

        for (lane, kind) in [(Lane::Control, FrameKind::Control), (Lane::Data, FrameKind::Data)] {
            let mut rogue = Rogue::dial(one.address(), lane).await;
            rogue.wire.disagree(LinkFormat::First);
            rogue.send(kind, &[b"of another version"]).await;
            assert_eq!(one.wait_rogue_closed().await, LinkFault::FrameFormat { found: 1, agreed: 3 });
        }
        // The frame is of the agreed format, and what it carries is not.
        let mut rogue = Rogue::dial(one.address(), Lane::Data).await;
        rogue.send(FrameKind::Data, &[&[1, 1, 1, 70, 0]]).await;
        assert_eq!(one.wait_rogue_closed().await, LinkFault::FrameFormat { found: 1, agreed: 3 });

        assert_still_linked(&mut one, &two).await;
    });
}

/// G11. The stanza goes back to the home, which decides again; what follows it is delivered.
#[test]
fn a_parcel_for_an_unknown_kind_of_destination_is_given_back_and_the_lane_goes_on() {
    block_on_two_threads(async {
        let mut one = Node::start(1).await;
        let peer = Peer { member: MemberId(66), boot: BootId(666) };
        one.mesh.set_current(peer, Incarnation(666));
        one.mesh.applied(LogIndex(9));
        let mut rogue = Rogue::dial(one.address(), Lane::Data).await;
        let stanza = || Stanza::new(Kind::Message(MessageType::Chat));
        let route = RouteId { index: LogIndex(7), position: 0 };

        let mut unknown = vec![LinkFormat::Third.number()];
        wire::append(&(0_u8, Sequence(1), 200_u8, "juliet@example.org", stanza(), None::<StanzaName>), &mut unknown);
        let mut known = Vec::new();
        let destination = Destination::Session(route);
        let parcel = DataFrame::Parcel { number: Sequence(2), destination, stanza: stanza(), name: None };
        parcel.encode_into(LinkFormat::Third, &mut known);
        for frame in [&[3, 99, 1][..], &unknown, &known] {
            rogue.wire.push(FrameKind::Data, &[frame]);
        }

        let number = Sequence(1);
        let returned =
            DataAnswer::Returned { ranges: vec![NumberRange { first: number, last: number }], index: LogIndex(9) };
        rogue.hears(&returned).await;
        let home = Home::Member { member: MemberId(66), incarnation: Incarnation(666), number: Sequence(2) };
        assert_eq!(one.told().await, Told::Delivered(Parcel { stanza: stanza(), route, home }));
    });
}

/// G28. Each of its connections costs a handshake; the others go on talking meanwhile.
#[test]
fn a_member_that_connects_again_and_again_starves_nobody() {
    block_on_two_threads(async {
        let mut one = Node::start(1).await;
        let mut two = Node::start(2).await;
        two.dial(&[&one]);
        two.wait_up(Lane::Control, Direction::Dialled).await;

        for _ in 0..100 {
            drop(Rogue::dial(one.address(), Lane::Control).await);
            one.wait(|event| match event {
                LinkEvent::Closed { peer, .. } if peer.member == MemberId(66) => Some(()),
                _ => None,
            })
            .await;
        }

        assert_still_linked(&mut one, &two).await;
    });
}

/// A response is only taken for a request that was sent.
#[test]
fn a_response_without_a_request_closes_the_link() {
    block_on_one_thread(async {
        let listener = TokioTransport.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut one = Node::start(1).await;
        one.mesh.set_peers([address].into());

        let rogue = identity(66);
        let rogue = async {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let accepted = handshake::accept(Box::new(stream), &noise(), &rogue, |_| Ok(())).await;
                let (Acquainted { mut wire, theirs, .. }, ()) = accepted.unwrap();
                if theirs.lane == Lane::Raft {
                    wire.push(FrameKind::Response, &[&9u64.to_le_bytes(), b"unasked"]);
                    while wire.turn(Reading::On).await.is_ok() {}
                }
            }
        };
        tokio::select! {
            biased;
            fault = one.wait_closed(Lane::Raft, Direction::Dialled) => {
                assert!(matches!(fault, LinkFault::Malformed(_)), "{fault}");
            }
            () = rogue => unreachable!("it accepts for ever"),
        }
    });
}

/// A control plane that does not listen, under a flood (G17, G18): the flood is pushed back on the sender, Raft goes on.
#[test]
fn a_flood_on_one_lane_is_pushed_back_and_delays_no_other() {
    block_on_two_threads(async {
        let mut one = Node::start(1).await;
        let two = Node::start(2).await;
        one.dial(&[&two]);
        one.wait_up(Lane::Raft, Direction::Dialled).await;
        one.wait_up(Lane::Control, Direction::Dialled).await;

        // Nobody takes events from `two`, so the flood fills its queue, the socket and the queue of `one`.
        let message = Bytes::from(vec![7; 512 * 1024]);
        let flood = async {
            while one.mesh.send_control(MemberId(2), |_| message.clone()) != Err(SendError::Full) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, flood).await.expect("the queue fills");

        let request = Bytes::from("vote");
        assert_eq!(one.mesh.call(MemberId(2), request.clone(), PATIENCE).await, Ok(request));
    });
}

/// What was done to one of two nodes did nothing to the link between them.
async fn assert_still_linked(one: &mut Node, two: &Node) {
    two.mesh.send_control(MemberId(1), |_| Bytes::from("still here")).unwrap();
    assert_eq!(one.wait_control().await.0, two.peer());
}
