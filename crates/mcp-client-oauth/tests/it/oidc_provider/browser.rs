//! A browser without a screen: it keeps cookies, follows redirects, and sends off each form that it
//! is shown.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use http::{HeaderValue, Method, header};
use mcp_client_oauth::platform::{
    AddressSpace, Clock, DevicePrompt, HttpClient as _, Interaction, Request, ReqwestClient,
    Response, SystemClock,
};
use url::Url;

use crate::support::lock;

/// More pages than any login has.
const PAGES: usize = 20;

/// A person with a browser, who approves.
#[derive(Debug, Default)]
pub(super) struct Browser {
    http: ReqwestClient,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    /// Goes where it is sent, until a page leads no further; the paths of the pages that were
    /// shown.
    async fn walk(&self, start: &Url) -> Vec<String> {
        let mut next = Some(Request::new(
            Method::GET,
            start.clone(),
            AddressSpace::Loopback,
        ));
        let mut shown = Vec::new();
        for _ in 0..PAGES {
            let Some(request) = next else {
                return shown;
            };
            let url = request.url.clone();
            let page = self.send(request).await;
            next = if let Some(to) = page.header(header::LOCATION) {
                let to = url.join(to).unwrap();
                Some(Request::new(Method::GET, to, AddressSpace::Loopback))
            } else {
                assert!(page.status.is_success(), "{url}: {}", page.status);
                shown.push(url.path().to_owned());
                form(&url, &String::from_utf8_lossy(&page.body))
            };
        }
        panic!("the browser goes in circles");
    }

    async fn send(&self, mut request: Request) -> Response {
        let pairs: Vec<String> = lock(&self.cookies)
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !pairs.is_empty() {
            let cookies = HeaderValue::from_str(&pairs.join("; ")).unwrap();
            request.headers.insert(header::COOKIE, cookies);
        }
        let answer = self.http.send(request).await.unwrap();
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            lock(&self.cookies).insert(name.to_owned(), value.to_owned());
        }
        answer
    }
}

/// What sending off the form of a page asks for, with its fields as they are and a yes.
fn form(page: &Url, html: &str) -> Option<Request> {
    let action = page.join(attribute(html, "action")?).unwrap();
    let inputs = html.split("<input").skip(1);
    let mut fields: Vec<(&str, &str)> = inputs
        .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)))
        .collect();
    fields.push(("confirm", "yes"));
    Some(Request::form(action, AddressSpace::Loopback, &fields))
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(rest.split_once('"')?.0)
}

#[async_trait]
impl Interaction for Browser {
    async fn open(&self, url: &Url) {
        self.walk(url).await;
    }
}

/// A person who is shown a code, and enters it during the second wait. No wait takes any time.
#[derive(Debug, Default)]
pub(super) struct Watch {
    browser: Browser,
    prompt: Mutex<Option<DevicePrompt>>,
    waits: AtomicUsize,
    pages: Mutex<Vec<String>>,
}

impl Watch {
    /// The pages that the person went through.
    pub(super) fn pages(&self) -> Vec<String> {
        lock(&self.pages).clone()
    }
}

#[async_trait]
impl Clock for Watch {
    fn now(&self) -> SystemTime {
        SystemClock::default().now()
    }

    async fn sleep(&self, _: Duration) {
        if self.waits.fetch_add(1, Ordering::Relaxed) == 1 {
            let prompt = lock(&self.prompt).clone().unwrap();
            let complete = prompt.verification_uri_complete.unwrap();
            let pages = self.browser.walk(&complete).await;
            *lock(&self.pages) = pages;
        }
    }
}

#[async_trait]
impl Interaction for Watch {
    async fn open(&self, url: &Url) {
        panic!("{url} is opened, but there is a code to show");
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        *lock(&self.prompt) = Some(prompt.clone());
    }
}
