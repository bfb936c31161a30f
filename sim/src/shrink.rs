//! Makes a failing plan as small as it can be and still fail in the same way.
//!
//! ```text
//! episodes (ddmin) ─▶ nodes ─▶ users (ddmin) ─▶ what users do ─▶ shorter episodes ─▶ earlier heal ─▶ again, until nothing changes
//! ```
//!
//! Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002). Whether a smaller
//! plan still fails in the same way is for the caller to find out, by running it; he may run several at once.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::parts::Drift;
use crate::plan::{BEGINS, Episode, Fault, Plan};

/// An episode need not be shorter.
const EPISODE_MIN: Duration = Duration::from_millis(100);

/// Rounds after which a plan is small enough, even if another round would still change it.
const ROUNDS_MAX: usize = 5;

/// Who finds out which of some plans still fail: the place of the first that does. Absent as well when he has had enough.
pub type Judge<'a> = dyn FnMut(&[Plan]) -> Option<usize> + 'a;

/// The smallest plan found that still fails.
pub fn shrink(plan: &Plan, judge: &mut Judge<'_>) -> Plan {
    let mut plan = plan.clone();
    for _ in 0..ROUNDS_MAX {
        let before = plan.clone();
        plan = without_some(plan, |plan| plan.episodes.len(), without_episodes, judge);
        plan = with_fewer_nodes(plan, judge);
        plan = without_some(plan, |plan| plan.users.len(), without_users, judge);
        plan = repeat(plan, plainer, judge);
        plan = repeat(plan, shorter, judge);
        plan = repeat(plan, whole_earlier, judge);
        if plan == before {
            break;
        }
    }
    plan
}

/// The first of the candidates that can be carried out and still fails.
fn first_failing(candidates: Vec<Plan>, judge: &mut Judge<'_>) -> Option<Plan> {
    let mut candidates: Vec<Plan> = candidates.into_iter().filter(|plan| plan.flaws().is_empty()).collect();
    if candidates.is_empty() {
        return None;
    }
    judge(&candidates).filter(|found| *found < candidates.len()).map(|found| candidates.swap_remove(found))
}

/// Takes steps as long as one of those offered still fails.
fn repeat(mut plan: Plan, steps: impl Fn(&Plan) -> Vec<Plan>, judge: &mut Judge<'_>) -> Plan {
    while let Some(next) = first_failing(steps(&plan), judge) {
        plan = next;
    }
    plan
}

/// Leaves out ever smaller parts of a list, as in ddmin: first all of it, then halves, at last one by one.
fn without_some(
    mut plan: Plan,
    count: impl Fn(&Plan) -> usize,
    without: impl Fn(&Plan, &BTreeSet<usize>) -> Plan,
    judge: &mut Judge<'_>,
) -> Plan {
    let mut parts = 1;
    loop {
        let all = count(&plan);
        if all == 0 {
            return plan;
        }
        let size = all.div_ceil(parts);
        let begins: Vec<usize> = (0..all).step_by(size).collect();
        let part = |begin: usize| (begin..(begin + size).min(all)).collect::<BTreeSet<_>>();
        // Leaving out all but one part, then leaving out one part.
        let complements = begins.iter().filter(|_| parts > 2).map(|begin| {
            let kept = part(*begin);
            without(&plan, &(0..all).filter(|number| !kept.contains(number)).collect())
        });
        let candidates = complements.chain(begins.iter().map(|begin| without(&plan, &part(*begin)))).collect();
        match first_failing(candidates, judge) {
            Some(smaller) => {
                plan = smaller;
                parts = 2;
            }
            None if size == 1 => return plan,
            None => parts = (parts * 2).min(all),
        }
    }
}

fn without_episodes(plan: &Plan, out: &BTreeSet<usize>) -> Plan {
    let mut smaller = plan.clone();
    smaller.episodes = kept(&plan.episodes, out);
    smaller
}

/// Those who talked to somebody who is left out talk to nobody, which costs less than to talk to somebody else.
fn without_users(plan: &Plan, out: &BTreeSet<usize>) -> Plan {
    let mut smaller = plan.clone();
    smaller.users = kept(&plan.users, out);
    let nobody = plan.users.len();
    let renumbered = |user: usize| {
        if out.contains(&user) { nobody } else { user - out.range(..user).count() }
    };
    for user in &mut smaller.users {
        user.peer = renumbered(user.peer);
    }
    smaller.episodes.retain(|episode| episode.fault.user().is_none_or(|user| !out.contains(&user)));
    for episode in &mut smaller.episodes {
        if let Fault::Rival { user }
        | Fault::Flapping { user }
        | Fault::ResumptionRace { user }
        | Fault::SlowReader { user }
        | Fault::NeverAcknowledges { user } = &mut episode.fault
        {
            *user = renumbered(*user);
        }
    }
    smaller
}

fn kept<T: Clone>(all: &[T], out: &BTreeSet<usize>) -> Vec<T> {
    all.iter().enumerate().filter(|(number, _)| !out.contains(number)).map(|(_, one)| one.clone()).collect()
}

