//! `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1).

use http::{HeaderMap, StatusCode, header};
use mcp_oauth_support::UntrustedText;

use super::{
    dpop::{DpopNonce, USE_NONCE},
    scope::{Scope, ScopeError},
    token::AuthScheme,
};

/// The number of header lines, and of bytes of each, that are parsed.
const LINES: usize = 128;
const LINE_BYTES: usize = 64 * 1024;

/// The challenge of a 401 or 403.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Challenge {
    /// The URL of the protected resource metadata: unchecked text.
    pub resource_metadata: Option<String>,
    /// The scope that the refused request needs (RFC 6750 §3).
    pub scope: Option<Scope>,
    /// The reason why its `scope` is ignored, if it is invalid or past the limits.
    pub unusable_scope: Option<ScopeError>,
    /// `invalid_token`, `insufficient_scope`, ... (RFC 6750 §3.1).
    pub error: Option<UntrustedText>,
    /// The description of the error.
    pub error_description: Option<UntrustedText>,
    /// The scheme of the challenge: how a token is sent.
    pub scheme: AuthScheme,
    /// Says whether there was a challenge of the scheme `DPoP` and none of the scheme `Bearer`: then the
    /// server accepts no bearer token, not even a new one.
    pub requires_dpop: bool,
    /// The nonce that the server requires in the next proof (RFC 9449 §9).
    pub dpop_nonce: Option<DpopNonce>,
}

impl Challenge {
    /// Returns the challenge of a response: every 401 is one, even without the header; a 403 is one
    /// only with the error `insufficient_scope` (MCP authorization, Scope Challenge Handling). Of
    /// several, the first `Bearer` (or `DPoP`) that names metadata is used, else the first. If one of them
    /// refuses the proof of the request, the error and the scheme are those of that one.
    pub fn from_headers(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let all: Vec<_> = auth_challenges(headers)
            .into_iter()
            .filter_map(|challenge| {
                let scheme = challenge.scheme.parse().ok()?;
                Some(Self::new(scheme, &challenge))
            })
            .collect();
        let named = all
            .iter()
            .find(|challenge| challenge.resource_metadata.is_some());
        let mut best = named.or(all.first()).cloned();
        if let Some(best) = &mut best {
            best.dpop_nonce = DpopNonce::from_headers(headers);
            best.requires_dpop = all
                .iter()
                .all(|challenge| challenge.scheme == AuthScheme::DPoP);
            if let Some(refusal) = all.iter().find(|challenge| challenge.refuses_proof()) {
                best.error.clone_from(&refusal.error);
                best.scheme = refusal.scheme;
            }
        }
        match status {
            StatusCode::UNAUTHORIZED => Some(best.unwrap_or_default()),
            StatusCode::FORBIDDEN => best.filter(Self::is_insufficient_scope),
            _ => None,
        }
    }

    /// Returns whether the token is valid and its scope is insufficient.
    pub(crate) fn is_insufficient_scope(&self) -> bool {
        self.error
            .as_ref()
            .is_some_and(|error| error.as_raw() == "insufficient_scope")
    }

    /// Returns whether the server refused the proof, and not the token: the proof lacks a nonce (RFC 9449
    /// §9), or it is invalid (§7.1). A request with another token would be refused too.
    pub(crate) fn refuses_proof(&self) -> bool {
        let codes = [USE_NONCE, "invalid_dpop_proof"];
        let error = self.error.as_ref();
        self.scheme == AuthScheme::DPoP
            && error.is_some_and(|error| codes.contains(&error.as_raw()))
    }

    fn new(scheme: AuthScheme, challenge: &AuthChallenge) -> Self {
        let scope = challenge.param("scope").map(str::parse);
        let (scope, unusable_scope) = match scope {
            Some(Ok(scope)) => (Some(scope), None),
            // `scope=""` names no scope.
            Some(Err(ScopeError::Empty)) | None => (None, None),
            Some(Err(error)) => (None, Some(error)),
        };
        Self {
            resource_metadata: challenge.param("resource_metadata").map(str::to_owned),
            scope,
            unusable_scope,
            error: challenge.param("error").map(UntrustedText::new),
            error_description: challenge.param("error_description").map(UntrustedText::new),
            scheme,
            requires_dpop: false,
            dpop_nonce: None,
        }
    }
}

/// One challenge of any scheme.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub(crate) struct AuthChallenge {
    /// The scheme, as written.
    pub scheme: String,
    /// The parameters, names in lower case, in order.
    pub params: Vec<(String, String)>,
}

impl AuthChallenge {
    /// Returns the value of a parameter that occurs exactly once: two are ambiguous, so neither counts
    /// (RFC 9110 §11.2).
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let mut values = self.params.iter().filter(|(key, _)| key == name);
        values
            .next()
            .filter(|_| values.next().is_none())
            .map(|(_, value)| value.as_str())
    }
}

