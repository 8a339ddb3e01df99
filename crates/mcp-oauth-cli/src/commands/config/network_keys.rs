//! What an entry of an application has for a server on the network.

/// Holds what entries of these applications have for a server on the network. One that has a command cannot
/// have them as well.
pub(super) const OF_THE_NETWORK: [&str; 7] = [
    "url",
    "serverUrl",
    "httpUrl",
    "headers",
    "http_headers",
    "env_http_headers",
    "bearer_token_env_var",
];
