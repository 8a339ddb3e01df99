//! What the servers do wrong on command: every fault is a value, and names the rule that it breaks.
//!
//! A fault is switched on by [`Testbed::set_fault`](crate::Testbed::set_fault) or by
//! [`Builder::fault`](crate::Builder::fault). Several may be on at once; where two touch the same
//! field, the later one wins.

use std::time::Duration;

use serde_json::Value;

/// One way in which the servers break a rule.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The metadata carries this `issuer` instead of its own. RFC 8414 §3.3: "The issuer value
    /// returned MUST be identical to the authorization server's issuer identifier value".
    WrongIssuer(String),
    /// The metadata has no `issuer`. RFC 8414 §2: "issuer REQUIRED".
    MissingIssuer,
    /// The metadata's `issuer` has one slash too many. RFC 8414 §3.3 compares code points.
    IssuerWithTrailingSlash,
    /// `code_challenge_methods_supported` is absent. MCP authorization: "If
    /// `code_challenge_methods_supported` is absent, the authorization server does not support PKCE
    /// and MCP clients MUST refuse to proceed."
    NoPkceMethods,
    /// Only `plain` is offered. RFC 7636 §4.2: "If the client is capable of using "S256", it MUST
    /// use "S256""; `plain` shows the verifier to whoever sees the request.
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

    /// The answer of an endpoint is spoiled on its way out. The request has been processed by
    /// then: a refresh token that was presented is spent, whatever the client gets to read.
    Spoil(Endpoint, Corruption),
    /// Requests for a path are answered with this status, unprocessed. RFC 9110 §15.6.4 for a 503
    /// with `Retry-After`.
    Status {
        /// The path, as in `/token`.
        path: String,
        /// The status code.
        status: u16,
        /// The body, sent as JSON when it begins with `{`, else as plain text.
        body: String,
        /// More headers, such as `("retry-after", "1")`.
        headers: Vec<(String, String)>,
        /// Says how many requests get it before the endpoint works again; `None` means all.
        times: Option<u32>,
    },

    /// The callback carries this `iss`. RFC 9207 §2.4: clients MUST "compare the result to the
    /// issuer identifier of the authorization server where the authorization request was sent to".
    CallbackIss(String),
    /// The callback has no `iss` though the metadata promise one. RFC 9207 §2.4: clients "MUST
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
    /// The person is not asked: the callback carries this error (RFC 6749 §4.1.2.1).
    CallbackError {
        /// The `error` code.
        error: String,
        /// The `error_description`.
        description: Option<String>,
    },
    /// The callback has `code` and `error=server_error` at once. RFC 6749 §4.1.2 and §4.1.2.1 are
    /// alternatives.
    CallbackCodeAndError,

    /// Every `resource` parameter is refused, and tokens are for the first resource all the same, as
    /// Microsoft Entra does it. RFC 8707 §2: with it, a client tells "the location of the target
    /// service".
    KnowsNoResource,
    /// The authorization server knows the resource by this identifier, and not by the one in its
    /// metadata. RFC 9728 §7.3: a `resource` is what the metadata say.
    CallsTheResource(String),
    /// Authorization requests without this parameter and value are refused. RFC 6749 §3.1 has none
    /// that a client must know besides its own.
    WantsParameter(String, String),
    /// A refresh without `scope` is refused. RFC 6749 §6: it is OPTIONAL.
    WantsScopeOnRefresh,

    /// A field of each successful token answer is added or replaced.
    TokenField(String, Value),
    /// A field of each successful token answer is left out, such as `token_type`. RFC 6749 §5.1:
    /// "REQUIRED".
    TokenWithout(String),
    /// Token requests are refused with `200 {"error": …}`, unprocessed. RFC 6749 §5.2: "The
    /// authorization server responds with an HTTP 400 (Bad Request) status code".
    TokenErrorWith200(String),
    /// A spent refresh token is accepted once more, and its family lives on. RFC 9700 §4.14.2 lets
    /// a server revoke; some give this grace to clients that lost an answer.
    GraceForSpentRefreshTokens,
    /// A refresh answer omits `refresh_token` although the old one is spent. RFC 6749 §6: the
    /// client keeps the old one unless a new one is issued.
    RotatesInSilence,

    /// A field of the device authorization answer is added or replaced (H175, H176, H178). RFC 8628
    /// §3.2 says what each must be.
    DeviceField(String, Value),
    /// A field of the device authorization answer is left out. RFC 8628 §3.2: all but `interval`
    /// and `verification_uri_complete` are REQUIRED.
    DeviceWithout(String),
    /// The device authorization endpoint refuses a content type with a parameter, as in
    /// `; charset=utf-8`. RFC 9110 §8.3.1: how a parameter is processed is for the media type to
    /// say, and it is no reason to refuse one that is.
    DeviceRefusesCharset,
    /// Each poll gets `slow_down`, however long the client waits and whatever the person decides
    /// (H177). RFC 8628 §3.5: it means that "the authorization request is still pending".
    SlowDownForEver,

    /// A server that wants nonces has a new one for each proof, and is never content (H181). RFC
    /// 9449 §8 has a client send the nonce that it was given, and a server take it.
    DpopNonceForEver,
    /// The `DPoP-Nonce` is this text, as far as HTTP can carry it: a tab and what is beyond ASCII,
    /// but no line break. RFC 9449 §8.1 has it of printable ASCII alone, without space, `"` or
    /// `\`.
    DpopNonce(String),
    /// Tokens are bearer tokens, and bound to nothing, although a good proof came. RFC 9449 §5: a
    /// client to which the protection matters MUST discard such an answer.
    DpopIgnored,

    /// Each assertion of the JWT bearer grant is refused with this error. RFC 7523 §3.1: it MUST be
    /// `invalid_grant` if the assertion is not valid.
    AssertionRefused(String),
    /// The identity provider refuses each exchange with this error (RFC 8693 §2.2.2).
    IdJagRefused(String),
    /// The identity provider calls what it issues by this type (H182). RFC 8693 §2.2.1: "An
    /// identifier for the representation of the issued security token."
    IssuedTokenType(String),

    /// A field of the registration answer is added or replaced. RFC 7591 §3.2.1.
    RegistrationField(String, Value),
    /// A field of the registration answer is left out, such as `client_id`. RFC 7591 §3.2.1:
    /// "REQUIRED".
    RegistrationWithout(String),

    /// The 401 and 403 answers of the MCP server carry these `WWW-Authenticate` lines, one header
    /// line for each. A text that HTTP cannot carry (a line break) is left out.
    Challenge(Vec<String>),
    /// The 401 and 403 answers have no `WWW-Authenticate`. RFC 9110 §11.6.1: a server that
    /// generates a 401 "MUST send a WWW-Authenticate header field".
    NoChallenge,
    /// The event stream of each answer ends before the answer, which is on the stream that a client
    /// opens with the id of the last event. 2025-11-25 lets a server do that; it is a fault for a
    /// client that does not come again.
    AnswersOnTheStream,
    /// Every token gets 401 `invalid_token`, a fresh one too (H94).
    RefusesEveryToken,
    /// Every tool call gets 403 `insufficient_scope` with this scope, whatever the token has (H71).
    NeverEnoughScope(String),
}

