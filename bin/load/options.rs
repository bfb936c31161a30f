//! What every subcommand is told: where the service is, who logs in, what to watch, how to report.

use crate::client::{Account, CertificatePolicy, Mechanism, Server, TlsMode, fingerprint};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Most accounts of one run.
const USERS_MAX: u32 = 1_000_000;

/// Options that all subcommands share.
#[derive(Debug, Clone, Args)]
pub(crate) struct Service {
    /// Addresses of the nodes, host:port; several by repeating it or by commas.
    #[arg(long, value_name = "HOST:PORT", required = true, value_delimiter = ',')]
    pub(crate) address: Vec<String>,
    /// The XMPP domain.
    #[arg(long, value_name = "DOMAIN", default_value = "localhost")]
    pub(crate) domain: String,
    /// When to encrypt.
    #[arg(long, value_enum, default_value = "starttls")]
    pub(crate) tls: TlsMode,
    /// Which certificate to believe: 'any', 'sha256:FINGERPRINT' (also for one that signed itself), or one signed
    /// by 'ca:FILE', a file in PEM.
    #[arg(long, value_name = "POLICY", default_value = "any", value_parser = parse_trust)]
    pub(crate) trust: CertificatePolicy,
    /// The SASL mechanism; without it the strongest that is offered (PLAIN only if encrypted).
    #[arg(long, value_enum)]
    pub(crate) mechanism: Option<Mechanism>,
    /// Names of the users; %d is replaced by a number.
    #[arg(long, value_name = "PATTERN", default_value = "user%d")]
    pub(crate) user: String,
    /// Number of the first user.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) first: u32,
    /// Password of all users; %d is replaced by the user's number.
    #[arg(long, value_name = "PATTERN", env = "CRESSET_LOAD_PASSWORD", hide_env_values = true)]
    pub(crate) password: String,
    /// Log-ins under way at the same time.
    #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) connections: u32,
    /// Threads of the generator itself.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) threads: u32,
    /// How long a log-in may take.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    pub(crate) patience: Duration,
    /// Process ids of the servers, to report their processor time and memory.
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub(crate) pid: Vec<u32>,
    /// Print the report as one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// End with exit code 1 if anything failed or was lost.
    #[arg(long)]
    pub(crate) strict: bool,
}

impl Service {
    /// What a log-in needs.
    ///
    /// # Errors
    /// The file of authorities cannot be used.
    pub(crate) fn server(&self) -> anyhow::Result<Server> {
        let mut server = Server::new(&self.domain, self.tls, &self.trust)?;
        server.mechanism = self.mechanism;
        server.patience = self.patience;
        Ok(server)
    }

    /// The account of this index, with this resource.
    pub(crate) fn account(&self, index: u32, resource: Option<&str>) -> Account {
        let number = self.first.saturating_add(index).to_string();
        Account {
            user: self.user.replace("%d", &number),
            password: self.password.replace("%d", &number),
            resource: resource.map(str::to_owned),
        }
    }

    /// The address for this index: they take turns.
    pub(crate) fn address_of(&self, index: usize) -> usize {
        index % self.address.len()
    }
}

/// Reads a number of seconds, with a fraction if wanted.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected seconds, such as 10 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|seconds| *seconds <= Duration::from_secs(30 * 24 * 3600))
        .ok_or_else(|| "expected seconds between 0 and 30 days".to_owned())
}

/// Reads a number of users.
pub(crate) fn parse_users(text: &str) -> Result<u32, String> {
    let users = text.parse().ok().filter(|users| (1..=USERS_MAX).contains(users));
    users.ok_or_else(|| format!("expected a number from 1 to {USERS_MAX}"))
}

fn parse_trust(text: &str) -> Result<CertificatePolicy, String> {
    let expected = "expected 'any', 'sha256:<64 hexadecimal digits>' or 'ca:<file>'";
    match text.split_once(':') {
        None if text == "any" => Ok(CertificatePolicy::Any),
        Some(("sha256", pin)) => fingerprint(pin).map(CertificatePolicy::Pinned).ok_or_else(|| expected.to_owned()),
        Some(("ca", path)) if !path.is_empty() => Ok(CertificatePolicy::Authority(PathBuf::from(path))),
        None | Some(_) => Err(expected.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_trust_is_read_or_refused() {
        assert_eq!(parse_trust("any"), Ok(CertificatePolicy::Any));
        assert_eq!(parse_trust(&format!("sha256:{}", "0f".repeat(32))), Ok(CertificatePolicy::Pinned([0x0f; 32])));
        assert_eq!(parse_trust("ca:/a:b"), Ok(CertificatePolicy::Authority(PathBuf::from("/a:b"))));
        for wrong in ["", "all", "sha256:12", "ca:", "md5:00"] {
            assert!(parse_trust(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_have_bounds() {
        assert_eq!(parse_seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["-1", "NaN", "inf", "1e30", "x"] {
            assert!(parse_seconds(wrong).is_err(), "{wrong}");
        }
    }
}
