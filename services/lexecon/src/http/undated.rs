//! Requests that do not say when they occurred: each is dated once, so that a repeat is the same request and not another
//! body under the same id.
//!
//! The time of one that was answered stands in the ledger; that of one in flight is remembered here. What is remembered
//! is a pair of hashes with keys of this process and a time: no id of anybody. A process that has ended has nothing in
//! flight, so nothing is lost with it.

use std::hash::{BuildHasher, RandomState};

use domain::ids::Micros;
use domain::request::Request;
use quick_cache::sync::Cache;

/// First times of requests.
pub struct Undated {
    times: Cache<(u64, u64), Micros>,
    hashers: (RandomState, RandomState),
}

impl Undated {
    /// Remembers at most `max`; those asked for least are forgotten first.
    pub(super) fn new(max: usize) -> Undated {
        Undated { times: Cache::new(max), hashers: (RandomState::new(), RandomState::new()) }
    }

    /// When a request occurred: as it was dated first, as the ledger says (`known`), or as it is dated now.
    ///
    /// # Errors
    /// What `known` says.
    pub(super) fn first_time<E>(
        &self,
        request: &Request,
        known: impl FnOnce(&Request) -> Result<Option<Micros>, E>,
    ) -> Result<Micros, E> {
        let identity = (request.tenant.as_str(), request.actor.id.as_str(), request.request_id.as_str());
        let key = (self.hashers.0.hash_one(identity), self.hashers.1.hash_one(identity));
        if let Some(time) = self.times.get(&key) {
            return Ok(time);
        }
        let time = known(request)?.unwrap_or(request.occurred_at_us);
        // Of two at the same moment the first one's time counts for both.
        self.times.get_or_insert_with(&key, || Ok(time))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::http::json;

    fn at(id: &str, actor: &str, now_us: Micros) -> Request {
        let body = format!(r#"{{"request_id":"{id}","actor":{{"id":"{actor}"}},"action":"read"}}"#);
        json::request(body.as_bytes(), 16, now_us).unwrap()
    }

    #[test]
    fn a_repeat_has_the_first_time() {
        let undated = Undated::new(100);
        let first =
            |request: &Request, known: Option<Micros>| undated.first_time(request, |_| Ok::<_, ()>(known)).unwrap();
        assert_eq!(first(&at("r", "a", 1), None), 1);
        assert_eq!(first(&at("r", "a", 2), None), 1, "in flight");
        assert_eq!(first(&at("r", "b", 3), None), 3, "another actor's");
        assert_eq!(first(&at("s", "a", 4), Some(2)), 2, "in the ledger");
        assert_eq!(undated.first_time(&at("t", "a", 5), |_| Err("broken")), Err("broken"));
        assert_eq!(first(&at("t", "a", 6), None), 6, "a failure is not remembered");
    }
}
