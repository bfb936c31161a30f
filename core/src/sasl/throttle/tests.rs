//! O12.3: guessing is slow, and the owner gets in.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

/// The report of the trial: 600 wrong passwords for one account from one address, checked within 1.5 seconds.
#[test]
fn six_hundred_guesses_from_one_address_are_few() {
    let mut world = World::new();

    for _ in 0..600 {
        world.guess("romeo", ip(1));
        world.passes(2);
    }

    assert!(world.checked <= 13, "{} were checked", world.checked);
    assert_eq!(world.checked + world.refused, 600);
}

/// An attacker that waits its turn gets one try in five seconds.
#[test]
fn guesses_that_wait_are_as_slow_as_the_rule_says() {
    let mut world = World::new();

    while world.now < Uptime::from_millis(600_000) {
        let wait = world.guess("romeo", ip(1)).unwrap_or(TRY_WAIT_MAX);
        world.passes(u64::try_from(wait.as_millis()).expect("seconds") + 1);
    }

    assert!((100..=140).contains(&world.checked), "{}", world.checked);
}

#[test]
fn the_owner_gets_in_at_once_from_another_address() {
    let mut world = World::new();
    for _ in 0..600 {
        world.guess("romeo", ip(1));
    }

    assert_eq!(world.log_in("romeo", ip(2)), Some(Duration::ZERO));
    assert_eq!(world.log_in("juliet", ip(2)), Some(Duration::ZERO));
}

/// Tries of which nothing is known yet count as if they had failed: to send them all at once wins nothing.
#[test]
fn guesses_at_one_time_are_no_faster_than_one_after_the_other() {
    let mut world = World::new();

    let begun: Vec<Verdict> = (0..100).map(|_| world.begin("romeo", ip(1))).collect();

    let at_once = begun.iter().filter(|verdict| matches!(verdict, Verdict::Go(Duration::ZERO, _))).count();
    let later = begun.iter().filter(|verdict| matches!(verdict, Verdict::Go(..))).count() - at_once;
    assert_eq!((at_once, later), (10, 3));
}

/// From one host, each account twice: the account is not what they share.
#[test]
fn guesses_for_many_accounts_from_one_address_are_slowed() {
    let mut world = World::new();

    for account in 0..500 {
        world.guess(&format!("user{account}"), ip(1));
    }

    assert!((60..=70).contains(&world.checked), "{}", world.checked);
    assert_eq!(world.log_in("romeo", ip(2)), Some(Duration::ZERO));
}

/// A /64 is what one subscriber has, so it has the debts of one address.
#[test]
fn addresses_of_one_slash_64_are_one_host() {
    let mut world = World::new();

    for host in 0..500_u128 {
        world.guess("romeo", v6(0x2001_0db8_0000_0000_0000_0000_0000_0000 + host));
    }

    assert!(world.checked <= 13, "{}", world.checked);
    assert!(world.log_in("romeo", v6(0x2001_0db8_0001_0000_0000_0000_0000_0001)).is_some());
}

/// All 256 addresses of a /24 guess at one account and at many: the network is slowed, and whoever comes from a fresh
/// address in the midst of it still gets in after a pause.
#[test]
fn a_whole_slash_24_is_slowed_and_a_fresh_address_in_it_gets_in() {
    for many in [false, true] {
        let mut world = World::new();
        for round in 0..100 {
            for host in 1..=250 {
                let name = if many { format!("user{round}") } else { "romeo".to_owned() };
                world.guess(&name, ip(host));
            }
        }

        // 25,000 tries within no time.
        assert!(world.checked <= 100 + 250 * 6, "{}", world.checked);
        let owner = world.log_in("romeo", ip(251)).expect("the owner is not locked out");
        assert!(owner <= TRY_PAUSE_MAX, "{owner:?}");
    }
}

/// Whatever the attacker does, an account that was logged in to from here before does not even pause.
#[test]
fn a_host_where_the_owner_was_before_does_not_pause() {
    let mut world = World::new();
    world.log_in("romeo", ip(251));
    for host in 1..=250 {
        for _ in 0..20 {
            world.guess("romeo", ip(host));
        }
    }
    for account in 0..200 {
        world.guess(&format!("user{account}"), ip(251));
    }

    assert_eq!(world.log_in("romeo", ip(251)), Some(Duration::ZERO));
}

/// Ten thousand machines of a botnet: past the first tries of each, one in five seconds is left for all of them.
#[test]
fn a_botnet_gets_few_tries_each() {
    let mut world = World::new();
    let bots = |world: &mut World| {
        for bot in 0..10_000_u32 {
            world.guess("romeo", IpAddr::V4(Ipv4Addr::from_bits(0x0100_0000 + bot * 256)));
        }
    };
    (0..20).for_each(|_| bots(&mut world));
    let first = std::mem::take(&mut world.checked);
    world.passes(60_000);
    (0..5).for_each(|_| bots(&mut world));

    assert!(first <= 100 + 10_000 * 5 + 100, "{first}");
    assert!(world.checked <= 30, "{}", world.checked);
    assert!(world.log_in("romeo", ip(1)).expect("the owner is not locked out") <= TRY_PAUSE_MAX);
}

