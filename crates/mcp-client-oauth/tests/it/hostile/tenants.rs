//! A gateway: many accounts in one store, and each gets its own token (docs/hostile.md H183).

use mcp_client_oauth::{flow::AccessToken, store::LoginKey};

use crate::support::Fixture;

const TENANTS: usize = 1000;

fn token_of(tenant: usize) -> String {
    format!("token-of-tenant-{tenant:04}")
}

fn key_of(fixture: &Fixture, tenant: usize) -> LoginKey {
    // Names that differ only by letter case, by a dot or by a suffix.
    let name = match tenant % 4 {
        0 => format!("tenant.{}", tenant / 4),
        1 => format!("Tenant.{}", tenant / 4),
        2 => format!("tenant_{}", tenant / 4),
        _ => format!("tenant.{}#", tenant / 4),
    };
    fixture.key().with_account(name)
}

#[tokio::test]
async fn a_thousand_tenants_never_get_the_token_of_another() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    let honest = fixture.record().await.unwrap();
    for tenant in 0..TENANTS {
        let mut record = honest.clone();
        record.tokens.access_token = AccessToken::new(&token_of(tenant)).unwrap();
        let mut lock = fixture.store.lock(&key_of(&fixture, tenant)).await.unwrap();
        fixture.store.save(&mut lock, &record).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for step in 0..2 * TENANTS {
        // Every tenant twice, in an order that differs from their numbers.
        let tenant = step * 617 % TENANTS;
        let client = fixture.client();
        let key = key_of(&fixture, tenant);
        tasks.spawn(async move {
            let session = client.session(key).await.unwrap();
            tokio::task::yield_now().await;
            let token = session.token().await.unwrap();
            assert_eq!(token.expose(), token_of(tenant));
            let header = session.cached_header().unwrap();
            assert_eq!(header, format!("Bearer {}", token_of(tenant)));
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
}
