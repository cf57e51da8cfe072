//! A wake-up that is never lost: raised once, taken once, by one waiting thread.
//!
//! A channel of one would do as well; this needs no receiver to be alive and can be raised from any number of threads.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use crate::Waker;

#[derive(Clone, Debug, Default)]
pub(crate) struct Signal(Arc<(Mutex<bool>, Condvar)>);

impl Signal {
    pub(crate) fn waker(&self) -> Waker {
        let signal = self.clone();
        Waker::new(move || signal.raise())
    }

    pub(crate) fn raise(&self) {
        let (raised, condition) = &*self.0;
        *raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        condition.notify_one();
    }

    /// Waits until it is raised or the time is over, and lowers it; says whether it was raised. Zero never waits.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let (raised, condition) = &*self.0;
        let raised = raised.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut raised, _) =
            condition.wait_timeout_while(raised, timeout, |raised| !*raised).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *raised)
    }
}
