//! Connections: accepting them, bounding them, and letting them end well.
//!
//! hyper-util with a timer instead of `axum::serve`, which has no time-out for headers. Every wait for a peer is
//! bounded: for a header (and between requests), for a body ([`super::body`]), for an answer to be taken
//! ([`super::timed`]); the number of connections is bounded by [`super::connection`].

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use metrics::{counter, gauge};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

use super::connection::{Connection, Connections, Entered};
use super::timed::Timed;
use crate::config::Http;
use crate::telemetry::metrics as table;

const BACKLOG: u32 = 1024;
/// After an error of `accept` (too many open files, most often) nothing is gained by trying at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound listener.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    settings: Http,
}

impl Server {
    /// Binds the address of the settings.
    ///
    /// # Errors
    /// What the system says: in use, not ours, not allowed.
    pub fn bind(settings: &Http) -> io::Result<Server> {
        let socket = if settings.listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not fail because connections of the process before it linger.
        socket.set_reuseaddr(true)?;
        socket.bind(settings.listen)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Server { listener, address, settings: settings.clone() })
    }

    /// Where it listens; with port 0 in the settings, the port that was free.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stopping` is true, then until what was begun has been answered, `drain` at most. Says whether all
    /// of it was.
    pub async fn run(self, router: Router, mut stopping: watch::Receiver<bool>, drain: Duration) -> bool {
        let connections = Connections::new(self.settings.connections_max);
        let graceful = GracefulShutdown::new();
        let mut next_id: u64 = 0;
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    next_id = next_id.wrapping_add(1);
                    self.take(stream, next_id, &connections, &router, &graceful);
                }
                Err(error) => {
                    tracing::warn!(cause = %error, "a connection could not be accepted; raise the limit of open files?");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        tokio::time::timeout(drain, graceful.shutdown()).await.is_ok()
    }

    fn take(
        &self,
        stream: TcpStream,
        id: u64,
        connections: &Connections,
        router: &Router,
        graceful: &GracefulShutdown,
    ) {
        counter!(table::HTTP_ACCEPTED).increment(1);
        let Some(Entered { connection, evicted }) = connections.enter(id) else {
            counter!(table::HTTP_CUT, "why" => "evicted").increment(1);
            return;
        };
        if let Some(evicted) = evicted {
            counter!(table::HTTP_CUT, "why" => "evicted").increment(1);
            evicted.evicted.notify_one();
        }
        // Answers are small; waiting to fill a segment would only delay them.
        let _ = stream.set_nodelay(true);
        let expired = Arc::new(AtomicBool::new(false));
        let stream = Timed::new(stream, Duration::from_millis(self.settings.write_timeout_ms), Arc::clone(&expired));
        let serving = builder(&self.settings)
            .serve_connection(TokioIo::new(stream), answering(router.clone(), Arc::clone(&connection)));
        let serving = graceful.watch(serving);
        let connections = connections.clone();
        shown(&connections);
        tokio::spawn(async move {
            tokio::select! {
                served = serving => if served.is_err() {
                    let why = if expired.load(Ordering::Relaxed) { "write_timeout" } else { "broken" };
                    counter!(table::HTTP_CUT, "why" => why).increment(1);
                },
                () = connection.evicted.notified() => {}
            }
            connections.leave(id);
            shown(&connections);
        });
    }
}

fn shown(connections: &Connections) {
    gauge!(table::HTTP_CONNECTIONS)
        .set(crate::telemetry::precise(u64::try_from(connections.count()).unwrap_or(u64::MAX)));
}

fn builder(settings: &Http) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(settings.header_timeout_ms))
        .max_headers(settings.header_fields_max)
        .max_header_size(settings.header_bytes_max)
        .keep_alive(true);
    builder
}

fn answering(
    router: Router,
    connection: Arc<Connection>,
) -> impl hyper::service::HttpService<Incoming, ResBody = Guarded, Error = Infallible, Future: Send> {
    service_fn(move |request: hyper::Request<Incoming>| {
        let connection = Arc::clone(&connection);
        let request = request.map(|body| Body::new(Arriving::new(body, Arc::clone(&connection))));
        let answer = router.clone().oneshot(request);
        async move { answer.await.map(|response| response.map(|body| Guarded { body, _sent: Sent(connection) })) }
    })
}

/// A request's body that tells its connection when it is there completely.
struct Arriving {
    body: Incoming,
    connection: Arc<Connection>,
}

impl Arriving {
    fn new(body: Incoming, connection: Arc<Connection>) -> Arriving {
        if body.is_end_stream() {
            connection.received();
        }
        Arriving { body, connection }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.connection.received();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Tells its connection that an answer is sent.
struct Sent(Arc<Connection>);

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// An answer's body that tells its connection when it is sent completely.
pub(super) struct Guarded {
    body: Body,
    _sent: Sent,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
