//! Properties of any server URL: the parser does not panic, and returns what was written.

use mcp_client_oauth::ServerUrl;
use proptest::prelude::*;

proptest! {
    /// RFC 8707 §2: a resource is compared and sent as text.
    #[test]
    fn a_server_url_that_is_canonical_is_kept_as_it_is(
        host in "[a-z]{1,8}(\\.[a-z]{1,8}){1,2}",
        port in prop::option::of(1024_u16..60_000),
        path in "(/[a-zA-Z0-9._~%-]{0,8}){1,4}",
        query in prop::option::of("[a-z]{1,4}=[a-zA-Z0-9%+]{0,8}"),
    ) {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let text = format!("https://{host}{port}{path}{query}");
        let server: ServerUrl = text.parse().unwrap();
        // Only a path with a `.` or `..` segment is changed by canonicalization.
        let plain = path.split('/').all(|segment| {
            !matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
        });
        prop_assert!(!plain || server.as_str() == text, "{} became {}", text, server);
        prop_assert_eq!(server.to_string().parse::<ServerUrl>().unwrap(), server);
    }

    #[test]
    fn no_text_makes_a_server_url_panic(text in ".{0,60}") {
        if let Ok(server) = text.parse::<ServerUrl>() {
            prop_assert_eq!(server.to_string().parse::<ServerUrl>().unwrap(), server);
        }
    }
}
