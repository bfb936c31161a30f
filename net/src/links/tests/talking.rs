//! Peers that are who they should be.

use super::*;

async fn two_nodes_find_each_other_and_talk() {
    let mut one = Node::start(1).await;
    let mut two = Node::start(2).await;
    one.dial(&[&one, &two]);
    two.dial(&[&one]);

    let up = one.wait_up(Lane::Control, Direction::Dialled).await;
    assert_eq!((up.peer, up.name.as_str(), up.address), (two.peer(), "node-2", two.address()));
    one.mesh.send_control(MemberId(2), |_| Bytes::from("beat")).unwrap();
    assert_eq!(two.wait_control().await, (one.peer(), Bytes::from("beat")));

    two.wait_up(Lane::Raft, Direction::Dialled).await;
    let long = Bytes::from(vec![7; CALL_BYTES_MAX]);
    assert_eq!(two.mesh.call(MemberId(1), long.clone(), PATIENCE).await, Ok(long));
    let too_long = Bytes::from(vec![7; CALL_BYTES_MAX + 1]);
    assert_eq!(two.mesh.call(MemberId(1), too_long, PATIENCE).await, Err(CallError::TooLong));
}

#[test]
fn two_nodes_find_each_other_on_one_thread() {
    block_on_one_thread(two_nodes_find_each_other_and_talk());
}

#[test]
fn two_nodes_find_each_other_on_two_threads() {
    block_on_two_threads(two_nodes_find_each_other_and_talk());
}

/// Sends of the control plane never wait and never queue without a link.
#[test]
fn nothing_is_sent_to_a_member_without_a_link() {
    block_on_one_thread(async {
        let one = Node::start(1).await;

        assert_eq!(one.mesh.send_control(MemberId(2), |_| Bytes::new()), Err(SendError::NotConnected));
        assert_eq!(one.mesh.call(MemberId(2), Bytes::new(), PATIENCE).await, Err(CallError::NotConnected));
        assert!(one.mesh.lane(Life { member: MemberId(2), incarnation: Incarnation(1) }).is_none());
    });
}

/// The two halves of the evidence of a crash, in their order, and the next process of the member at the same port.
#[test]
fn a_process_that_ends_is_seen_to_close_and_to_refuse_and_its_successor_is_found() {
    block_on_two_threads(async {
        let mut one = Node::start(1).await;
        let two = Node::start(2).await;
        one.dial(&[&two]);
        one.wait_up(Lane::Control, Direction::Dialled).await;

        let address = two.address();
        two.mesh.stop().await;

        let fault = one.wait_closed(Lane::Control, Direction::Dialled).await;
        assert!(fault.is_evidence(), "{fault}");
        let refused = one
            .wait(|event| match event {
                LinkEvent::Refused { member, address } => Some((member, address)),
                _ => None,
            })
            .await;
        assert_eq!(refused, (Some(MemberId(2)), address));

        let successor = Identity { address, boot: BootId(77), ..identity(2) };
        let _successor = Node::start_as(TokioTransport, successor, noise()).await;
        assert_eq!(one.wait_up(Lane::Control, Direction::Dialled).await.peer.boot, BootId(77));
    });
}

/// A cut cable is not a crash: no end of a connection and no refusal is reported, only silence.
#[test]
fn silence_closes_a_link_without_being_evidence_and_the_peer_is_found_again() {
    block_on_paused(async {
        let pipes = Pipes::default();
        let mut one = Node::start_as(pipes.clone(), identity(1), LinkSecurity::PlaintextForSimulation).await;
        let two = Node::start_as(pipes.clone(), identity(2), LinkSecurity::PlaintextForSimulation).await;
        one.dial(&[&two]);
        one.wait_up(Lane::Control, Direction::Dialled).await;

        let cut = tokio::time::Instant::now();
        pipes.frozen.store(true, Ordering::Relaxed);
        let fault = one.wait_closed(Lane::Control, Direction::Dialled).await;
        assert_eq!((fault.clone(), fault.is_evidence()), (LinkFault::Silent, false));
        assert!(cut.elapsed() <= Duration::from_millis(2500), "{:?}", cut.elapsed());

        pipes.frozen.store(false, Ordering::Relaxed);
        let healed = tokio::time::Instant::now();
        one.wait_up(Lane::Control, Direction::Dialled).await;
        assert!(healed.elapsed() <= Duration::from_millis(2500), "{:?}", healed.elapsed());
    });
}

#[test]
fn links_without_traffic_stay() {
    block_on_paused(async {
        let pipes = Pipes::default();
        let mut one = Node::start_as(pipes.clone(), identity(1), LinkSecurity::PlaintextForSimulation).await;
        let two = Node::start_as(pipes.clone(), identity(2), LinkSecurity::PlaintextForSimulation).await;
        one.dial(&[&two]);
        one.wait_up(Lane::Control, Direction::Dialled).await;
        one.wait_up(Lane::Raft, Direction::Dialled).await;

        let event = timeout(Duration::from_secs(3600), one.events.recv()).await;

        assert!(event.is_err(), "{event:?}");
    });
}

