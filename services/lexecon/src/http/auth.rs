//! The one static bearer token, until there are accounts. Without a token everybody who reaches the loopback address
//! may do everything; with one, everything but `/health/live` needs it.
//!
//! `/health/live` stays open, because whoever restarts a hung process must not need a secret, and it says nothing but
//! that the process answers.

use axum::http::{HeaderMap, header};
use ledger::hash::h3;
use subtle::ConstantTimeEq;

use crate::config::Secret;

/// The path that needs no token.
pub(super) const OPEN: &str = "/health/live";

/// Checks bearer tokens. Holds the token's hash only, so that comparing takes the same time for every length.
pub struct Auth(Option<[u8; 32]>);

impl Auth {
    pub(super) fn new(token: Option<&Secret>) -> Auth {
        Auth(token.map(|token| h3(&[token.reveal().as_bytes()]).0))
    }

    /// Whether a request with these headers may go on.
    pub(super) fn allows(&self, path: &str, headers: &HeaderMap) -> bool {
        let Some(expected) = &self.0 else { return true };
        if path == OPEN {
            return true;
        }
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return false };
        let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else { return false };
        scheme.eq_ignore_ascii_case("bearer") && bool::from(h3(&[token.trim().as_bytes()]).0.ct_eq(expected))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_token_opens() {
        let auth = Auth::new(Some(&Secret::new("0123456789abcdef".into())));
        let check = |path: &str, values: &[&str], allowed: bool| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(auth.allows(path, &headers), allowed, "{path} {values:?}");
        };
        check("/v1/decisions", &["Bearer 0123456789abcdef"], true);
        check("/v1/decisions", &["bearer 0123456789abcdef"], true);
        check("/v1/decisions", &["Bearer 0123456789abcdeF"], false);
        check("/v1/decisions", &["Bearer 0123456789abcde"], false);
        check("/v1/decisions", &["Bearer "], false);
        check("/v1/decisions", &["Basic 0123456789abcdef"], false);
        check("/v1/decisions", &["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"], false);
        check("/v1/decisions", &[], false);
        check("/metrics", &[], false);
        check("/health", &[], false);
        check(OPEN, &[], true);
        assert!(Auth::new(None).allows("/v1/decisions", &HeaderMap::new()));
    }
}
