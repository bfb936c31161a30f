//! A sender and a receiver in one task.
//!
//! One turn: send what is due, move bytes on both connections, look at what came in. All messages of one read are
//! handled before the next write, so that a busy server is spoken to in batches, as it speaks itself.

use super::end::{Change, End};
use super::ledger::{Awaits, Delivery, Ledger, Way};
use super::{Plan, Schedule};
use crate::client::{Arrival, Client, ClientError, Reconnect, Stanza, StreamManagement, escape_into};
use crate::report::Latency;
use std::future::poll_fn;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep_until};

/// A sender whose socket takes nothing stops here; what was due meanwhile is counted as held back.
const OUTGOING_BYTES_MAX: usize = 1 << 20;
/// Most messages that a sender queues in one turn.
const BURST_MAX: u32 = 1000;
/// How often a pair with nothing to do looks at the clock.
const TICK: Duration = Duration::from_millis(50);
/// How long the end of the offline store is waited for.
const COLLECT_QUIET: Duration = Duration::from_secs(2);

/// A pair at work.
#[derive(Debug)]
pub(super) struct Pair {
    plan: Arc<Plan>,
    index: u32,
    sender: End,
    receiver: End,
    prefix: Vec<u8>,
    suffix: Vec<u8>,
    /// Window: messages that are no longer waited for.
    written_off: u64,
    /// Rate: when the next message is due.
    due: Instant,
    progressed: Instant,
    reported: u64,
    found: Found,
}

/// What a pair found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) ledger: Ledger,
    pub(super) latency: Latency,
    /// How late the generator itself was.
    pub(super) lag: Latency,
    /// Deliveries within the time of measuring.
    pub(super) measured: u64,
    pub(super) held_back: u64,
    pub(super) stalls: u64,
    pub(super) sender: Side,
    pub(super) receiver: Side,
    /// The receiver was cut, came back, and nothing reached it any more.
    pub(super) deaf: bool,
}

/// What happened to one side.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) cuts: u64,
    pub(super) faults: crate::report::Counts,
    pub(super) returns: Latency,
}

impl Pair {
    /// A pair that is logged in.
    pub(super) fn new(plan: Arc<Plan>, index: u32, sender: End, mut receiver: End) -> Pair {
        let jid = receiver.client().map(|client| client.jid().to_owned()).unwrap_or_default();
        let to = if plan.options.bare { jid.split('/').next().unwrap_or_default() } else { &jid };
        let mut prefix = b"<message type='chat' to='".to_vec();
        escape_into(&mut prefix, to);
        write!(prefix, "' id='{:x}-{index}-", plan.run).expect("writing to memory cannot fail");
        let mut suffix = b"'><body>".to_vec();
        suffix.extend((0..plan.options.size).map(|place| b'a' + (place % 26) as u8));
        suffix.extend_from_slice(b"</body></message>");
        let now = Instant::now();
        let found = Found::default();
        let mut pair = Pair {
            plan,
            index,
            sender,
            receiver,
            prefix,
            suffix,
            written_off: 0,
            due: now,
            progressed: now,
            reported: 0,
            found,
        };
        pair.stream_began();
        pair
    }

    /// Sends, measures, settles and collects, and tells what was found.
    pub(super) async fn run(mut self, schedule: Schedule) -> Found {
        let pairs = f64::from(self.plan.options.pairs);
        let share = self.plan.options.rate.map_or(0.0, |rate| f64::from(self.index) / pairs * (pairs / rate));
        self.due = schedule.begin + Duration::from_secs_f64(share);
        self.progressed = schedule.begin;
        let mut timer = Box::pin(sleep_until(schedule.begin.into()));
        // What came together with the answer to the log-in was read already.
        self.look(Some(Change::Arrived), Some(Change::Arrived), &schedule);
        loop {
            let now = Instant::now();
            if now < schedule.stop {
                self.send_due(now, &schedule);
            } else if now >= schedule.end || self.is_settled() {
                break;
            }
            let (sender, receiver) = self.turn(&mut timer, self.wake(now, &schedule)).await;
            self.look(sender, receiver, &schedule);
        }
        if self.found.ledger.open() > 0 && !self.plan.options.no_collect {
            self.collect().await;
        }
        self.finish().await
    }

    /// When to look at the clock again.
    fn wake(&self, now: Instant, schedule: &Schedule) -> Instant {
        match self.plan.options.rate {
            Some(_) if now < schedule.stop && self.due > now => self.due.min(now + TICK),
            Some(_) | None => now + TICK,
        }
    }

