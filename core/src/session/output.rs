//! The orders of a session that its driver has not taken yet.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::session::Order;

/// The orders in the order of their effects. Bytes for the client gather until another order follows them, so that a
/// batch of parcels becomes one [`Order::Send`].
///
/// Bounded by what the session bounds: bytes for the client by its delivery queue, orders by the stanzas of the client
/// that are not handled.
#[derive(Debug, Default)]
pub(super) struct Output {
    queue: VecDeque<Queued>,
    bytes: Vec<u8>,
    /// Deliveries whose last byte is in `bytes`.
    deliveries: usize,
    /// Deliveries that were handed out and not reported as written.
    handed_out: usize,
}

#[derive(Debug)]
enum Queued {
    Order(Order),
    Send { bytes: Bytes, deliveries: usize },
}

impl Output {
    /// Appends one frame for the client, which `write` writes.
    pub(super) fn frame(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
    }

    /// Notes that what was written last ends a delivery, which counts as written when these bytes are.
    pub(super) fn end_delivery(&mut self) {
        self.deliveries += 1;
    }

    /// Queues an order behind the bytes that were written before it.
    pub(super) fn order(&mut self, order: Order) {
        self.gather();
        self.queue.push_back(Queued::Order(order));
    }

    /// Queues an order before the last one.
    pub(super) fn order_before_last(&mut self, order: Order) {
        let last = self.queue.pop_back();
        self.queue.push_back(Queued::Order(order));
        self.queue.extend(last);
    }

    /// The next order. An empty queue keeps no memory: most sessions are idle most of the time.
    pub(super) fn pop(&mut self) -> Option<Order> {
        if self.queue.is_empty() {
            self.gather();
        }
        match self.queue.pop_front() {
            Some(Queued::Order(order)) => Some(order),
            Some(Queued::Send { bytes, deliveries }) => {
                self.handed_out += deliveries;
                Some(Order::Send(bytes))
            }
            None => {
                self.queue = VecDeque::new();
                None
            }
        }
    }

    /// Whether no order waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.bytes.is_empty()
    }

    /// How many deliveries were handed out since this was asked last: with the driver's word, they are on the socket.
    pub(super) fn take_handed_out(&mut self) -> usize {
        std::mem::take(&mut self.handed_out)
    }

    /// Forgets what the transport will not get any more.
    pub(super) fn drop_bytes(&mut self) {
        self.bytes = Vec::new();
        self.deliveries = 0;
        self.handed_out = 0;
        self.queue.retain(|queued| matches!(queued, Queued::Order(_)));
    }

    /// What the empty queue holds on to.
    #[cfg(test)]
    pub(super) fn capacity_bytes(&self) -> usize {
        self.queue.capacity() * std::mem::size_of::<Queued>() + self.bytes.capacity()
    }

    fn gather(&mut self) {
        if !self.bytes.is_empty() {
            let bytes = Bytes::from(std::mem::take(&mut self.bytes));
            self.queue.push_back(Queued::Send { bytes, deliveries: std::mem::take(&mut self.deliveries) });
        }
    }
}