#[test]
fn many_requests_are_under_way_at_once_and_each_gets_its_own_response() {
    block_on_two_threads(async {
        let mut one = Node::start(1).await;
        let two = Node::start(2).await;
        one.dial(&[&two]);
        one.wait_up(Lane::Raft, Direction::Dialled).await;

        let calls = (0..1000u32).map(|number| {
            let mesh = one.mesh.clone();
            async move {
                let request = Bytes::from(number.to_le_bytes().to_vec());
                assert_eq!(mesh.call(MemberId(2), request.clone(), PATIENCE).await, Ok(request));
            }
        });
        futures_util::future::join_all(calls).await;
    });
}

/// What else is stuck on such a link nobody knows, so it is not used again.
#[test]
fn a_request_without_response_in_time_ends_its_link_and_the_next_link_serves() {
    block_on_two_threads(async {
        let mut one = Node::start(1).await;
        let two = Node::start(2).await;
        one.dial(&[&two]);
        one.wait_up(Lane::Raft, Direction::Dialled).await;

        let late = one.mesh.call(MemberId(2), Bytes::from("never"), Duration::from_millis(50)).await;

        assert_eq!(late, Err(CallError::TimedOut));
        assert_eq!(one.wait_closed(Lane::Raft, Direction::Dialled).await, LinkFault::CallTimedOut);
        one.wait_up(Lane::Raft, Direction::Dialled).await;
        let request = Bytes::from("again");
        assert_eq!(one.mesh.call(MemberId(2), request.clone(), PATIENCE).await, Ok(request));
    });
}

#[test]
fn requests_under_way_fail_when_their_link_ends() {
    block_on_two_threads(async {
        let mut one = Node::start(1).await;
        let two = Node::start(2).await;
        one.dial(&[&two]);
        one.wait_up(Lane::Raft, Direction::Dialled).await;

        let call = one.mesh.call(MemberId(2), Bytes::from("never"), PATIENCE);
        let (result, ()) = tokio::join!(call, two.mesh.stop());

        assert_eq!(result, Err(CallError::Closed));
    });
}

#[test]
fn a_peer_that_is_no_longer_wanted_is_let_go_and_that_is_no_evidence() {
    block_on_one_thread(async {
        let mut one = Node::start(1).await;
        let two = Node::start(2).await;
        one.dial(&[&two]);
        one.wait_up(Lane::Control, Direction::Dialled).await;

        one.mesh.set_peers(nobody());

        let fault = one.wait_closed(Lane::Control, Direction::Dialled).await;
        assert_eq!((fault.clone(), fault.is_evidence()), (LinkFault::Stopped, false));
        assert_eq!(one.mesh.send_control(MemberId(2), |_| Bytes::new()), Err(SendError::NotConnected));
    });
}

/// G13. A process that was stopped and comes back after its member has begun another life (P1, G16).
#[test]
fn a_process_that_is_over_loses_its_links_and_gets_no_others() {
    block_on_one_thread(async {
        let mut one = Node::start(1).await;
        let mut old = Node::start(2).await;
        one.dial(&[&old]);
        old.dial(&[&one]);
        old.wait_up(Lane::Control, Direction::Dialled).await;
        one.wait_up(Lane::Control, Direction::Accepted).await;

        one.mesh.ban(old.peer());

        assert_eq!(one.wait_closed(Lane::Control, Direction::Accepted).await, LinkFault::Superseded);
        assert_eq!(old.wait_refusal().await, (Direction::Dialled, HelloRefusal::Over));
        assert_eq!(one.mesh.send_control(MemberId(2), |_| Bytes::new()), Err(SendError::NotConnected));
    });
}

/// T11. A process answers as the member that it is, whoever was at its address before; nobody gets a link by asking.
#[test]
fn who_is_asked_says_which_member_it_is_and_gives_no_link() {
    block_on_one_thread(async {
        let mut node = Node::start(7).await;
        let ask = async |address, security| who_is_at(&TokioTransport, address, &security, PATIENCE).await;
        let stranger = LinkSecurity::Noise(JoinSecret::derive(b"guess"));
        let nobody = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };

        assert_eq!(ask(nobody, noise()).await, Present::Nobody);
        assert_eq!(ask(node.address(), stranger).await, Present::Nobody);
        let member = Present::Member { cluster: "chat.example".into(), member: MemberId(7) };
        assert_eq!(ask(node.address(), noise()).await, member);
        assert_eq!(node.events.try_recv().ok().filter(|event| matches!(event, LinkEvent::Up(_))), None);
    });
}
