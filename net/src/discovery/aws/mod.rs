//! Asks AWS EC2 for the instances of a region.
//!
//! ```text
//! keys.rs    configuration, environment, or the role of this instance ─▶ Credentials, region
//!                                                                            │
//! core::discovery::aws   form, signature ─▶ http.rs   POST ─▶ core: page ─▶ addresses, again while there are pages
//! ```
//!
//! What goes wrong on the way is tried again as often as the settings say; what AWS refuses is not: it would refuse it
//! again, and counts.

mod http;
mod keys;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use cresset_core::config::discovery::Aws;
use cresset_core::discovery::aws::{Credentials, Endpoint, Page, describe_instances, read_page, signed};
use cresset_core::time::UnixMillis;
use tokio::time::sleep;

use self::http::{Patience, Request, Trouble};
use super::lookup::Answer;

/// Pages of one answer. What is beyond it is left out: each has some hundred instances.
const PAGES_MAX: usize = 16;

/// Between two attempts.
const ATTEMPTS_EVERY: Duration = Duration::from_millis(500);

/// The running instances that the settings mean, each with every one of their ports.
pub(super) async fn instances(aws: &Aws, now: UnixMillis) -> Answer {
    let patience = Patience { connection: aws.connection_time_max, read: aws.read_time_max };
    let mut attempts_left = aws.retries;
    loop {
        match ask(aws, now, patience).await {
            Ok(ips) => {
                let with_ports = |ip| aws.ports.iter().map(move |port| SocketAddr::new(ip, port));
                return Ok(ips.into_iter().flat_map(with_ports).collect());
            }
            Err(Trouble::Passing(_)) if attempts_left > 0 => attempts_left -= 1,
            Err(Trouble::Passing(reason) | Trouble::Lasting(reason)) => return Err(reason),
        }
        sleep(ATTEMPTS_EVERY).await;
    }
}

async fn ask(aws: &Aws, now: UnixMillis, patience: Patience) -> Result<Vec<IpAddr>, Trouble> {
    let surroundings = keys::Surroundings::of_this_process(patience);
    let region = match &aws.region {
        Some(region) => region.clone(),
        None => surroundings.region().await?,
    };
    let credentials = surroundings.credentials(&aws.credentials).await?;
    let endpoint = Endpoint::of(aws, &region);
    let mut ips = Vec::new();
    let mut next = None;
    for _ in 0..PAGES_MAX {
        let page = page(aws, now, &credentials, &region, &endpoint, next.as_deref(), patience).await?;
        ips.extend(page.addresses);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    Ok(ips)
}

async fn page(
    aws: &Aws,
    now: UnixMillis,
    credentials: &Credentials,
    region: &str,
    endpoint: &Endpoint,
    next: Option<&str>,
    patience: Patience,
) -> Result<Page, Trouble> {
    let form = describe_instances(aws, next);
    let headers = signed(now, credentials, region, "ec2", &endpoint.host, &form);
    let (name, port) = endpoint.name_and_port();
    let request = Request {
        method: "POST",
        name,
        port,
        is_encrypted: endpoint.is_encrypted,
        path: "/",
        headers: headers.iter().map(|header| (header.name, header.value.as_str())).collect(),
        body: form,
    };
    let (status, body) = http::call(request, patience).await?;
    if status >= 500 {
        return Err(Trouble::Passing(format!("{name} answers with status {status}")));
    }
    read_page(&body, aws.use_public_address).map_err(Trouble::Lasting)
}

#[cfg(test)]
mod tests;
