//! The content of the secrets engine.

use super::*;

const RECORD: &str =
    "mcp-oauth/records/ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

#[tokio::test]
async fn no_older_version_of_a_record_can_be_read() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let vault = vault(&bao.options());
    let first = vault.put("a", None, &entry("planted-1")).await.unwrap();
    let second = vault
        .put("a", Some(first), &entry("planted-2"))
        .await
        .unwrap();
    let path = format!("secret/data/{RECORD}");
    assert_eq!(bao.get(&format!("{path}?version=1")).await.0, 404);
    let (status, there) = bao.get(&format!("{path}?version=2")).await;
    assert_eq!(status, 200);
    assert_eq!(there["data"]["data"]["name"], "a");

    assert!(vault.delete("a", Some(second)).await.unwrap());
    for version in 1..=2 {
        assert_eq!(bao.get(&format!("{path}?version={version}")).await.0, 404);
    }
    let (_, left) = bao.get(&path).await;
    assert_eq!(left["data"]["data"], json!({"forgotten": true}));
    assert_eq!(names(&vault).await.unwrap(), [""; 0]);
}

/// With the policy of the documentation.
#[tokio::test]
async fn nothing_is_left_of_a_purged_record() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    bao.policy("store").await;
    let token = Secret::new(bao.token("store", "1h").await);
    let vault = vault(&bao.options_as(VaultAuth::Token(token)));
    let path = format!("secret/metadata/{RECORD}");
    let first = vault.put("a", None, &entry("one")).await.unwrap();
    assert!(vault.delete("a", Some(first)).await.unwrap());
    assert_eq!(bao.get(&path).await.0, 200);
    vault.purge("a").await.unwrap();
    assert_eq!(bao.get(&path).await.0, 404);
    // Another host that has read it comes too late.
    assert!(is_conflict(&vault.delete("a", Some(first)).await));
    vault.put("a", None, &entry("two")).await.unwrap();
    for _ in 0..2 {
        vault.purge("a").await.unwrap();
        assert_eq!(bao.get(&path).await.0, 404);
    }
}

#[tokio::test]
async fn a_record_that_was_removed_manually_gets_a_new_revision() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let vault = vault(&bao.options());
    let old = vault.put("a", None, &entry("old")).await.unwrap();
    let path = format!("secret/metadata/{RECORD}");
    bao.call(Method::DELETE, &path, None).await;
    assert_eq!(content(&vault, "a").await, None);
    let new = vault.put("a", None, &entry("new")).await.unwrap();
    assert_ne!(old, new);
    assert!(is_conflict(
        &vault.put("a", Some(old), &entry("late")).await
    ));
    assert!(is_conflict(&vault.delete("a", Some(old)).await));
    assert_eq!(content(&vault, "a").await, Some((new, "new".to_owned())));
}

#[tokio::test]
async fn a_record_that_was_deleted_manually_is_absent_and_can_be_written() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let vault = vault(&bao.options());
    let old = vault.put("a", None, &entry("old")).await.unwrap();
    let path = format!("secret/data/{RECORD}");
    bao.call(Method::DELETE, &path, None).await;
    assert_eq!(content(&vault, "a").await, None);
    assert!(!vault.delete("a", None).await.unwrap());
    let new = vault.put("a", None, &entry("new")).await.unwrap();
    assert_ne!(old, new);
}

#[tokio::test]
async fn an_invalid_document_hides_no_record_and_can_be_deleted() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let vault = vault(&bao.options());
    let names: Vec<String> = (0..20).map(|number| format!("name {number:02}")).collect();
    for name in &names {
        vault.put(name, None, &entry(name)).await.unwrap();
    }
    for invalid in [
        json!({"a": 1}),
        json!({"name": "b", "series": 1, "value": "YQ=="}),
    ] {
        let path = format!("secret/data/{RECORD}");
        bao.post(&path, json!({"data": invalid})).await;
        assert_eq!(super::names(&vault).await.unwrap(), names);
        let error = vault.get("a").await.unwrap_err();
        assert!(
            matches!(error, TokenStorageError::Corrupt { .. }),
            "{error}"
        );
        let error = vault.put("a", None, &entry("a")).await.unwrap_err();
        assert!(
            matches!(error, TokenStorageError::Corrupt { .. }),
            "{error}"
        );
        assert!(vault.delete("a", None).await.unwrap());
        assert_eq!(content(&vault, "a").await, None);
    }
}

#[tokio::test]
async fn a_record_of_the_largest_size_is_stored_and_a_larger_one_is_refused() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let vault = vault(&bao.options());
    let error = vault
        .put("a", None, &Entry::new(Secret::new(vec![7; 512 * 1024])))
        .await;
    let Err(TokenStorageError::TooLarge { most, .. }) = error else {
        panic!("{error:?}");
    };
    let largest = Secret::new(vec![7; most - 1]);
    let entry = Entry::new(largest.clone());
    vault.put("a", None, &entry).await.unwrap();
    assert!(vault.get("a").await.unwrap().unwrap().entry.bytes == largest);
    let (_, document) = bao.get(&format!("secret/data/{RECORD}")).await;
    assert!(document["data"]["data"].to_string().len() <= 512 * 1024);
    let entry = Entry::new(Secret::new(vec![7; most]));
    let error = vault.put("a", None, &entry).await;
    assert!(matches!(error, Err(TokenStorageError::TooLarge { .. })));
}

#[tokio::test]
async fn a_write_with_a_lost_response_is_detected() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let (net, clock) = (
        Arc::new(Tampered::default()),
        ManualClock::auto_advancing(start_time()),
    );
    let vault = net.vault(&bao.options(), &clock);
    net.lose_responses(1);
    let first = vault.put("a", None, &entry("one")).await.unwrap();
    net.lose_responses(2);
    let second = vault.put("a", Some(first), &entry("two")).await.unwrap();
    assert_eq!(second, Revision::after(Some(first)), "it was written once");
    net.lose_responses(1);
    assert!(vault.delete("a", Some(second)).await.unwrap());
    net.lose_responses(1);
    drop(vault.lock("a").await.unwrap());
}

#[tokio::test]
async fn a_write_without_any_response_can_be_retried() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let (net, clock) = (
        Arc::new(Tampered::default()),
        ManualClock::auto_advancing(start_time()),
    );
    let vault = net.vault(&bao.options(), &clock);
    net.lose_responses(5);
    let (cause, remedy) = failure(vault.put("a", None, &entry("one")).await);
    assert!(
        matches!(
            cause,
            VaultError::Unreachable(HttpErrorKind::Interrupted(_))
        ),
        "{cause}"
    );
    assert_eq!(remedy, Remedy::Retry);
    assert_eq!(clock.slept().len(), 4);
}

#[tokio::test]
async fn the_engine_deletes_an_entry_after_its_lifetime_and_keeps_one_without() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let vault = vault(&bao.options());
    let path = format!("secret/metadata/{RECORD}");
    let expiring = entry("one").with_lifetime(Duration::from_secs(600));
    let first = vault.put("a", None, &expiring).await.unwrap();
    let (_, metadata) = bao.get(&path).await;
    assert_eq!(metadata["data"]["delete_version_after"], "10m1s");
    let left = vault.get("a").await.unwrap().unwrap().entry.lifetime;
    assert!(left.is_some_and(|left| left <= Duration::from_secs(600)));

    vault.put("a", Some(first), &entry("two")).await.unwrap();
    let (_, metadata) = bao.get(&path).await;
    assert_eq!(metadata["data"]["delete_version_after"], "0s");
    assert_eq!(metadata["data"]["versions"]["2"]["deletion_time"], "");
}
