//! The user at this terminal: sees the URL at once, gets a browser where one can be opened, and can paste
//! the URL that the browser ended on.

use std::{
    io::{BufRead as _, IsTerminal as _},
    process::{Command, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use async_trait::async_trait;
use mcp_client_oauth::platform::{Clock, DevicePrompt, Interaction, SECRET_VARIABLES};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use url::Url;

use crate::{
    config::absolute_path,
    status::moment,
    ui::{HEAD, SOFT, Spinner, Ui, WARN},
};

mod register_again;

use register_again::RegisterAgain;

/// The interaction with the user of the command.
#[derive(Debug)]
pub(crate) struct Terminal {
    ui: Ui,
    /// Says whether a browser is opened.
    browser: bool,
    pasted: OnceLock<AsyncMutex<mpsc::UnboundedReceiver<String>>>,
    waiting: Mutex<Option<Spinner>>,
    /// The offer to register again, for a client that is registered dynamically.
    register_again: Option<RegisterAgain>,
}

impl Terminal {
    pub(crate) fn new(ui: Ui, browser: bool) -> Self {
        Self {
            ui,
            browser,
            pasted: OnceLock::new(),
            waiting: Mutex::default(),
            register_again: None,
        }
    }

    /// Adds the offer to register the client again if no response comes, timed by `clock`.
    pub(crate) fn offering_registration(mut self, clock: Arc<dyn Clock>) -> Self {
        self.register_again = Some(RegisterAgain::new(clock));
        self
    }

    /// Returns when the user wants the client to be registered again.
    pub(crate) async fn registers_again(&self) {
        match &self.register_again {
            Some(offer) => offer.is_accepted().await,
            None => std::future::pending().await,
        }
    }

    fn offer_registration(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let offer = || {
            self.ui.say(format_args!(
                "{SOFT}No response yet. If the browser shows an error about the client, type r and \
                 press Enter: it is registered again.{SOFT:#}"
            ));
        };
        match &*waiting {
            Some(spinner) => spinner.suspend(offer),
            None => offer(),
        }
    }

    /// Shows the URL to log in at. It is shown even if a browser is opened: the program that opens it may
    /// report success and show nothing, or run until the browser is closed.
    pub(crate) fn show(&self, url: &Url) {
        let host = url.origin().ascii_serialization();
        if self.browser {
            self.ui.say(format_args!(
                "Opening your browser to log in at {HEAD}{host}{HEAD:#}"
            ));
            self.ui.say(format_args!(
                "{SOFT}If no browser opens, open this URL:{SOFT:#}"
            ));
        } else {
            self.ui.say(format_args!(
                "To log in at {HEAD}{host}{HEAD:#}, open this URL in a browser:"
            ));
        }
        self.ui.say(format_args!("\n  {}\n", self.ui.link(url)));
        let how = if std::io::stdin().is_terminal() {
            "paste the URL of the page that it ends on here"
        } else {
            "run `mcp-oauth login --complete` on this one and enter the URL of the page that it ends on"
        };
        self.ui.say(format_args!(
            "{SOFT}If the browser runs on another machine, {how}.{SOFT:#}"
        ));
    }

    /// Shows the URL and the code to enter there. The code is shown with a QR code too: the user must
    /// compare it, or they might confirm the code of an attacker (RFC 8628 §3.3.1, §5.4).
    fn show_prompt(&self, prompt: &DevicePrompt) {
        let at = &prompt.verification_uri;
        let host = at.origin().ascii_serialization();
        if prompt.is_third_party_host {
            self.ui.say(format_args!(
                "{WARN}warning:{WARN:#} {host} is not the host of the authorization server: continue \
                 only if you know that it belongs to the same operator"
            ));
        }
        if !self.browser {
            self.ui.say(format_args!(
                "{SOFT}No browser can be opened here, so a code is shown; use --no-browser for a URL \
                 instead.{SOFT:#}"
            ));
        }
        self.ui.say(format_args!(
            "To log in at {HEAD}{host}{HEAD:#}, open this URL in a browser on any device:"
        ));
        self.ui.say(format_args!("\n  {}\n", self.ui.link(at)));
        self.ui.say(format_args!(
            "and enter the code {HEAD}{}{HEAD:#}",
            prompt.user_code
        ));
        let complete = prompt.verification_uri_complete.as_ref();
        if let Some(picture) = complete.and_then(|url| self.ui.qr_code(url)) {
            self.ui.say(format_args!("\n{picture}"));
        }
        let end = moment(prompt.expires_at);
        self.ui.say(format_args!(
            "{SOFT}The code expires at {end}. If the page shows another code, do not confirm it.{SOFT:#}"
        ));
    }

    /// Shows that the login waits for the browser.
    pub(crate) fn wait(&self) {
        self.wait_for("waiting for the browser; Ctrl-C cancels");
    }

    fn wait_for(&self, what: &str) {
        self.set_waiting(Some(self.ui.spinner(what)));
    }

    /// Removes the spinner at the end of the login.
    pub(crate) fn stop_waiting(&self) {
        self.set_waiting(None);
    }

    fn set_waiting(&self, spinner: Option<Spinner>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = spinner;
    }
}

#[async_trait]
impl Interaction for Terminal {
    async fn open(&self, url: &Url) {
        self.show(url);
        if let Some(offer) = &self.register_again {
            offer.opened();
        }
        if self.browser && !launch(url).await {
            self.ui.warn("cannot open a browser: open the URL above");
        }
        self.wait();
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        self.show_prompt(prompt);
        self.wait_for("waiting for the other device; Ctrl-C cancels");
    }

    /// Returns the next line that is pasted. Lines wait in a channel, so none is lost if a future is dropped.
    async fn callback(&self) -> String {
        if !std::io::stdin().is_terminal() {
            return std::future::pending().await;
        }
        let pasted = self.pasted.get_or_init(|| AsyncMutex::new(read_lines()));
        let mut pasted = pasted.lock().await;
        let Some(offer) = &self.register_again else {
            return next_line(&mut pasted).await;
        };
        loop {
            tokio::select! {
                line = next_line(&mut pasted) => if !offer.accepts(&line) {
                    return line;
                },
                () = offer.is_due() => self.offer_registration(),
            }
        }
    }
}

async fn next_line(lines: &mut mpsc::UnboundedReceiver<String>) -> String {
    match lines.recv().await {
        Some(line) => line,
        None => std::future::pending().await,
    }
}

/// Reads lines on a separate thread, because a read from a terminal cannot be cancelled; the thread ends with
/// the process.
fn read_lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        for line in lines.filter(|line| !line.trim().is_empty()) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Opens the browser by a process without the secrets of mcp-oauth in its environment: the browser inherits
/// that environment, and so does every program that the browser starts. Returns whether it started.
pub(crate) async fn launch(url: &Url) -> bool {
    let Ok(own) = std::env::current_exe() else {
        return false;
    };
    let mut opener = Command::new(own);
    opener.arg("open-url").arg(url.as_str());
    opener
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for variable in SECRET_VARIABLES {
        opener.env_remove(variable);
    }
    if let Some(path) = absolute_path() {
        opener.env("PATH", path);
    }
    let (report, started) = oneshot::channel();
    // Not on the runtime: it would wait for a browser that stays in the foreground.
    std::thread::spawn(move || {
        let status = opener.status().is_ok_and(|status| status.success());
        let _ = report.send(status);
    });
    started.await.unwrap_or(false)
}