    /// Waits until something came in, a side changed, or it is time.
    async fn turn(&mut self, timer: &mut std::pin::Pin<Box<Sleep>>, wake: Instant) -> (Option<Change>, Option<Change>) {
        let wake = tokio::time::Instant::from_std(wake);
        // With a window the timer is only for stalls, and moving it for each batch would cost more than the batch.
        if timer.is_elapsed() || wake < timer.deadline() {
            timer.as_mut().reset(wake);
        }
        poll_fn(|context| {
            let sender = self.sender.poll(context);
            let receiver = self.receiver.poll(context);
            let quiet = sender.is_pending() && receiver.is_pending();
            if quiet && timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let ready = |poll| match poll {
                Poll::Ready(change) => Some(change),
                Poll::Pending => None,
            };
            Poll::Ready((ready(sender), ready(receiver)))
        })
        .await
    }

    fn send_due(&mut self, now: Instant, schedule: &Schedule) {
        let blocked = match self.sender.client() {
            Some(client) => client.outgoing_bytes() >= OUTGOING_BYTES_MAX,
            None => true,
        };
        let count = match self.plan.options.rate {
            Some(rate) => self.count_due(now, rate, blocked, schedule),
            None if blocked => 0,
            None => self.room(now),
        };
        let Some(client) = self.sender.client().filter(|_| count > 0) else { return };
        let management = self.plan.options.sm;
        let awaits = if management { Awaits::Acknowledgement } else { Awaits::Nothing };
        let micros = now.saturating_duration_since(self.plan.epoch).as_micros();
        for _ in 0..count {
            let Some(number) = self.found.ledger.next() else { break };
            client.send(|out| {
                out.extend_from_slice(&self.prefix);
                write!(out, "{number}-{micros}").expect("writing to memory cannot fail");
                out.extend_from_slice(&self.suffix);
            });
            self.found.ledger.sent(number, awaits);
        }
        client.ask();
    }

    /// Window: how many messages may be sent now.
    fn room(&mut self, now: Instant) -> u32 {
        let window = u64::from(self.plan.options.window);
        let open = self.found.ledger.open();
        // Messages that arrive after they were written off make the window wider for a while; it closes again.
        let outstanding = open.saturating_sub(self.written_off.min(open));
        if outstanding < window {
            return u32::try_from(window - outstanding).unwrap_or(0);
        }
        if now.saturating_duration_since(self.progressed) > self.plan.options.stall {
            self.written_off = open;
            self.progressed = now;
            self.found.stalls += 1;
        }
        0
    }

    /// Rate: how many messages are due.
    fn count_due(&mut self, now: Instant, rate: f64, blocked: bool, schedule: &Schedule) -> u32 {
        let interval = Duration::from_secs_f64(f64::from(self.plan.options.pairs) / rate);
        let mut count = 0;
        while self.due <= now && count < BURST_MAX {
            if blocked {
                self.found.held_back += 1;
            } else if now >= schedule.measure {
                self.found.lag.record(now - self.due);
            }
            self.due += interval;
            count += 1;
        }
        if blocked { 0 } else { count }
    }

    fn look(&mut self, sender: Option<Change>, receiver: Option<Change>, schedule: &Schedule) {
        match receiver {
            Some(Change::Arrived) => self.look_at_receiver(schedule),
            Some(Change::Cut | Change::Back { .. }) | None => {}
        }
        match sender {
            Some(Change::Arrived) => self.look_at_sender(),
            Some(Change::Back { resumed: Some(newly) }) => self.found.ledger.acked(newly),
            Some(Change::Back { resumed: None }) => self.stream_began(),
            Some(Change::Cut) | None => {}
        }
    }

    fn look_at_receiver(&mut self, schedule: &Schedule) {
        let now = Instant::now();
        let micros = now.saturating_duration_since(self.plan.epoch).as_micros() as u64;
        let measuring = now >= schedule.measure && now < schedule.stop;
        let (mine, found) = ((self.plan.run, self.index), &mut self.found);
        let mut firsts = 0;
        let Some(client) = self.receiver.client() else { return };
        let outcome = client.drain(|arrival| {
            let Arrival::Stanza(stanza) = arrival else { return };
            let Some(mark) = Mark::of(&stanza) else { return };
            if mark.belongs != mine || mark.is_error {
                found.ledger.foreign += 1;
                return;
            }
            let way = if stanza.mentions(b"delay") { Way::Stored } else { Way::Live };
            if found.ledger.delivered(mark.number, way, now) == Delivery::First {
                firsts += 1;
                if measuring {
                    found.measured += 1;
                    found.latency.record_micros(micros.saturating_sub(mark.micros));
                }
            }
        });
        if let Err(error) = outcome {
            self.receiver.cut(&error);
        }
        if firsts > 0 {
            self.progressed = now;
            self.reported += firsts;
            self.plan.delivered.fetch_add(firsts, Ordering::Relaxed);
        }
    }

