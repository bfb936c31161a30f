//! The findings of all pairs, added up and told.

use super::Options;
use super::ledger::{Account, Fates};
use super::pair::Found;
use crate::report::{Counts, Latency, Report};
use std::time::Duration;

/// All pairs together.
#[derive(Debug, Default)]
pub(super) struct Tally {
    account: Account,
    latency: Latency,
    lag: Latency,
    gaps: Latency,
    gaps_of_cut: Latency,
    returns: Latency,
    measured: u64,
    held_back: u64,
    stalls: u64,
    reordered: u64,
    foreign: u64,
    cut_senders: u64,
    cut_receivers: u64,
    deaf: u64,
    faults: Counts,
}

impl Tally {
    /// Adds a pair.
    pub(super) fn add(&mut self, found: Found) {
        self.account.add(&found.ledger.account());
        self.latency.add(&found.latency);
        self.lag.add(&found.lag);
        self.gaps.record(found.ledger.gap);
        if found.receiver.cuts > 0 && !found.deaf {
            self.gaps_of_cut.record(found.ledger.gap);
        }
        self.returns.add(&found.sender.returns);
        self.returns.add(&found.receiver.returns);
        self.measured += found.measured;
        self.held_back += found.held_back;
        self.stalls += found.stalls;
        self.reordered += found.ledger.reordered;
        self.foreign += found.ledger.foreign;
        self.cut_senders += u64::from(found.sender.cuts > 0);
        self.cut_receivers += u64::from(found.receiver.cuts > 0);
        self.deaf += u64::from(found.deaf);
        self.faults.merge(found.sender.faults);
        self.faults.merge(found.receiver.faults);
    }

    /// Whether anything was lost, came twice, out of order or back.
    pub(super) fn is_flawed(&self) -> bool {
        let Account { acked, unacked, duplicated, .. } = &self.account;
        acked.lost + unacked.lost + acked.bounced + unacked.bounced + duplicated + self.reordered + self.deaf > 0
    }

    /// The figures; `servers` is the processor time that the servers used while it was measured.
    pub(super) fn report(&self, options: &Options, servers: Option<Duration>, own: Duration) -> Report {
        let mut report = Report::default();
        report.measure("delivered", self.measured as f64 / options.seconds.as_secs_f64(), "msg/s");
        report.group("latency", self.latency.report());
        let per_message = |cpu: Duration| cpu.as_secs_f64() * 1e6 / self.measured.max(1) as f64;
        if let Some(servers) = servers {
            report.measure("server CPU", per_message(servers), "µs/msg");
        }
        report.measure("own CPU", per_message(own), "µs/msg");
        if options.rate.is_some() {
            report.group("generator late", self.lag.report());
            report.count("held back", self.held_back);
        } else {
            report.count("stalls", self.stalls);
        }
        let Account { acked, unacked, duplicated, delivered_and_bounced } = &self.account;
        report.count("sent", acked.total() + unacked.total());
        report.count("lost", acked.lost + unacked.lost);
        report.count("duplicated", *duplicated);
        report.count("reordered", self.reordered);
        report.count("bounced", acked.bounced + unacked.bounced);
        report.count("delivered and bounced", *delivered_and_bounced);
        report.count("of other runs", self.foreign);
        if options.sm {
            report.group("acknowledged", fates(acked));
            report.group("not acknowledged", fates(unacked));
        } else {
            report.group("fates", fates(unacked));
        }
        report.group("longest time without delivery", self.gaps.report());
        self.report_cuts(&mut report);
        report
    }

    fn report_cuts(&self, report: &mut Report) {
        if self.cut_senders + self.cut_receivers == 0 {
            return;
        }
        report.count("senders cut", self.cut_senders);
        report.count("receivers cut", self.cut_receivers);
        report.group("time without delivery of those cut", self.gaps_of_cut.report());
        report.count("receivers cut and never reached again", self.deaf);
        report.group("time to come back", self.returns.report());
        report.group("faults", self.faults.report());
    }
}

fn fates(fates: &Fates) -> Report {
    let mut report = Report::default();
    report.count("delivered", fates.delivered);
    report.count("offline", fates.offline);
    report.count("bounced", fates.bounced);
    report.count("lost", fates.lost);
    report
}
