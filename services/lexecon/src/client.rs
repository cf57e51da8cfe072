//! The other end of the interface, for the commands that reach a running system with `--url`.
//!
//! Answers come as JSON values, because commands print them; problems come typed, because commands act on them.
//! Deliberately not here: the load generator's connections, which must not share a pool.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode, Url, header};
use serde::Deserialize;
use serde_json::Value;

use crate::config::Secret;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FieldError {
    /// Where.
    pub path: String,
    /// Machine-readable.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// A place in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Coordinate {
    /// Partition.
    pub partition: u32,
    /// Number in its chain.
    pub seq: u64,
    /// Hexadecimal.
    pub event_hash: String,
}

/// Problem details as they come over the wire. Unknown members are allowed: a newer server may say more.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// Status code.
    pub status: u16,
    /// Machine-readable.
    pub code: String,
    /// The kind of problem in words.
    #[serde(default)]
    pub title: String,
    /// This problem in words.
    #[serde(default)]
    pub detail: String,
    /// Id of the request, for the server's log.
    #[serde(default)]
    pub instance: String,
    /// Fields at fault.
    #[serde(default)]
    pub errors: Vec<FieldError>,
    /// Why a recorded refusal was made.
    #[serde(default)]
    pub reason_code: Option<String>,
    /// Where it is recorded.
    #[serde(default)]
    pub ledger: Option<Coordinate>,
    /// Where a pending request is asked for.
    #[serde(default)]
    pub location: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no URL of ours.
    #[error("the url is not valid: {0}; write http://HOST:PORT")]
    Url(String),
    /// Nobody answers.
    #[error("{url} cannot be reached: {cause}; is `lexecon serve` running there?")]
    Unreachable {
        /// Where it was tried.
        url: String,
        /// What the system says.
        cause: String,
    },
    /// The server refused.
    #[error("{} ({}): {}", .0.title, .0.code, .0.detail)]
    Problem(Box<Problem>),
    /// Something else than Lexecon answered.
    #[error("{url} answered {status} with something that is no answer of Lexecon's; check the url")]
    Foreign {
        /// Where.
        url: String,
        /// The status.
        status: u16,
    },
}

impl Error {
    /// The problem, when the server gave one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Error::Problem(problem) => Some(problem),
            _ => None,
        }
    }
}

/// A running system.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
}

/// A JSON answer with the position that it reflects.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Status code: 200 or 202.
    pub status: u16,
    /// The header `lexecon-position`.
    pub position: Option<String>,
    /// The body.
    pub body: Value,
}

impl Client {
    /// For the system at `url`, with its token when it has one. `timeout` bounds each call but streams.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn new(url: &str, token: Option<Secret>) -> Result<Client, Error> {
        let base = Url::parse(url).map_err(|error| Error::Url(error.to_string()))?;
        if base.scheme() != "http" || base.host_str().is_none() {
            return Err(Error::Url("the scheme must be http".to_owned()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            // A proxy of the environment must not see what is decided.
            .no_proxy()
            .build()
            .map_err(|error| Error::Url(error.to_string()))?;
        Ok(Client { http, base, token })
    }

    /// `GET path?query`
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, Error> {
        answer(self.send(self.request(Method::GET, path, query)?).await?).await
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Result<Answer, Error> {
        let request =
            self.request(Method::POST, path, &[])?.header(header::CONTENT_TYPE, "application/json").body(body.into());
        answer(self.send(request).await?).await
    }

    /// `GET path?query` as a stream: exports and outcomes.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn stream(&self, path: &str, query: &[(&str, &str)], accept: &str) -> Result<Response, Error> {
        let request = self.request(Method::GET, path, query)?.header(header::ACCEPT, accept);
        let response = self.send(request).await?;
        if response.status() == StatusCode::OK { Ok(response) } else { Err(refusal(response).await) }
    }

    fn request(&self, method: Method, path: &str, query: &[(&str, &str)]) -> Result<reqwest::RequestBuilder, Error> {
        let mut url = self.base.join(path).map_err(|error| Error::Url(error.to_string()))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Error> {
        request.send().await.map_err(|error| Error::Unreachable { url: self.base.to_string(), cause: cause(&error) })
    }
}

/// The innermost cause, which says what happened; the outer ones repeat the URL.
fn cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}

async fn answer(response: Response) -> Result<Answer, Error> {
    if !response.status().is_success() {
        return Err(refusal(response).await);
    }
    let (status, url) = (response.status().as_u16(), response.url().to_string());
    let position = response.headers().get("lexecon-position").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let bytes =
        response.bytes().await.map_err(|error| Error::Unreachable { url: url.clone(), cause: cause(&error) })?;
    let body = serde_json::from_slice(&bytes).map_err(|_| Error::Foreign { url, status })?;
    Ok(Answer { status, position, body })
}

async fn refusal(response: Response) -> Error {
    let (status, url) = (response.status().as_u16(), response.url().to_string());
    match response.bytes().await {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_or(Error::Foreign { url, status }, |problem| Error::Problem(Box::new(problem))),
        Err(error) => Error::Unreachable { url, cause: cause(&error) },
    }
}