/// One who guesses behind a proxy that hides addresses must not keep everybody out who is behind it.
#[test]
fn nobody_is_refused_behind_a_proxy() {
    let mut world = World::new();
    let subject = |name: &str| Subject::new("account", name);
    let mut slowed = 0;
    for guess in 0..2000 {
        let name = format!("user{}", guess % 100);
        match world.throttle.handle_try(world.now, &subject(&name), Origin::Shared(ip(1))) {
            Verdict::Go(wait, tried) => {
                assert!(wait <= TRY_PAUSE_MAX, "{wait:?}");
                slowed += usize::from(wait == TRY_PAUSE_MAX);
                world.throttle.handle_outcome(world.now, tried, TryOutcome::Failed);
            }
            Verdict::Refused => panic!("refused"),
        }
    }

    assert!(slowed > 1900, "{slowed}");
}

#[test]
fn somebody_who_mistypes_and_then_does_not_owes_nothing() {
    let mut world = World::new();
    for _ in 0..9 {
        assert_eq!(world.guess("romeo", ip(1)), Some(Duration::ZERO));
    }
    world.log_in("romeo", ip(1));

    for _ in 0..10 {
        assert_eq!(world.guess("romeo", ip(1)), Some(Duration::ZERO));
    }
}

/// After a failure of a node everybody behind one address translator comes back at once.
#[test]
fn honest_log_ins_are_not_slowed_however_many_they_are() {
    let mut world = World::new();

    let begun: Vec<Verdict> = (0..2000).map(|user| world.begin(&format!("user{user}"), ip(1))).collect();

    for verdict in begun {
        let Verdict::Go(Duration::ZERO, tried) = verdict else { panic!("{verdict:?}") };
        world.throttle.handle_outcome(world.now, tried, TryOutcome::Succeeded);
    }
    assert!(world.throttle.debts.is_empty(), "{:?}", world.throttle.debts);
}

/// Who only asks for a challenge has guessed nothing.
#[test]
fn tries_that_are_given_up_cost_nothing() {
    let mut world = World::new();

    for _ in 0..2000 {
        let Verdict::Go(wait, tried) = world.begin("romeo", ip(1)) else { panic!("refused") };
        assert_eq!(wait, Duration::ZERO);
        world.throttle.handle_outcome(world.now, tried, TryOutcome::Abandoned);
    }
}

/// A driver that never tells what became of its tries, as if it had been lost.
#[test]
fn tries_that_never_end_are_forgotten() {
    let mut world = World::new();
    for _ in 0..13 {
        world.begin("romeo", ip(1));
    }
    assert!(matches!(world.begin("romeo", ip(1)), Verdict::Refused));

    world.passes(60_000);

    assert_eq!(world.log_in("romeo", ip(1)), Some(Duration::ZERO));
}

#[test]
fn debts_are_paid_off_with_time_and_forgotten() {
    let mut world = World::new();
    for _ in 0..600 {
        world.guess("romeo", ip(1));
    }

    world.passes(120_000);
    assert_eq!(world.guess("romeo", ip(1)), Some(Duration::ZERO));
    world.passes(2 * 3_600_000);
    world.log_in("juliet", ip(2));

    assert!(world.throttle.debts.is_empty() && world.throttle.ends.is_empty());
}

/// Names and addresses without end, and one account under attack: it is not forgotten for them.
#[test]
fn memory_is_bounded_and_the_greatest_debts_stay() {
    let mut world = World::new();
    for _ in 0..30 {
        world.guess("romeo", ip(1));
        world.passes(1);
    }

    for bot in 0..100_000_u32 {
        world.begin(&format!("user{bot}"), IpAddr::V4(Ipv4Addr::from_bits(0x0100_0000 + bot * 256)));
    }

    assert!(world.throttle.debts.len() <= TRY_DEBTS_MAX + 4);
    assert_eq!(world.throttle.debts.len(), world.throttle.ends.len());
    assert_ne!(world.guess("romeo", ip(1)), Some(Duration::ZERO));
    for user in 0..100_000 {
        world.log_in(&format!("user{user}"), ip(2));
    }
    assert_eq!(world.throttle.known.len(), TRY_KNOWN_HOSTS_MAX);
    assert_eq!(world.throttle.known_by_age.len(), TRY_KNOWN_HOSTS_MAX);
}

