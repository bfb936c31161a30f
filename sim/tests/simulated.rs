//! Simulated clusters, told as stories. They run by `cargo sim-test` (or `tests/run sim`), in a build that can repeat a
//! run; in any other build there is nothing to run.

#[cfg(all(tokio_unstable, cresset_simulated))]
mod scenarios;

#[cfg(all(tokio_unstable, cresset_simulated))]
mod cores;

#[cfg(not(all(tokio_unstable, cresset_simulated)))]
#[test]
fn without_its_flag_the_simulator_refuses_and_says_why() {
    let refused = std::panic::catch_unwind(|| {
        let trace = cresset_sim::trace::Trace::new(cresset_sim::trace::Detail::Nothing, None);
        cresset_sim::run(&cresset_sim::Plan::calm(1), trace)
    });

    let reason = refused.expect_err("this build cannot repeat a run");
    let reason = reason.downcast_ref::<String>().expect("it says why");
    assert!(reason.contains("cargo sim-test"), "{reason}");
}