fn with_fewer_nodes(plan: Plan, judge: &mut Judge<'_>) -> Plan {
    let fewer = |nodes: usize| {
        let mut smaller = Plan { nodes, ..plan.clone() };
        smaller.drifts_ppm.truncate(nodes);
        smaller.users.iter_mut().for_each(|user| user.node %= nodes);
        smaller
    };
    let candidates = (1..plan.nodes).filter(|nodes| nodes % 2 == 1).map(fewer).collect();
    first_failing(candidates, judge).unwrap_or(plan)
}

/// Without what makes a plan more than it needs to be, one thing at a time.
fn plainer(plan: &Plan) -> Vec<Plan> {
    let calm = Plan::calm(plan.seed.0);
    let mut candidates = vec![
        Plan { drifts_ppm: Vec::new(), ..plan.clone() },
        Plan { latency: calm.latency, ..plan.clone() },
        Plan { turns: calm.turns, ..plan.clone() },
        Plan { snapshot_entries: calm.snapshot_entries, ..plan.clone() },
    ];
    for number in 0..plan.drifts_ppm.len() {
        let mut one = plan.clone();
        one.drifts_ppm[number] = Drift::default();
        candidates.push(one);
    }
    for number in 0..plan.users.len() {
        let mut one = plan.clone();
        one.users[number].resumes = false;
        candidates.push(one);
        let mut one = plan.clone();
        one.users[number].leaves = false;
        candidates.push(one);
    }
    candidates.retain(|candidate| candidate != plan);
    candidates
}

/// With one episode that is half as long, or begins at a whole second.
fn shorter(plan: &Plan) -> Vec<Plan> {
    let mut candidates = Vec::new();
    let mut offer = |number: usize, episode: Episode| {
        let mut one = plan.clone();
        one.episodes[number] = episode;
        one.episodes.sort_by_key(|episode| episode.at);
        candidates.push(one);
    };
    for (number, episode) in plan.episodes.iter().enumerate() {
        let half = Duration::from_millis(u64::try_from(episode.lasts.as_millis() / 2).unwrap_or(u64::MAX));
        if half >= EPISODE_MIN {
            offer(number, Episode { lasts: half, ..episode.clone() });
        }
        let second = Duration::from_secs(episode.at.as_secs());
        if second != episode.at {
            offer(number, Episode { at: second, ..episode.clone() });
        }
    }
    candidates
}

/// Whole as soon as the last episode has ended.
fn whole_earlier(plan: &Plan) -> Vec<Plan> {
    let last = plan.episodes.iter().map(Episode::ends).max().unwrap_or_default();
    let whole = plan.clone().healing_at(last.max(BEGINS) + EPISODE_MIN);
    if whole.heals_at < plan.heals_at { vec![whole] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Target;

    const SECOND: Duration = Duration::from_secs(1);

    /// Many things, of which two break it.
    fn big() -> Plan {
        let mut plan = Plan { nodes: 5, ..Plan::calm(7) }.with_users(8, SECOND);
        plan.users[3].resumes = true;
        plan.users[5].leaves = true;
        for number in 0..12 {
            let at = BEGINS + number * SECOND + Duration::from_millis(137);
            let fault = match number {
                3 => Fault::Crash { node: Target::Leader },
                8 => Fault::Rival { user: 5 },
                _ => Fault::Loss { percent: 10 },
            };
            plan = plan.with(at, 4 * SECOND, fault);
        }
        plan.healing_at(60 * SECOND)
    }

    fn breaks(plan: &Plan) -> bool {
        let crash = plan.episodes.iter().any(|it| matches!(it.fault, Fault::Crash { .. }) && it.lasts >= SECOND);
        let rival = plan.episodes.iter().find_map(|it| it.fault.user()).and_then(|user| plan.users.get(user));
        crash && rival.is_some_and(|user| user.leaves)
    }

    #[test]
    fn what_does_not_matter_is_left_out() {
        let mut runs = 0;
        let small = shrink(&big(), &mut |plans| {
            runs += plans.len();
            plans.iter().position(breaks)
        });

        assert!(breaks(&small));
        assert_eq!((small.episodes.len(), small.nodes, small.users.len()), (2, 1, 1), "{small}");
        assert_eq!(small.episodes[1].fault, Fault::Rival { user: 0 });
        assert_eq!(small.episodes[0].lasts, SECOND);
        assert!(small.heals_at < 20 * SECOND && small.flaws().is_empty());
        assert!(runs < 200, "{runs} runs");
    }

    #[test]
    fn what_fails_by_itself_is_left_with_nothing() {
        let small = shrink(&big(), &mut |_| Some(0));

        assert_eq!((small.episodes.len(), small.users.len()), (0, 0));
    }

    #[test]
    fn a_judge_who_has_had_enough_leaves_the_plan_as_it_is() {
        assert_eq!(shrink(&big(), &mut |_| None), big());
    }
}