/// Returns every challenge of every `WWW-Authenticate` line.
pub(crate) fn auth_challenges(headers: &HeaderMap) -> Vec<AuthChallenge> {
    let lines = headers.get_all(header::WWW_AUTHENTICATE).iter().take(LINES);
    lines
        .filter(|line| line.len() <= LINE_BYTES)
        .flat_map(|line| parse(line.as_bytes()))
        .collect()
}

/// Parses one line. A malformed part is skipped up to the next comma; a value is never assigned to a
/// parameter or scheme that it does not belong to.
pub(crate) fn parse(line: &[u8]) -> Vec<AuthChallenge> {
    let mut cursor = Cursor { rest: line };
    let mut found: Vec<AuthChallenge> = Vec::new();
    while cursor.skip_separators() {
        let Some(name) = cursor.token() else {
            cursor.skip_element();
            continue;
        };
        if cursor.skip_equals() {
            let value = cursor.value();
            if let (Some(challenge), Some(value)) = (found.last_mut(), value) {
                challenge.params.push((name.to_ascii_lowercase(), value));
            }
        } else {
            cursor.skip_token68();
            found.push(AuthChallenge {
                scheme: name,
                params: Vec::new(),
            });
        }
    }
    found
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        let length = self.rest.iter().take_while(|&&b| keep(b)).count();
        self.rest = &self.rest[length..];
    }

    fn skip_blanks(&mut self) {
        self.skip_while(|b| b == b' ' || b == b'\t');
    }

    /// Skips to the next element, and returns whether there is one.
    fn skip_separators(&mut self) -> bool {
        self.skip_while(|b| matches!(b, b' ' | b'\t' | b','));
        !self.rest.is_empty()
    }

    /// Skips a malformed element, quoted strings as a whole.
    fn skip_element(&mut self) {
        while let Some(&byte) = self.rest.first() {
            match byte {
                b',' => return,
                b'"' => drop(self.quoted()),
                _ => self.rest = &self.rest[1..],
            }
        }
    }

    fn token(&mut self) -> Option<String> {
        let length = self.rest.iter().take_while(|&&b| is_tchar(b)).count();
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        (length > 0).then(|| String::from_utf8_lossy(token).into_owned())
    }

    /// Skips `BWS "=" BWS`, and returns whether it was there: it follows the name of a parameter, but not
    /// a scheme.
    fn skip_equals(&mut self) -> bool {
        let before = self.rest;
        self.skip_blanks();
        if self.rest.first() == Some(&b'=') {
            self.rest = &self.rest[1..];
            self.skip_blanks();
            return true;
        }
        self.rest = before;
        false
    }

    /// Skips a `token68` (RFC 9110 §11.2) after a scheme, such as that of `Negotiate`.
    fn skip_token68(&mut self) {
        let before = self.rest;
        self.skip_blanks();
        self.skip_while(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b));
        self.skip_while(|b| b == b'=');
        self.skip_blanks();
        if !matches!(self.rest.first(), None | Some(b',')) {
            self.rest = before;
        }
    }

    /// Returns a quoted string, or the text up to a blank or comma: some servers leave out the quotes
    /// around URLs.
    fn value(&mut self) -> Option<String> {
        if self.rest.first() == Some(&b'"') {
            return self.quoted();
        }
        let is_value = |b: u8| !matches!(b, b' ' | b'\t' | b',' | b'"');
        let length = self.rest.iter().take_while(|&&b| is_value(b)).count();
        let (value, rest) = self.rest.split_at(length);
        self.rest = rest;
        (length > 0).then(|| String::from_utf8_lossy(value).into_owned())
    }

    /// Returns a quoted string; nothing if it is never closed.
    fn quoted(&mut self) -> Option<String> {
        let mut value = Vec::new();
        let mut bytes = self.rest.iter().enumerate().skip(1);
        while let Some((at, &byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(String::from_utf8_lossy(&value).into_owned());
                }
                b'\\' => value.extend(bytes.next().map(|(_, &escaped)| escaped)),
                other => value.push(other),
            }
        }
        self.rest = &[];
        None
    }
}

