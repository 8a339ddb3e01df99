//! The faults that a test can switch on. Every fault is a value, and names the rule that it breaks.
//!
//! A fault is switched on by [`Testbed::set_fault`](crate::Testbed::set_fault) or by
//! [`Builder::fault`](crate::Builder::fault). Several may be on at once; where two touch the same
//! field, the later one wins.

use std::time::Duration;

use serde_json::Value;

/// A deviation of the servers from a rule.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The metadata carries this `issuer` instead of its own. RFC 8414 §3.3: "The issuer value
    /// returned MUST be identical to the authorization server's issuer identifier value".
    WrongIssuer(String),
    /// The metadata has no `issuer`. RFC 8414 §2: "issuer REQUIRED".
    MissingIssuer,
    /// The metadata's `issuer` ends with one more slash. RFC 8414 §3.3 compares code points.
    IssuerWithTrailingSlash,
    /// `code_challenge_methods_supported` is absent. MCP authorization: "If
    /// `code_challenge_methods_supported` is absent, the authorization server does not support PKCE
    /// and MCP clients MUST refuse to proceed."
    NoPkceMethods,
    /// Only `plain` is offered. RFC 7636 §4.2: "If the client is capable of using "S256", it MUST
    /// use "S256""; `plain` shows the verifier to everyone who sees the request.
    OnlyPlainPkce,
    /// A field of the authorization server metadata is added or replaced.
    MetadataField(String, Value),
    /// A field of the authorization server metadata is left out.
    MetadataWithout(String),
    /// A field of the protected resource metadata is added or replaced. RFC 9728 §3.3, for
    /// `resource`: it "MUST be identical to the protected resource's resource identifier".
    PrmField(String, Value),
    /// A field of the protected resource metadata is left out.
    PrmWithout(String),

    /// The response of an endpoint is corrupted before it is sent. The request was processed: a
    /// refresh token that was presented is spent, even if the client cannot read the response.
    Corrupt(Endpoint, Corruption),
    /// Requests for a path get this status and are not processed. RFC 9110 §15.6.4 for a 503 with
    /// `Retry-After`.
    Status {
        /// The path, as in `/token`.
        path: String,
        /// The status code.
        status: u16,
        /// The body, sent as JSON when it begins with `{`, else as plain text.
        body: String,
        /// More headers, such as `("retry-after", "1")`.
        headers: Vec<(String, String)>,
        /// The number of requests that get it before the endpoint works again; `None` means all.
        times: Option<u32>,
    },

    /// The callback carries this `iss`. RFC 9207 §2.4: clients MUST "compare the result to the
    /// issuer identifier of the authorization server where the authorization request was sent to".
    CallbackIss(String),
    /// The callback has no `iss` though the metadata announces one. RFC 9207 §2.4: clients "MUST
    /// reject authorization responses without the iss parameter" from such a server.
    CallbackWithoutIss,
    /// The callback carries this `state`. RFC 6749 §4.1.2: "The exact value received from the
    /// client."
    CallbackState(String),
    /// The callback has no `state`. RFC 6749 §4.1.2: "REQUIRED if the state parameter was present".
    CallbackWithoutState,
    /// The callback has two `code` parameters. RFC 6749 §3.1: parameters "MUST NOT be included more
    /// than once".
    CallbackTwoCodes,
    /// The callback carries this error, without a consent page (RFC 6749 §4.1.2.1).
    CallbackError {
        /// The `error` code.
        error: String,
        /// The `error_description`.
        description: Option<String>,
    },
    /// The callback has `code` and `error=server_error` at once. RFC 6749 §4.1.2 and §4.1.2.1 are
    /// alternatives.
    CallbackCodeAndError,

    /// Every `resource` parameter is refused, and tokens are for the first resource, as Microsoft
    /// Entra does it. RFC 8707 §2: with the parameter a client names "the location of the target
    /// service".
    ResourceNotSupported,
    /// The authorization server accepts only this identifier of the resource, not the one in the
    /// metadata. RFC 9728 §7.3: the `resource` is the one of the metadata.
    DifferentResource(String),
    /// Authorization requests without this parameter and value are refused. RFC 6749 §3.1 defines no
    /// such parameter.
    RequiresParameter(String, String),
    /// A refresh without `scope` is refused. RFC 6749 §6: it is OPTIONAL.
    RequiresScopeOnRefresh,

    /// A field of each successful token response is added or replaced.
    TokenField(String, Value),
    /// A field of each successful token response is left out, such as `token_type`. RFC 6749 §5.1:
    /// "REQUIRED".
    TokenWithout(String),
    /// Token requests get `200 {"error": …}` and are not processed. RFC 6749 §5.2: "The authorization
    /// server responds with an HTTP 400 (Bad Request) status code".
    TokenErrorWith200(String),
    /// A spent refresh token is accepted once more, and its family stays valid. RFC 9700 §4.14.2 lets
    /// a server revoke; some servers give this grace to clients that lost a response.
    AcceptsSpentRefreshTokenOnce,
    /// A refresh response omits `refresh_token` although the old one is spent. RFC 6749 §6: the
    /// client keeps the old one unless a new one is issued.
    OmitsRotatedRefreshToken,

    /// A field of the device authorization response is added or replaced. RFC 8628 §3.2 defines each
    /// field.
    DeviceField(String, Value),
    /// A field of the device authorization response is left out. RFC 8628 §3.2: all but `interval`
    /// and `verification_uri_complete` are REQUIRED.
    DeviceWithout(String),
    /// The device authorization endpoint refuses a content type with a parameter, as in
    /// `; charset=utf-8`. RFC 9110 §8.3.1: the media type defines how a parameter is processed; a
    /// parameter is no reason to refuse a request.
    DeviceRejectsCharset,
    /// Each poll gets `slow_down`, however long the client waits and whatever the user decides. RFC
    /// 8628 §3.5: it means that "the authorization request is still pending".
    AlwaysSlowDown,

    /// A server that requires nonces refuses each one and sends another. RFC 9449 §8: a client sends
    /// the nonce that it was given, and the server accepts it.
    AlwaysNewDpopNonce,
    /// The `DPoP-Nonce` is this text. HTTP can carry a tab and characters beyond ASCII, but no line
    /// break. RFC 9449 §8.1 allows only printable ASCII without space, `"` and `\`.
    DpopNonce(String),
    /// Tokens are bearer tokens although the request had a valid proof. RFC 9449 §5: a client that
    /// needs the protection MUST discard such a response.
    DpopIgnored,

    /// Each assertion of the JWT bearer grant is refused with this error. RFC 7523 §3.1: it MUST be
    /// `invalid_grant` if the assertion is not valid.
    AssertionRefused(String),
    /// The identity provider refuses each exchange with this error (RFC 8693 §2.2.2).
    IdJagRefused(String),
    /// The identity provider gives this `issued_token_type`. RFC 8693 §2.2.1: "An identifier for the
    /// representation of the issued security token."
    IssuedTokenType(String),

    /// A field of the registration response is added or replaced. RFC 7591 §3.2.1.
    RegistrationField(String, Value),
    /// A field of the registration response is left out, such as `client_id`. RFC 7591 §3.2.1:
    /// "REQUIRED".
    RegistrationWithout(String),

    /// The 401 and 403 responses of the MCP server carry these `WWW-Authenticate` lines, one header
    /// line for each. A line that HTTP cannot carry (with a line break) is left out.
    Challenge(Vec<String>),
    /// The 401 and 403 responses have no `WWW-Authenticate`. RFC 9110 §11.6.1: a server that
    /// generates a 401 "MUST send a WWW-Authenticate header field".
    NoChallenge,
    /// The event stream of each `POST` ends before the response, which is on the `GET` stream that a
    /// client opens with the id of the last event. The revision 2025-11-25 allows it; a client that
    /// does not resume the stream gets no response.
    ResponsesOnGetStream,
    /// Every token gets 401 `invalid_token`, also a new one (RFC 6750 §3.1).
    RejectsEveryToken,
    /// Every tool call gets 403 `insufficient_scope` with this scope, whatever scopes the token has
    /// (MCP authorization 2026-07-28, "Step-Up Authorization Flow").
    AlwaysInsufficientScope(String),
}

