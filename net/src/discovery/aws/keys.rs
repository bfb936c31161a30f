//! Who asks, and where it is: by the configuration, the environment, or the role of this instance.
//!
//! The metadata service of an instance (version 2: nothing without a token) lends keys for some hours. They are asked for
//! each time, like all the rest: that is twice a minute, to a service on the same machine.

use std::collections::BTreeMap;

use cresset_core::config::discovery::{AwsCredentials, Secret};
use cresset_core::discovery::aws::Credentials;
use serde::Deserialize;

use super::http::{self, Patience, Request, Trouble};

/// The metadata service of every instance.
const METADATA: &str = "169.254.169.254";

/// What is read of the environment, by the names that AWS's own programs read.
const VARIABLES: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
];

/// What can be known of where this process runs.
pub(super) struct Surroundings {
    variables: BTreeMap<&'static str, String>,
    patience: Patience,
}

/// The answer of the metadata service about a role.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Lent {
    access_key_id: String,
    secret_access_key: String,
    token: String,
}

impl Surroundings {
    pub(super) fn of_this_process(patience: Patience) -> Self {
        Surroundings::new(|name| std::env::var(name).ok(), patience)
    }

    pub(super) fn new(variable: impl Fn(&str) -> Option<String>, patience: Patience) -> Self {
        let read = |name| Some((name, variable(name).filter(|value| !value.is_empty())?));
        Surroundings { variables: VARIABLES.into_iter().filter_map(read).collect(), patience }
    }

    pub(super) async fn region(&self) -> Result<String, Trouble> {
        match self.variable("AWS_REGION").or(self.variable("AWS_DEFAULT_REGION")) {
            Some(region) => Ok(region.to_owned()),
            None => self.metadata("/latest/meta-data/placement/region").await,
        }
    }

    pub(super) async fn credentials(&self, said: &AwsCredentials) -> Result<Credentials, Trouble> {
        let role = match said {
            AwsCredentials::Key { access_key, secret_key } => {
                let (access_key, secret_key) = (access_key.clone(), secret_key.clone());
                return Ok(Credentials { access_key, secret_key, session_token: None });
            }
            AwsCredentials::Role(role) => role.clone(),
            AwsCredentials::Environment => match self.of_the_environment() {
                Some(credentials) => return Ok(credentials),
                None => self.metadata(ROLES).await?.lines().next().unwrap_or_default().to_owned(),
            },
        };
        let answer = self.metadata(&format!("{ROLES}{role}")).await?;
        // What it cannot read is not shown: there may be a key in it.
        let lent: Lent = serde_json::from_str(&answer).map_err(|_unreadable| {
            Trouble::Lasting(format!("the metadata service lends no key for the role '{role}'"))
        })?;
        Ok(Credentials {
            access_key: lent.access_key_id,
            secret_key: Secret::new(lent.secret_access_key),
            session_token: Some(Secret::new(lent.token)),
        })
    }

    fn of_the_environment(&self) -> Option<Credentials> {
        Some(Credentials {
            access_key: self.variable("AWS_ACCESS_KEY_ID")?.to_owned(),
            secret_key: Secret::new(self.variable("AWS_SECRET_ACCESS_KEY")?),
            session_token: self.variable("AWS_SESSION_TOKEN").map(Secret::new),
        })
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    async fn metadata(&self, path: &str) -> Result<String, Trouble> {
        let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
        let token = self.ask("PUT", "/latest/api/token", ttl).await?;
        self.ask("GET", path, ("x-aws-ec2-metadata-token", token.trim())).await
    }

    async fn ask(&self, method: &'static str, path: &str, header: (&str, &str)) -> Result<String, Trouble> {
        let endpoint = self.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(METADATA);
        let host = endpoint.trim_start_matches("http://").trim_end_matches('/');
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) => (name, port.parse().unwrap_or(80)),
            None => (host, 80),
        };
        let headers = vec![("host", host), header];
        let request = Request { method, name, port, is_encrypted: false, path, headers, body: String::new() };
        match http::call(request, self.patience).await? {
            (200, body) => Ok(body),
            (status, _) if status >= 500 => Err(Trouble::Passing(format!("the metadata service: status {status}"))),
            (status, _) => Err(Trouble::Lasting(format!("the metadata service: status {status} for {path}"))),
        }
    }
}

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