/// An endpoint whose answer can be spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// The protected resource metadata, wherever it is served.
    ResourceMetadata,
    /// The authorization server metadata, in every form in which it is served.
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
    /// `/mcp` and what is below it.
    Mcp,
    /// `/oauth2/token` of the identity provider.
    IdentityProvider,
}

/// Says how an answer is spoiled.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Corruption {
    /// A login page with status 200 where JSON belongs.
    Html,
    /// The JSON text `null`.
    Null,
    /// No body at all, with status 200.
    Empty,
    /// The first half of the JSON, as if it were whole.
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
    /// 307 to itself with `?redirected=1`, which then answers: a metadata request may follow it.
    RedirectOnce,
    /// The head arrives, then one byte per interval.
    Trickle(Duration),
    /// The connection is cut after this many bytes of the body.
    CutAfter(usize),
    /// No answer, ever; the connection stays open.
    NeverAnswers,
    /// No answer until [`Testbed::release`](crate::Testbed::release).
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

    /// Returns the last answer that `pick` finds.
    pub(crate) fn find<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.0.iter().rev().find_map(pick)
    }

    /// Returns every answer that `pick` finds, in the order in which the faults were set.
    pub(crate) fn all<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Vec<T> {
        self.0.iter().filter_map(pick).collect()
    }

    /// Switches off what is held, so that held answers leave.
    pub(crate) fn let_go(&mut self) {
        self.0
            .retain(|fault| !matches!(fault, Fault::Spoil(_, Corruption::Held)));
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
