//! The URL of a database, which may hold a password and so is never shown whole.

use std::fmt;

/// Where a PostgreSQL database is and who we are there: `postgresql://user:password@host/database`.
///
/// Whoever shows it shows it without its password; only [`DatabaseUrl::expose`] has that. What the driver makes of the
/// rest is its business.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// A text that is no such URL, as it may be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NoDatabaseUrl(pub(super) String);

/// How such URLs begin.
const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

impl DatabaseUrl {
    /// Takes what has the form of one: a scheme and a host.
    pub(super) fn new(text: &str) -> Result<DatabaseUrl, NoDatabaseUrl> {
        let refused = || NoDatabaseUrl(without_password(text));
        let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)).ok_or_else(refused)?;
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(refused());
        }
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, _) = place.split_once('/').unwrap_or((place, ""));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let is_named_apart =
            parameters.split('&').any(|part| part.starts_with("host=") || part.starts_with("hostaddr="));
        if host.is_empty() && !is_named_apart {
            return Err(refused());
        }
        Ok(DatabaseUrl(text.to_owned()))
    }

    /// Whether there is a password in it.
    pub(super) fn has_password(&self) -> bool {
        without_password(&self.0) != self.0
    }

    /// All of it, for the driver alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// The text with whatever may be a password left out, also if it is not quite a URL: a password with an unescaped `/`,
/// `?` or `@` must not be shown because of that.
fn without_password(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = text.split_at(start);
    let shown = match rest.rsplit_once('@') {
        Some((who, place)) => match who.split_once(':') {
            Some((user, _)) => format!("{scheme}{user}:…@{place}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    };
    match shown.split_once("password=") {
        Some((before, after)) => {
            let others = after.find(['&', ' ']).map_or("", |end| &after[end..]);
            format!("{before}password=…{others}")
        }
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_scheme_and_a_host_is_taken() {
        for text in [
            "postgresql://db.example",
            "postgres://cresset@db.example:5432/cresset?sslmode=require",
            "postgresql://cresset:p%40ss@[2001:db8::1]/cresset",
            "postgresql://a.example,b.example/cresset",
            "postgresql:///cresset?host=/run/postgresql",
            "postgresql://%2Frun%2Fpostgresql/cresset",
        ] {
            let url = DatabaseUrl::new(text).expect("a URL");
            assert_eq!((url.expose(), url.has_password()), (text, text.contains("p%40ss")));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "cresset", "mysql://db", "postgresql:db", "postgresql://", "postgresql:///c", "postgresql://d b"]
        {
            assert!(DatabaseUrl::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for text in [
            "postgresql://u:hidden@h/d",
            "postgresql://u:hid/den@h/d",
            "postgresql://u:hid?den@h/d",
            "postgresql://u:hid@den@h/d",
            "postgresql://u:hid:den@h/d",
            "postgresql://u@h/d?password=hidden&sslmode=require",
            "u:hidden@h",
            "host=h password=hidden user=u",
            "postgresql://u:hid den@h",
        ] {
            let shown = match DatabaseUrl::new(text) {
                Ok(url) => {
                    assert!(url.has_password(), "{url}");
                    format!("{url} {url:?}")
                }
                Err(NoDatabaseUrl(shown)) => shown,
            };
            assert!(!shown.contains("hid") && !shown.contains("den"), "{shown}");
            assert!(shown.contains('u') && shown.contains('h'), "{shown}");
        }
    }
}