#[test]
fn a_burst_is_told_once_with_its_count() {
    let mut world = World::new();
    for _ in 0..600 {
        world.guess("romeo@example.org", ip(1));
        world.passes(2);
    }

    assert_eq!(world.bursts(), []);
    world.passes(11_000);
    let bursts = world.bursts();

    let [burst] = &bursts[..] else { panic!("{bursts:?}") };
    assert_eq!((burst.scope, burst.subject.as_deref()), (BurstScope::AccountFromHost, Some("romeo@example.org")));
    assert_eq!((burst.address, burst.slowed + burst.refused), (ip(1), 590));
    assert!(burst.lasted <= Duration::from_millis(1200), "{burst:?}");
    assert_eq!(world.throttle.poll_timeout(), None);
}

/// An attack without end is told of once a minute.
#[test]
fn a_burst_that_goes_on_is_told_of_meanwhile() {
    let mut world = World::new();
    let mut told = 0;
    for _ in 0..600 {
        world.guess("romeo", ip(1));
        world.passes(1000);
        told += world.bursts().len();
    }

    assert!((8..=10).contains(&told), "{told}");
}

#[test]
fn more_bursts_than_are_told_of_one_by_one_are_told_of_together() {
    let mut world = World::new();
    let accounts = u32::try_from(TRY_BURSTS_MAX).expect("few") + 50;
    for account in 0..accounts {
        let address = IpAddr::V4(Ipv4Addr::from_bits(0x0100_0000 + account * 256));
        for _ in 0..20 {
            world.guess(&format!("user{account}"), address);
        }
    }
    world.passes(11_000);

    let bursts = world.bursts();

    assert_eq!(bursts.len(), TRY_BURSTS_MAX + 1);
    let [together] = &bursts[..1] else { panic!("none") };
    assert_eq!((together.scope, together.subject.clone()), (BurstScope::Various, None));
    assert_eq!(together.slowed + together.refused, 500);
}

/// T19: a log cannot be filled, by one or by many, and what is left out is counted.
#[test]
fn lines_are_bounded_for_a_host_and_for_all() {
    let mut world = World::new();

    let of_one = (0..1000).filter(|_| world.throttle.handle_line(world.now, ip(1))).count();
    let of_all = (0..10_000_u32)
        .filter(|bot| {
            let address = IpAddr::V4(Ipv4Addr::from_bits(0x0100_0000 + bot * 256));
            world.throttle.handle_line(world.now, address)
        })
        .count();

    assert_eq!((of_one, of_one + of_all), (60, 600));
    world.passes(11_000);
    let unlogged: u64 = world.bursts().iter().map(|burst| burst.unlogged).sum();
    assert_eq!(unlogged, 11_000 - 600);
}

#[test]
fn a_long_name_is_cut_off_for_the_log() {
    let subject = Subject::new("account", &"ä".repeat(1000));

    assert_eq!(subject.name.len(), BURST_NAME_BYTES_MAX);
    assert_ne!(subject.id, Subject::new("account", &"ä".repeat(1001)).id);
    assert_ne!(Subject::new("account", "a").id, Subject::new("token", "a").id);
}

struct World {
    throttle: Throttle,
    now: Uptime,
    checked: usize,
    refused: usize,
}

impl World {
    fn new() -> World {
        World { throttle: Throttle::new(), now: Uptime::from_millis(1000), checked: 0, refused: 0 }
    }

    fn begin(&mut self, name: &str, address: IpAddr) -> Verdict {
        self.throttle.handle_try(self.now, &Subject::new("account", name), Origin::Own(address))
    }

    fn end(&mut self, name: &str, address: IpAddr, outcome: TryOutcome) -> Option<Duration> {
        match self.begin(name, address) {
            Verdict::Go(wait, tried) => {
                self.throttle.handle_outcome(self.now, tried, outcome);
                self.checked += 1;
                Some(wait)
            }
            Verdict::Refused => {
                self.refused += 1;
                None
            }
        }
    }

    /// A wrong secret: how long the try had to wait, if it was not refused.
    fn guess(&mut self, name: &str, address: IpAddr) -> Option<Duration> {
        self.end(name, address, TryOutcome::Failed)
    }

    /// The right secret.
    fn log_in(&mut self, name: &str, address: IpAddr) -> Option<Duration> {
        self.end(name, address, TryOutcome::Succeeded)
    }

    fn passes(&mut self, milliseconds: u64) {
        self.now = self.now + Duration::from_millis(milliseconds);
    }

    fn bursts(&mut self) -> Vec<Burst> {
        if self.throttle.poll_timeout().is_some_and(|due| due <= self.now) {
            self.throttle.handle_timeout(self.now);
        }
        std::iter::from_fn(|| self.throttle.poll_burst()).collect()
    }
}

/// An address of one /24.
fn ip(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))
}

fn v6(bits: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(bits))
}
