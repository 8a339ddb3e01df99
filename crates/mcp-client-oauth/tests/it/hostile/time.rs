//! Clock jumps and unreasonable lifetimes (docs/hostile.md H82, H114, H117).

use std::time::{Duration, SystemTime};

use mcp_client_oauth::{adapters::TokenSource as _, flow::Challenge};
use mcp_oauth_testbed::Fault;
use serde_json::json;

use crate::support::{Fixture, bounded, start_time};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_clock_that_jumps_costs_a_refresh_at_most() {
    for time in [
        start_time() - DAY,
        start_time() - 3650 * DAY,
        SystemTime::UNIX_EPOCH,
        start_time() + DAY,
        start_time() + 3650 * DAY,
    ] {
        let fixture = Fixture::start().await;
        let session = fixture.login().await.unwrap();
        fixture.clock.set(time);
        for _ in 0..5 {
            bounded(session.header()).await.unwrap();
        }
        // And back again.
        fixture.clock.set(start_time());
        bounded(session.header()).await.unwrap();
        session.flush().await;
        assert!(
            fixture.refreshes() <= 1,
            "{time:?}: {}",
            fixture.refreshes()
        );
        fixture.testbed.revoke_access_tokens();
        let refused = session.token().await.unwrap();
        let challenge = Challenge::default();
        bounded(session.refresh_after_rejection(&refused, &challenge))
            .await
            .unwrap();
        assert_eq!(fixture.user.opened_urls().len(), 1);
    }
}

#[tokio::test]
async fn a_token_that_expires_at_once_is_not_refreshed_in_a_loop() {
    for life in [json!(0), json!(-1), json!(1), json!("-5")] {
        let fixture = Fixture::start().await;
        let lifetime = Fault::TokenField("expires_in".to_owned(), life.clone());
        fixture.testbed.set_fault(lifetime);
        let session = fixture.login().await.unwrap();
        for _ in 0..20 {
            bounded(session.header()).await.unwrap();
            session.flush().await;
        }
        assert!(fixture.refreshes() <= 1, "{life}: {}", fixture.refreshes());
        fixture.advance(Duration::from_secs(31));
        for _ in 0..20 {
            bounded(session.header()).await.unwrap();
            session.flush().await;
        }
        assert!(fixture.refreshes() <= 2, "{life}: {}", fixture.refreshes());
    }
}
