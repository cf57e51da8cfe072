//! What all streams have in common: a permit that is given back, and a gauge that shows it, when the stream ends in
//! whatever way.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use metrics::gauge;
use tokio::sync::OwnedSemaphorePermit;

use crate::telemetry::metrics as table;

/// An open stream.
pub(super) struct Held {
    _permit: OwnedSemaphorePermit,
}

impl Held {
    pub(super) fn new(permit: OwnedSemaphorePermit) -> Held {
        gauge!(table::HTTP_STREAMS).increment(1.0);
        Held { _permit: permit }
    }

    /// The stream, held until it is dropped.
    pub(super) fn with<S>(self, stream: S) -> Holding<S> {
        Holding { stream, _held: self }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        gauge!(table::HTTP_STREAMS).decrement(1.0);
    }
}

/// A stream with its permit.
pub(super) struct Holding<S> {
    stream: S,
    _held: Held,
}

impl<S: Stream + Unpin> Stream for Holding<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        Pin::new(&mut self.stream).poll_next(cx)
    }
}
