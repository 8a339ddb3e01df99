//! One metadata document, over at most three redirects within its own origin (H38-H44).

use std::{
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, header};
use url::Url;

use crate::{
    error::{DiscoveryError, Error},
    platform::{AddressSpace, Platform, Request, Response},
    proto::{cache_control, endpoint::LONGEST_URL, untrusted_text::UntrustedText},
};

/// Says how many redirects are followed.
const REDIRECTS: usize = 3;
/// Says how many documents one discovery may ask for (H10, H130).
const DOCUMENTS: usize = 16;

/// Holds what one discovery may still ask for.
#[derive(Default)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    /// Takes one; whether there was one left.
    pub(super) fn spend(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) < DOCUMENTS
    }
}

/// Holds what came from a place where metadata may be.
#[derive(Clone)]
pub(super) struct Fetched {
    /// Says where it was asked for.
    pub(super) asked: Url,
    pub(super) status: u16,
    /// Says whether it was a web page: some servers answer every unknown path with one, and 200.
    pub(super) html: bool,
    pub(super) remote: Option<IpAddr>,
    /// Says where a redirect to another origin led, which was not followed.
    pub(super) redirect: Option<UntrustedText>,
    pub(super) document: Option<Document>,
}

/// A document, whatever is in it.
#[derive(Clone)]
pub(super) struct Document {
    /// Says where it was, after redirects.
    pub(super) url: Url,
    pub(super) body: Bytes,
    /// For how long it may be used again.
    pub(super) lifetime: Duration,
}

/// Asks for the document at `url`.
pub(super) async fn fetch(
    platform: &Platform,
    url: Url,
    reach: AddressSpace,
) -> Result<Fetched, Error> {
    let mut at = url.clone();
    for _ in 0..=REDIRECTS {
        let mut request = Request::metadata(at.clone(), reach);
        // A 2025-03-26 server may need it (spec-checklist L3), and no other minds.
        request.headers.insert(
            "mcp-protocol-version",
            HeaderValue::from_static("2025-03-26"),
        );
        let response = platform.http.send(request).await?;
        if !response.status.is_redirection() {
            return Ok(fetched(url, at, &response));
        }
        match target(&at, &response)? {
            Target::SameOrigin(to) => at = to,
            Target::OtherOrigin(to) => {
                return Ok(Fetched {
                    redirect: Some(UntrustedText::new(to.as_str())),
                    ..fetched(url, at, &response)
                });
            }
        }
    }
    Err(refused(&at, "").into())
}

fn fetched(asked: Url, at: Url, response: &Response) -> Fetched {
    let html = response.body.trim_ascii_start().starts_with(b"<");
    let is_document = response.status.is_success() && !html;
    Fetched {
        asked,
        status: response.status.as_u16(),
        html,
        remote: response.remote,
        redirect: None,
        document: is_document.then(|| Document {
            url: at,
            body: response.body.clone(),
            lifetime: cache_control::lifetime(&response.headers),
        }),
    }
}

/// Says where a redirect leads.
enum Target {
    SameOrigin(Url),
    /// Never followed: the document would be of another server.
    OtherOrigin(Url),
}

/// Reads where a redirect leads: to no endless URL.
fn target(from: &Url, response: &Response) -> Result<Target, DiscoveryError> {
    let location = response.header(header::LOCATION).unwrap_or_default();
    let to = from.join(location).map_err(|_| refused(from, location))?;
    // What is followed is named in errors, and no place needs as long a name.
    let endless = to.as_str().len() > LONGEST_URL;
    if location.is_empty() || endless {
        return Err(refused(from, location));
    }
    Ok(if to.origin() == from.origin() {
        Target::SameOrigin(to)
    } else {
        Target::OtherOrigin(to)
    })
}

pub(super) fn refused(from: &Url, location: &str) -> DiscoveryError {
    DiscoveryError::Redirect {
        url: from.clone(),
        location: UntrustedText::new(location),
        most: REDIRECTS,
    }
}
