use rand::SeedableRng;

use super::*;

#[test]
fn two_nodes_that_start_at_once_find_each_other() {
    let (mut a, mut b) = (node(1), node(2));
    a.handle_wanted(at(0));
    b.handle_wanted(at(0));

    let found = exchange(at(1), &mut [&mut a, &mut b]);

    assert_eq!(found, [vec![address(2)], vec![address(1)]]);
}

#[test]
fn a_member_that_wants_nobody_answers_and_asks_nothing() {
    let (mut member, mut newcomer) = (node(1), node(2));
    assert_eq!((member.poll_timeout(), member.poll_output()), (None, None));
    newcomer.handle_wanted(at(0));

    let found = exchange(at(1), &mut [&mut member, &mut newcomer]);

    assert_eq!(found, [vec![], vec![address(1)]]);
}

#[test]
fn it_is_asked_again_less_and_less_often_until_it_is_enough() {
    let mut node = node(1);
    node.handle_wanted(at(0));
    let mut asked = Vec::new();
    while let Some(due) = node.poll_timeout().filter(|_| asked.len() < 7) {
        node.handle_timeout(due);
        asked.push(due.since(Uptime::ZERO).as_secs());
    }
    assert_eq!(asked, [2, 6, 14, 30, 60, 90, 120]);

    node.handle_satisfied();
    assert_eq!(node.poll_timeout(), None);
    assert_eq!(questions(&mut node), 8);
}

#[test]
fn calls_that_come_too_early_or_twice_change_nothing() {
    let mut node = node(1);
    node.handle_timeout(at(0));
    assert_eq!(node.poll_output(), None);

    node.handle_wanted(at(0));
    node.handle_wanted(at(10));
    node.handle_timeout(at(1999));

    assert_eq!(questions(&mut node), 1);
    assert_eq!(node.poll_timeout(), Some(at(2000)));
}

/// G27. An attacker records a whole conversation and plays it to a node that starts later: nobody is found, though the
/// packets are authentic.
#[test]
fn a_recorded_conversation_leads_a_later_node_nowhere() {
    let (mut a, mut b) = (node(1), node(2));
    a.handle_wanted(at(0));
    let question = sent(&mut a);
    b.handle_packet(at(0), IP, &question);
    let answer = sent(&mut b);
    let mut later = node(3);
    later.handle_wanted(at(0));
    drop(sent(&mut later));

    for _ in 0..100 {
        later.handle_packet(at(1), IP, &question);
        later.handle_packet(at(1), IP, &answer);
    }

    assert!(matches!(later.poll_output(), Some(Output::Send(_))), "the question is answered, once");
    assert_eq!(later.poll_output(), None);
    assert_eq!(later.counts().replayed, 99 + 100);
}

#[test]
fn an_answer_that_is_repeated_or_too_old_adds_nothing() {
    let (mut a, mut b) = (node(1), node(2));
    a.handle_wanted(at(0));
    b.handle_packet(at(0), IP, &sent(&mut a));
    let answer = sent(&mut b);
    a.handle_packet(at(1), IP, &answer);
    a.handle_packet(at(1), IP, &answer);
    assert_eq!(a.poll_output(), Some(Output::Found([address(2)].into())));
    assert_eq!(a.poll_output(), None);

    for _ in 0..OPEN_QUESTIONS_MAX {
        let due = a.poll_timeout().expect("it asks on");
        a.handle_timeout(due);
        drop(sent(&mut a));
    }
    a.handle_packet(at(200_000), IP, &answer);
    assert_eq!((a.counts().replayed, a.poll_output()), (1, None));
}

#[test]
fn packets_of_others_are_ignored_and_counted_by_reason() {
    let mut node = node(1);
    let mut stranger = Multicast::new(
        Settings::default(),
        DiscoveryKey::derive(b"another secret", "chat"),
        BootId(7),
        address(7),
        StdRng::seed_from_u64(7),
    );
    stranger.handle_wanted(at(0));
    let question = sent(&mut stranger);
    node.handle_wanted(at(0));
    let own = sent(&mut node);

    node.handle_packet(at(0), IP, &question);
    node.handle_packet(at(0), IP, b"\0\0\0\0\x05dev of Hazelcast");
    node.handle_packet(at(0), IP, &[]);
    node.handle_packet(at(0), IP, &own);

    let expected = Counts { foreign: 2, unauthenticated: 1, own: 1, ..Counts::default() };
    assert_eq!((node.counts(), node.poll_output()), (expected, None));
}

