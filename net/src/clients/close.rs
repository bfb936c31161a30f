//! The last words to a client, said beside the task of its session, which has other things to see to.

use std::future::poll_fn;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::admission::Admitted;
use super::outbound::Outbound;
use super::{CLOSE_TIME_MAX, ClientTransport, READ_BYTES};

/// Writes what is left and closes the transport, in a task of its own that ends soon. The connection keeps its place
/// until then.
pub(super) fn close(transport: ClientTransport, outbound: Outbound, admitted: Option<Admitted>) {
    crate::runtime::spawn(async move {
        // It is the last that this client hears; whether it did is not our business any more.
        drop(timeout(CLOSE_TIME_MAX, say_farewell(transport, outbound)).await);
        drop(admitted);
    });
}

async fn say_farewell(mut transport: ClientTransport, mut outbound: Outbound) -> io::Result<()> {
    while poll_fn(|cx| outbound.poll_write(cx, &mut transport)).await? > 0 {}
    transport.shutdown().await?;
    // A socket that is closed with unread bytes is reset, and the reset may overtake the last words. So what the
    // client still sends is read, for as long as it has time to see the end and close its side.
    let mut unread = Box::new([0; READ_BYTES]);
    while transport.read(&mut unread[..]).await? > 0 {}
    Ok(())
}