/// `tchar` (RFC 9110 §5.6.2).
fn is_tchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(lines: &[&str]) -> Challenge {
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append(header::WWW_AUTHENTICATE, value);
        }
        Challenge::from_headers(StatusCode::UNAUTHORIZED, &headers).unwrap()
    }

    #[test]
    fn the_metadata_url_is_found_in_any_position() {
        let url = "https://h/.well-known/oauth-protected-resource/mcp";
        let p = r#"resource_metadata="https://h/.well-known/oauth-protected-resource/mcp""#;
        for lines in [
            vec![format!("Bearer {p}")],
            vec![format!("bearer realm=\"a, b\", {p}")],
            vec![format!("Bearer {p}, error=invalid_token")],
            vec![format!("Basic realm=\"x\", Bearer {p}")],
            vec![format!("Negotiate abc==, Bearer {p}")],
            vec!["Negotiate".to_owned(), format!("Bearer {p}")],
            vec!["Bearer".to_owned(), format!("Bearer {p}")],
            vec![format!("Bearer scope=\"a\",{p} , Digest qop=\"auth\"")],
            vec![format!("Bearer resource_metadata = {}", url)],
            vec![format!("DPoP algs=\"ES256\", {p}")],
            vec![format!(",, Bearer {p},")],
            vec![format!("Bearer realm=\"caf\u{e9}\", {p}")],
        ] {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(
                of(&lines).resource_metadata.as_deref(),
                Some(url),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_scope_inside_a_description_is_not_a_scope() {
        let challenge = of(&[r#"Bearer error_description="request scope=admin:all, scope=\"x\"""#]);
        assert_eq!(challenge.scope, None);
        assert!(
            challenge
                .error_description
                .unwrap()
                .to_string()
                .contains("admin:all")
        );
    }

    #[test]
    fn a_malformed_or_duplicate_parameter_is_ignored() {
        for line in [
            r#"Bearer scope="never closed"#,
            r#"Bearer scope="a", scope="b""#,
            r#"Bearer scope=, realm="x""#,
            r#"scope="a""#,
            r#"Basic scope="a""#,
            r#"Bearer scope="a	b""#,
            r#"Bearer "scope"="a""#,
            "Bearer",
            "",
            "=,=,\"",
        ] {
            assert_eq!(of(&[line]).scope, None, "{line}");
        }
    }

    #[test]
    fn a_refused_proof_is_found_among_several_challenges() {
        let p = r#"resource_metadata="https://h/prm""#;
        for line in [
            r#"DPoP error="use_dpop_nonce", algs="ES256""#.to_owned(),
            r#"DPoP error="invalid_dpop_proof""#.to_owned(),
            format!(r#"Bearer {p}, DPoP error="use_dpop_nonce""#),
            format!("dpop error=use_dpop_nonce, {p}"),
        ] {
            let challenge = of(&[&line]);
            assert!(challenge.refuses_proof(), "{line}");
            assert_eq!(
                challenge.resource_metadata.is_some(),
                line.contains("prm"),
                "{line}"
            );
        }
        for line in [
            r#"Bearer error="use_dpop_nonce""#,
            r#"DPoP error="invalid_token""#,
            r#"Bearer error_description="DPoP error=use_dpop_nonce""#,
        ] {
            assert!(!of(&[line]).refuses_proof(), "{line}");
        }
        for (line, scheme) in [
            ("DPoP", AuthScheme::DPoP),
            ("dpop algs=\"ES256\"", AuthScheme::DPoP),
            ("Bearer, DPoP", AuthScheme::Bearer),
            ("Negotiate", AuthScheme::Bearer),
        ] {
            assert_eq!(of(&[line]).scheme, scheme, "{line}");
        }
    }

    #[test]
    fn a_challenge_has_the_nonce_of_its_response() {
        let mut headers = HeaderMap::new();
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("DPoP"));
        headers.insert("dpop-nonce", HeaderValue::from_static("n-1"));
        let challenge = Challenge::from_headers(StatusCode::UNAUTHORIZED, &headers).unwrap();
        assert_eq!(challenge.dpop_nonce, DpopNonce::new("n-1"));
        headers.insert("dpop-nonce", HeaderValue::from_bytes(b"n\t1").unwrap());
        let challenge = Challenge::from_headers(StatusCode::UNAUTHORIZED, &headers).unwrap();
        assert_eq!(challenge.dpop_nonce, None);
    }

    #[test]
    fn only_insufficient_scope_makes_a_403_a_challenge() {
        let mut headers = HeaderMap::new();
        assert_eq!(
            Challenge::from_headers(StatusCode::FORBIDDEN, &headers),
            None
        );
        let value = r#"Bearer error="insufficient_scope", scope="mcp:write""#;
        headers.insert(header::WWW_AUTHENTICATE, value.parse().unwrap());
        let challenge = Challenge::from_headers(StatusCode::FORBIDDEN, &headers).unwrap();
        assert_eq!(challenge.scope.unwrap().to_string(), "mcp:write");
        assert_eq!(
            Challenge::from_headers(StatusCode::BAD_REQUEST, &headers),
            None
        );
    }
}
