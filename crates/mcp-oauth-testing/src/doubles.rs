//! Test doubles of the clock, the network and the interaction with the user.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tokio::sync::Notify;
use url::Url;

use mcp_client_oauth::{
    error::{HttpError, HttpErrorKind},
    platform::{Clock, DevicePrompt, HttpClient, Interaction, Request, Response},
};

/// Locks `mutex`, also after another thread panicked while it held the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that advances only when a test moves it. A sleep ends when the clock has reached its end.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Time>);

#[derive(Debug)]
struct Time {
    now: Mutex<SystemTime>,
    moved: Notify,
    slept: Mutex<Vec<Duration>>,
    /// Says whether a sleep advances the clock and ends at once.
    auto_advances: bool,
}

impl ManualClock {
    /// Creates a clock that shows `now`.
    pub fn new(now: SystemTime) -> Self {
        Self::create(now, false)
    }

    /// Creates a clock that shows `now`. A sleep moves it by its length and ends at once.
    pub fn auto_advancing(now: SystemTime) -> Self {
        Self::create(now, true)
    }

    fn create(now: SystemTime, auto_advances: bool) -> Self {
        let (now, slept) = (Mutex::new(now), Mutex::default());
        Self(Arc::new(Time {
            now,
            moved: Notify::new(),
            slept,
            auto_advances,
        }))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        *lock(&self.0.now) += by;
        self.0.moved.notify_waiters();
    }

    /// Sets the clock, forward or backward.
    pub fn set(&self, now: SystemTime) {
        *lock(&self.0.now) = now;
        self.0.moved.notify_waiters();
    }

    /// Returns the lengths of all sleeps, in order.
    pub fn slept(&self) -> Vec<Duration> {
        lock(&self.0.slept).clone()
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *lock(&self.0.now)
    }

    async fn sleep(&self, duration: Duration) {
        lock(&self.0.slept).push(duration);
        let until = self.now() + duration;
        if self.0.auto_advances {
            self.advance(duration);
        }
        loop {
            let moved = self.0.moved.notified();
            if self.now() >= until {
                return;
            }
            moved.await;
        }
    }
}

/// An HTTP client that returns scripted responses and records the requests.
#[derive(Debug, Default)]
pub struct ScriptedHttp {
    script: Mutex<VecDeque<Result<Response, HttpErrorKind>>>,
    requests: Mutex<Vec<Request>>,
}

impl ScriptedHttp {
    /// Creates a client with these responses, one for each request, in order.
    pub fn new(script: impl IntoIterator<Item = Result<Response, HttpErrorKind>>) -> Self {
        Self {
            script: Mutex::new(script.into_iter().collect()),
            requests: Mutex::default(),
        }
    }

    /// Returns the requests, in order.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }
}

#[async_trait]
impl HttpClient for ScriptedHttp {
    /// Returns the next response of the script. After the last one every request fails.
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let url = request.url.clone();
        lock(&self.requests).push(request);
        tokio::task::yield_now().await;
        let over = || Err(HttpErrorKind::Connect("the script has ended".to_owned()));
        let next = lock(&self.script).pop_front();
        next.unwrap_or_else(over)
            .map_err(|cause| HttpError::new(&url, cause))
    }
}

/// An interaction that does nothing, and records what it would show.
#[derive(Debug, Default)]
pub struct RecordedInteraction {
    opened: Mutex<Vec<Url>>,
    prompts: Mutex<Vec<DevicePrompt>>,
}

impl RecordedInteraction {
    /// Returns the URLs that it would open, in order.
    pub fn opened(&self) -> Vec<Url> {
        lock(&self.opened).clone()
    }

    /// Returns the prompts that it would show, in order.
    pub fn prompts(&self) -> Vec<DevicePrompt> {
        lock(&self.prompts).clone()
    }
}

#[async_trait]
impl Interaction for RecordedInteraction {
    async fn open(&self, url: &Url) {
        lock(&self.opened).push(url.clone());
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        lock(&self.prompts).push(prompt.clone());
    }
}
