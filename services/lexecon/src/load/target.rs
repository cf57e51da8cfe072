//! Where load goes: the address of a running system, parsed once.

use http::uri::{Scheme, Uri};

/// A running system.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host and port, as a socket wants them.
    pub address: String,
    /// Value of the `host` header.
    pub host: String,
    /// What comes before `/v1` in every path.
    pub prefix: String,
    /// Value of the `authorization` header.
    pub authorization: Option<String>,
}

/// Why an address is none.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It does not parse, or has no host.
    #[error("{url} is no address of a system; use http://HOST:PORT")]
    Malformed {
        /// As given.
        url: String,
    },
    /// Another scheme.
    #[error("{url} is not http; load is sent without TLS, so use the address behind the one that ends TLS")]
    Scheme {
        /// As given.
        url: String,
    },
}

impl Target {
    /// Parses an address. `token` is sent as bearer token.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn new(url: &str, token: Option<&str>) -> Result<Target, TargetError> {
        let malformed = || TargetError::Malformed { url: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(TargetError::Scheme { url: url.to_owned() });
        }
        let authority = uri.authority().ok_or_else(malformed)?;
        Ok(Target {
            address: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)),
            host: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            authorization: token.map(|token| format!("Bearer {token}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |url: &str, expected: Option<(&str, &str)>| {
            let found = Target::new(url, None).ok();
            assert_eq!(found.as_ref().map(|t| (t.address.as_str(), t.prefix.as_str())), expected, "{url}");
        };
        check("http://127.0.0.1:8480", Some(("127.0.0.1:8480", "")));
        check("http://localhost/", Some(("localhost:80", "")));
        check("http://[::1]:8480/gateway/", Some(("[::1]:8480", "/gateway")));
        check("https://localhost", None);
        check("127.0.0.1:8480", None);
        check("", None);
    }
}
