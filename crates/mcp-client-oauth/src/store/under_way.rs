//! What was begun and nobody waits for, until somebody asks whether it has ended.

use tokio::{runtime::Handle, sync::watch};

/// How much is under way. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay(watch::Sender<usize>);

/// One work, until it ends, however it does.
#[derive(Debug)]
pub(crate) struct Running(watch::Sender<usize>);

impl UnderWay {
    /// Does something that nobody waits for, if there is a runtime to do it.
    pub(crate) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let running = self.running();
        runtime.spawn(async move {
            let _until_it_ends = running;
            work.await;
        });
    }

    /// Counts one more work until the guard is dropped.
    pub(crate) fn running(&self) -> Running {
        self.0.send_modify(|count| *count += 1);
        Running(self.0.clone())
    }

    /// Waits until nothing is under way. Whoever gives up waiting stops nothing.
    pub(crate) async fn settle(&self) {
        // It fails only if there is no sender, and this is one.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        time::Duration,
    };

    use tokio::{sync::Notify, time::timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_stops_nothing() {
        let (under_way, may_end) = (UnderWay::default(), Arc::new(Notify::new()));
        let is_done = Arc::new(AtomicBool::new(false));
        let (told, done) = (Arc::clone(&may_end), Arc::clone(&is_done));
        under_way.begin(async move {
            told.notified().await;
            done.store(true, Ordering::SeqCst);
        });
        let limit = Duration::from_secs(1);
        assert!(timeout(limit, under_way.settle()).await.is_err());
        may_end.notify_one();
        timeout(limit, under_way.clone().settle()).await.unwrap();
        assert!(is_done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_work_that_panics_has_ended() {
        let under_way = UnderWay::default();
        under_way.begin(async { panic!("in a test") });
        under_way.settle().await;
    }
}