#[test]
fn who_is_not_trusted_is_not_listened_to_even_with_the_key() {
    let trusted = vec!["10.0.0.*".parse().expect("a pattern")];
    let settings = Settings { trusted, ..Settings::default() };
    let mut node = Multicast::new(settings, key(), BootId(1), address(1), StdRng::seed_from_u64(1));
    let mut asking = self::node(2);
    asking.handle_wanted(at(0));
    let question = sent(&mut asking);

    node.handle_packet(at(0), IpAddr::from([192, 0, 2, 1]), &question);
    assert_eq!((node.counts().untrusted, node.poll_output()), (1, None));

    node.handle_packet(at(0), IpAddr::from([10, 0, 0, 2]), &question);
    assert!(matches!(node.poll_output(), Some(Output::Send(_))));
}

/// A node that repeats whatever it hears would multiply a flood by the number of members.
#[test]
fn a_flood_of_questions_is_answered_in_bounds_and_the_next_second_is_a_new_one() {
    let (mut node, mut asking) = (node(1), node(2));
    let mut ask = |node: &mut Multicast, now: Uptime| {
        asking.handle_satisfied();
        asking.handle_wanted(now);
        node.handle_packet(now, IP, &sent(&mut asking));
    };
    for _ in 0..1000 {
        ask(&mut node, at(5));
    }
    assert_eq!(std::iter::from_fn(|| node.poll_output()).count(), ANSWERS_PER_SECOND_MAX as usize);
    assert_eq!(node.counts().excess, 1000 - u64::from(ANSWERS_PER_SECOND_MAX));

    ask(&mut node, at(1005));
    assert!(node.poll_output().is_some());
    for second in 2..100 {
        for _ in 0..ANSWERS_PER_SECOND_MAX {
            ask(&mut node, at(second * 1000 + 500));
        }
    }
    assert_eq!(node.answered.len(), ANSWERED_MAX);
    assert_eq!(node.answered_in_order.len(), ANSWERED_MAX);
}

const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

/// Hands every packet to everybody, the sender included, until all is quiet; then what each has found.
fn exchange(now: Uptime, nodes: &mut [&mut Multicast]) -> Vec<Vec<SocketAddr>> {
    let mut found: Vec<BTreeSet<SocketAddr>> = vec![BTreeSet::new(); nodes.len()];
    loop {
        let mut packets = Vec::new();
        for (number, node) in nodes.iter_mut().enumerate() {
            while let Some(output) = node.poll_output() {
                match output {
                    Output::Send(packet) => packets.push(packet),
                    Output::Found(addresses) => found[number] = addresses,
                    Output::Ask(..) => panic!("nothing is looked up"),
                }
            }
        }
        if packets.is_empty() {
            return found.into_iter().map(|addresses| addresses.into_iter().collect()).collect();
        }
        for node in nodes.iter_mut() {
            packets.iter().for_each(|packet| node.handle_packet(now, IP, packet));
        }
    }
}

fn questions(node: &mut Multicast) -> usize {
    std::iter::from_fn(|| node.poll_output()).filter(|output| matches!(output, Output::Send(_))).count()
}

fn sent(node: &mut Multicast) -> Vec<u8> {
    match node.poll_output() {
        Some(Output::Send(packet)) => packet,
        other => panic!("a packet and not {other:?}"),
    }
}

fn node(number: u8) -> Multicast {
    let random = StdRng::seed_from_u64(number.into());
    Multicast::new(Settings::default(), key(), BootId(number.into()), address(number), random)
}

fn key() -> DiscoveryKey {
    DiscoveryKey::derive(b"secret", "chat")
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 5701))
}

fn at(milliseconds: u64) -> Uptime {
    Uptime::from_millis(milliseconds)
}