/// An endpoint with responses that a fault can corrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// The protected resource metadata, at any path.
    ResourceMetadata,
    /// The authorization server metadata, at any path.
    ServerMetadata,
    /// `/register`.
    Registration,
    /// `/authorize`.
    Authorization,
    /// `/token`.
    Token,
    /// `/device_authorization`.
    DeviceAuthorization,
    /// `/revoke`.
    Revocation,
    /// `/mcp` and the paths below it.
    Mcp,
    /// `/oauth2/token` of the identity provider.
    IdentityProvider,
}

/// The corruption of a response.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Corruption {
    /// A login page with status 200 instead of JSON.
    Html,
    /// The JSON text `null`.
    Null,
    /// No body at all, with status 200.
    Empty,
    /// The first half of the JSON, with a matching length.
    Truncated,
    /// Valid JSON of two MiB.
    TooLarge,
    /// A body and its content type, with status 200.
    Raw {
        /// The `Content-Type`.
        content_type: String,
        /// The body.
        body: Vec<u8>,
    },
    /// The top-level JSON members as a form. RFC 6749 §5.1: "The parameters are included in the
    /// entity-body of the HTTP response using the "application/json" media type".
    FormEncoded,
    /// A second member of this name at the end of the JSON. RFC 8259 §4: names "SHOULD be unique".
    DuplicateKey(String, Value),
    /// 307 to this URL.
    RedirectTo(String),
    /// 307 to itself, without end.
    RedirectLoop,
    /// 307 to itself with `?redirected=1`, which then responds: a metadata request may follow it.
    RedirectOnce,
    /// The headers, then one byte per interval.
    Trickle(Duration),
    /// The connection is closed after this many bytes of the body.
    CutAfter(usize),
    /// No response; the connection stays open.
    NeverResponds,
    /// No response until [`Testbed::release`](crate::Testbed::release).
    Held,
}

/// The faults that are on.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn has(&self, fault: &Fault) -> bool {
        self.0.contains(fault)
    }

    /// Returns the result of `pick` for the last fault that has one.
    pub(crate) fn find<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.0.iter().rev().find_map(pick)
    }

    /// Returns every result of `pick`, in the order in which the faults were set.
    pub(crate) fn all<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Vec<T> {
        self.0.iter().filter_map(pick).collect()
    }

    /// Removes the faults that hold responses.
    pub(crate) fn release(&mut self) {
        self.0
            .retain(|fault| !matches!(fault, Fault::Corrupt(_, Corruption::Held)));
    }

    /// Returns the status fault for a path, counting the request against its `times`.
    pub(crate) fn status_for(&mut self, requested: &str) -> Option<Fault> {
        let index = self.0.iter().position(|fault| match fault {
            Fault::Status { path, times, .. } => path == requested && *times != Some(0),
            _ => false,
        })?;
        let found = self.0.get(index)?.clone();
        if let Some(Fault::Status {
            times: Some(left), ..
        }) = self.0.get_mut(index)
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.0.remove(index);
            }
        }
        Some(found)
    }
}
