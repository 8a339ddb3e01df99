//! Stand-ins for the outside world, for tests of this crate and of applications that use it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tokio::sync::Notify;
use url::Url;

use crate::{
    mutex::lock,
    platform::{
        Clock, DevicePrompt, HttpClient, HttpError, HttpErrorKind, Interaction, Request, Response,
    },
};

/// A clock that stands still until it is moved. Whoever sleeps is woken when the time has come.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Time>);

#[derive(Debug)]
struct Time {
    now: Mutex<SystemTime>,
    moved: Notify,
    slept: Mutex<Vec<Duration>>,
    /// Says whether a sleep moves the clock itself, as if time flew.
    flies: bool,
}

impl ManualClock {
    /// Starts at `now`.
    pub fn new(now: SystemTime) -> Self {
        Self::made(now, false)
    }

    /// Starts at `now`, and a sleep ends at once, with the clock moved by its length.
    pub fn auto_advancing(now: SystemTime) -> Self {
        Self::made(now, true)
    }

    fn made(now: SystemTime, flies: bool) -> Self {
        let (now, slept) = (Mutex::new(now), Mutex::default());
        Self(Arc::new(Time {
            now,
            moved: Notify::new(),
            slept,
            flies,
        }))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        *lock(&self.0.now) += by;
        self.0.moved.notify_waiters();
    }

    /// Sets the clock, also backward.
    pub fn set(&self, now: SystemTime) {
        *lock(&self.0.now) = now;
        self.0.moved.notify_waiters();
    }

    /// Returns every sleep that was asked for, in order.
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
        if self.0.flies {
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

/// An HTTP client that plays a script and remembers what it was asked.
#[derive(Debug, Default)]
pub struct ScriptedHttp {
    script: Mutex<VecDeque<Result<Response, HttpErrorKind>>>,
    requests: Mutex<Vec<Request>>,
}

impl ScriptedHttp {
    /// With these answers, one for each request, in order.
    pub fn new(script: impl IntoIterator<Item = Result<Response, HttpErrorKind>>) -> Self {
        Self {
            script: Mutex::new(script.into_iter().collect()),
            requests: Mutex::default(),
        }
    }

    /// Returns what was asked, in order.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }
}

#[async_trait]
impl HttpClient for ScriptedHttp {
    /// When the script is over, nobody is there.
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let url = request.url.clone();
        lock(&self.requests).push(request);
        tokio::task::yield_now().await;
        let over = || Err(HttpErrorKind::Connect("the script is over".to_owned()));
        let next = lock(&self.script).pop_front();
        next.unwrap_or_else(over)
            .map_err(|cause| HttpError::new(&url, cause))
    }
}

/// A person who does nothing, and remembers what they were shown.
#[derive(Debug, Default)]
pub struct RecordedInteraction {
    opened: Mutex<Vec<Url>>,
    prompts: Mutex<Vec<DevicePrompt>>,
}

impl RecordedInteraction {
    /// Returns the URLs that were to be opened, in order.
    pub fn opened(&self) -> Vec<Url> {
        lock(&self.opened).clone()
    }

    /// Returns the codes that they were shown, in order.
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
