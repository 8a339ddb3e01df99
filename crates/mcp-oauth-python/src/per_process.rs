//! A value that a forked process makes again.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::OnceCell;

use crate::runtime::generation;

/// A value that is made when it is first used, once in each process. It has connections, locks and tasks,
/// which a forked process can neither use nor close.
pub(crate) struct PerProcess<T>(ArcSwap<Slot<T>>);

/// The value of one process. One of a parent process is never dropped.
pub(crate) struct Slot<T> {
    generation: u64,
    value: OnceCell<T>,
}

impl<T> PerProcess<T> {
    /// Creates it without a value, or with the one of this process.
    pub(crate) fn new(value: Option<T>) -> Self {
        Self(ArcSwap::from_pointee(Slot::new(value)))
    }

    /// Returns the slot of this process.
    pub(crate) fn slot(&self) -> Arc<Slot<T>> {
        let slot = self.0.load_full();
        if slot.is_current() {
            return slot;
        }
        let own = Arc::new(Slot::new(None));
        let before = self.0.compare_and_swap(&slot, Arc::clone(&own));
        if Arc::ptr_eq(&before, &slot) {
            own
        } else {
            Arc::clone(&before)
        }
    }

    /// Calls `work` with the value of this process, if it is made.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&T) -> R) -> Option<R> {
        let slot = self.0.load();
        slot.is_current()
            .then(|| slot.value.get())
            .flatten()
            .map(work)
    }
}

impl<T> Slot<T> {
    fn new(value: Option<T>) -> Self {
        Self {
            generation: generation(),
            value: OnceCell::new_with(value),
        }
    }

    fn is_current(&self) -> bool {
        self.generation == generation()
    }

    /// Returns the value, made by `make` if it does not exist. A failure is returned and not kept.
    pub(crate) async fn get_or_make<E>(
        &self,
        make: impl Future<Output = Result<T, E>>,
    ) -> Result<&T, E> {
        self.value.get_or_try_init(|| make).await
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if !self.is_current() {
            std::mem::forget(std::mem::take(&mut self.value));
        }
    }
}