    fn look_at_sender(&mut self) {
        let (mine, found) = ((self.plan.run, self.index), &mut self.found);
        let Some(client) = self.sender.client() else { return };
        let outcome = client.drain(|arrival| match arrival {
            Arrival::Acknowledged(newly) => found.ledger.acked(newly),
            Arrival::Stanza(stanza) => {
                if let Some(mark) = Mark::of(&stanza).filter(|mark| mark.is_error && mark.belongs == mine) {
                    found.ledger.bounced(mark.number);
                }
            }
        });
        match outcome {
            Ok(declined) => (0..declined).for_each(|_| found.ledger.sent_other()),
            Err(error) => self.sender.cut(&error),
        }
        if let Some(client) = self.sender.client() {
            client.ask();
        }
    }

    /// The sender has a stream of its own again: its presence was the first stanza on it.
    fn stream_began(&mut self) {
        self.found.ledger.stream_began();
        if self.plan.options.sm {
            self.found.ledger.sent_other();
        }
    }

    fn is_settled(&self) -> bool {
        self.found.ledger.open() == 0 && !self.found.ledger.awaits_acknowledgement()
    }

    /// Logs the receiver out and in, to fetch what waits in the offline store though the user was there.
    async fn collect(&mut self) {
        self.found.deaf = self.is_deaf();
        let Some(client) = self.receiver.take() else { return };
        client.close(COLLECT_QUIET).await;
        let account = self.plan.options.service.account(2 * self.index + 1, Some(&self.plan.options.resource));
        let way = Reconnect {
            server: &self.plan.server,
            addresses: &self.plan.options.service.address,
            account: &account,
            management: StreamManagement::Off,
            until: Instant::now() + COLLECT_QUIET,
        };
        let Ok(back) = way.run(0, None).await else { return };
        let mut client: Client = back.client;
        client.send_presence();
        while let Ok(Ok(())) = tokio::time::timeout(COLLECT_QUIET, self.fetch(&mut client)).await {}
        client.close(COLLECT_QUIET).await;
    }

    async fn fetch(&mut self, client: &mut Client) -> Result<(), ClientError> {
        poll_fn(|context| client.poll_io(context)).await?;
        let (mine, ledger, now) = ((self.plan.run, self.index), &mut self.found.ledger, Instant::now());
        let gap = ledger.gap;
        client.drain(|arrival| {
            let Arrival::Stanza(stanza) = arrival else { return };
            if let Some(mark) = Mark::of(&stanza).filter(|mark| mark.belongs == mine && !mark.is_error) {
                ledger.delivered(mark.number, Way::Stored, now);
            }
        })?;
        // The pause before this log-in is the generator's own.
        ledger.gap = gap;
        Ok(())
    }

    fn is_deaf(&mut self) -> bool {
        let returned = self.receiver.returned_at();
        self.receiver.cuts > 0
            && match (returned, self.found.ledger.last_delivery()) {
                (Some(returned), Some(last)) => last < returned,
                (Some(_), None) | (None, _) => true,
            }
    }

    async fn finish(mut self) -> Found {
        self.found.deaf |= self.is_deaf();
        for end in [&mut self.sender, &mut self.receiver] {
            if let Some(client) = end.take() {
                client.close(COLLECT_QUIET).await;
            }
        }
        let side = |end: End| Side { cuts: end.cuts, faults: end.faults, returns: end.returns };
        self.found.sender = side(self.sender);
        self.found.receiver = side(self.receiver);
        self.found
    }
}

/// What the id of a message of ours tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// The run and the pair.
    belongs: (u16, u32),
    number: u32,
    micros: u64,
    is_error: bool,
}

impl Mark {
    /// `None` for everything that is no message with an id of this form.
    fn of(stanza: &Stanza<'_>) -> Option<Mark> {
        if stanza.name() != b"message" {
            return None;
        }
        let id = std::str::from_utf8(stanza.attribute(b"id")?).ok()?;
        let mut parts = id.split('-');
        let run = u16::from_str_radix(parts.next()?, 16).ok()?;
        let pair = parts.next()?.parse().ok()?;
        let number = parts.next()?.parse().ok()?;
        let micros = parts.next()?.parse().ok()?;
        let is_error = stanza.attribute(b"type") == Some(b"error");
        parts.next().is_none().then_some(Mark { belongs: (run, pair), number, micros, is_error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_everything_about_its_message() {
        let mark = Mark::of(&Stanza(b"<message type='error' id='ab12-3-4-567'/>"));

        assert_eq!(mark, Some(Mark { belongs: (0xab12, 3), number: 4, micros: 567, is_error: true }));
    }

    #[test]
    fn an_id_of_another_form_is_nobodys() {
        for id in ["", "1", "1-2-3", "1-2-3-4-5", "x-2-3-4", "1-2-99999999999-4", "12345-1-1-1"] {
            assert_eq!(Mark::of(&Stanza(format!("<message id='{id}'/>").as_bytes())), None, "{id}");
        }
        assert_eq!(Mark::of(&Stanza(b"<presence id='1-2-3-4'/>")), None);
    }
}
