//! The keys of an entry for a remote server.

/// The keys of an entry for a remote server. An entry with a command cannot have them.
pub(super) const NETWORK_KEYS: [&str; 7] = [
    "url",
    "serverUrl",
    "httpUrl",
    "headers",
    "http_headers",
    "env_http_headers",
    "bearer_token_env_var",
];
