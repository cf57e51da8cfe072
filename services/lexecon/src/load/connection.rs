//! One HTTP connection of the load: send a body, get status and body. Reconnects when it was closed.
//!
//! hyper's connection directly and not a pooling client: a pool decides which connection a request takes, and then the
//! number of connections is no longer what was asked for, and its bookkeeping costs as much as a small decision.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::target::Target;

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoAnswer {
    /// No connection.
    Connect,
    /// The connection ended, or what came is no HTTP.
    Broken,
    /// Nothing came in time.
    TimedOut,
}

impl NoAnswer {
    /// As it is reported.
    pub fn as_str(self) -> &'static str {
        match self {
            NoAnswer::Connect => "could not connect",
            NoAnswer::Broken => "connection broken",
            NoAnswer::TimedOut => "no answer in time",
        }
    }
}

/// A connection, open or not.
pub struct Connection<'a> {
    target: &'a Target,
    timeout: Duration,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl<'a> Connection<'a> {
    /// Not open yet: the first call opens it.
    pub fn new(target: &'a Target, timeout: Duration) -> Connection<'a> {
        Connection { target, timeout, open: None }
    }

    /// Posts JSON. A connection that the server had closed is opened anew once; after any failure it is dropped,
    /// because what else comes on it belongs to nobody.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn post(&mut self, path: &str, body: Bytes) -> Result<(u16, Bytes), NoAnswer> {
        match tokio::time::timeout(self.timeout, self.exchange(path, body)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.open = None;
                Err(error)
            }
            Err(_) => {
                self.open = None;
                Err(NoAnswer::TimedOut)
            }
        }
    }

    async fn exchange(&mut self, path: &str, body: Bytes) -> Result<(u16, Bytes), NoAnswer> {
        let mut kept = self.open.take();
        let is_open = match &mut kept {
            Some(open) => open.ready().await.is_ok(),
            None => false,
        };
        let mut sender = match kept.filter(|_| is_open) {
            Some(open) => open,
            None => self.connect().await?,
        };
        let mut request = http::Request::post(format!("{}{path}", self.target.prefix))
            .header(http::header::HOST, &self.target.host)
            .header(http::header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.target.authorization {
            request = request.header(http::header::AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body)).map_err(|_| NoAnswer::Broken)?;
        let response = sender.send_request(request).await.map_err(|_| NoAnswer::Broken)?;
        let status = response.status().as_u16();
        let body =
            Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|_| NoAnswer::Broken)?;
        self.open = Some(sender);
        Ok((status, body.to_bytes()))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, NoAnswer> {
        let stream = TcpStream::connect(&self.target.address).await.map_err(|_| NoAnswer::Connect)?;
        // Without it a small body waits for the acknowledgement of the header before it.
        let _ = stream.set_nodelay(true);
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer::Connect)?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
