//! Taking requests. Those of one call go together, so that look-ups, the lock of the waiting and the message to the log
//! cost once a call and not once a request.
//!
//! Invariants: whoever waits is registered before the request is sent, so that no answer is missed; nothing is taken
//! while readiness says no; and whoever joined a request that could not be sent is told so.

use std::sync::Arc;

use domain::command::Identity;
use domain::request::Request;
use domain::request::limits::REQUEST_BYTES_MAX;
use domain::routing::RoutingKey;
use eventlog::NewRecord;

use super::{Confirmation, Pending, SubmitError, Submitted, System, random};
use crate::keys::{NONCE_BYTES, queue};
use crate::owner;
use crate::runtime::submission::{Place, Receipt, Submission};
use crate::runtime::waiters::Told;

/// A request on its way to the log.
struct Prepared {
    place: Place,
    partition: u32,
    routing_key: RoutingKey,
    identity: Identity,
    bytes: Vec<u8>,
}

fn failed(why: impl ToString) -> SubmitError {
    SubmitError::Failed(why.to_string())
}

impl System {
    /// Takes a request: answers at once when it was answered before, joins one in flight, or sends it on its way.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was written then.
    pub fn submit(&self, request: &Request) -> Result<Submitted, SubmitError> {
        let mut all = self.submit_many(std::iter::once(request));
        all.pop().unwrap_or_else(|| Err(failed("nothing was submitted")))
    }

    /// As [`System::submit`], for each of several requests, in their order.
    pub fn submit_many<'a>(
        &self,
        requests: impl IntoIterator<Item = &'a Request>,
    ) -> Vec<Result<Submitted, SubmitError>> {
        let ready = self.must_be_ready();
        let prepare = |request| ready.clone().and_then(|()| self.prepare(request));
        let prepared: Vec<_> = requests.into_iter().map(prepare).collect();
        let asked: Vec<_> = prepared.iter().flatten().map(|one| (one.partition, one.identity)).collect();
        let mut known = self.reader.answered_many(&asked).map(Vec::into_iter);
        let mut sent = Vec::new();
        let mut submitted = Vec::with_capacity(prepared.len());
        for one in prepared {
            submitted.push(one.and_then(|one| match known.as_mut().map_err(failed)?.next() {
                Some(Some(view)) => Ok(Submitted::Repeat(Arc::new(view))),
                _ => self.wait(one, &mut sent),
            }));
        }
        if sent.is_empty() {
            return submitted;
        }
        match self.runtime.submit(sent) {
            Ok(()) => submitted,
            Err(error) => {
                let refuse = |one| match one {
                    Ok(Submitted::Pending(_)) => Err(SubmitError::NotReady(error.to_string())),
                    other => other,
                };
                submitted.into_iter().map(refuse).collect()
            }
        }
    }

    fn prepare(&self, request: &Request) -> Result<Prepared, SubmitError> {
        let place = self.place()?;
        let bytes = wire::encode_request(request).map_err(failed)?;
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(SubmitError::TooLarge { bytes: bytes.len(), limit: REQUEST_BYTES_MAX });
        }
        let deployment = self.data.deployment();
        let routing_key = RoutingKey::of(&request.tenant, &request.actor.id, deployment.routing);
        let partition = routing_key.partition(deployment.partitions);
        let index = self.secrets.index_key(&request.tenant);
        let identity = owner::identify(&index, &routing_key, request, &bytes).map_err(failed)?;
        Ok(Prepared { place, partition, routing_key, identity, bytes })
    }

    /// Registers for the answer, and seals the request unless the same one is in flight.
    fn wait(&self, one: Prepared, sent: &mut Vec<Submission>) -> Result<Submitted, SubmitError> {
        let Prepared { place, partition, routing_key, identity, bytes } = one;
        let own = Receipt::new(identity, place);
        let (listener, joined) = self.runtime.waiters.register(&own);
        if joined.is_none() {
            match self.seal(partition, &routing_key, &bytes) {
                Ok(record) => sent.push(Submission { record, receipt: own.clone() }),
                Err(error) => {
                    // Others may have joined by now.
                    let reason = error.to_string().into();
                    self.runtime.waiters.tell([(identity, Told::NotTaken { reason })]);
                    return Err(error);
                }
            }
        }
        let receipt = joined.unwrap_or_else(|| own.clone());
        let confirmation =
            Confirmation { confirmer: self.runtime.confirmer(), receipt, waiters: self.runtime.waiters.clone() };
        Ok(Submitted::Pending(Pending { listener, confirmation, _own: own, partition, reader: self.reader.clone() }))
    }

    fn seal(&self, partition: u32, routing_key: &RoutingKey, bytes: &[u8]) -> Result<NewRecord, SubmitError> {
        let nonce: [u8; NONCE_BYTES] = random().map_err(failed)?;
        let framed = wire::framing::join(wire::NEWEST, bytes);
        let mut record = queue::seal_request(&self.secrets, partition, &framed, nonce).map_err(failed)?;
        record.key = routing_key.record_key().to_vec();
        Ok(record)
    }
}
