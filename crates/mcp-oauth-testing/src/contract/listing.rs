//! The checks of listing names in pages.

use std::collections::BTreeSet;

use super::calls::{delete, listed, put};
use mcp_oauth_store::{Backend, NameQuery};

const WORK: [&str; 3] = [
    "login https://a.example/mcp#work",
    "login https://b.example/#work",
    "login https://c.example/mcp#work",
];
const OTHERS: [&str; 5] = [
    "login https://a.example/mcp",
    "login https://a.example/mcp#home",
    "login https://a.example/mcp#work#2",
    "login https://work.example/mcp",
    "client https://issuer.example",
];

pub(super) async fn pages_cover_each_name_once(backend: &dyn Backend) {
    put_all(backend).await;
    for limit in [1, 3, 8, 100] {
        let pages = listed(backend, NameQuery::new(limit)).await;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        assert!(
            pages.iter().all(|page| page.len() <= most),
            "a page has more than {limit} names"
        );
        let mut found = pages.concat();
        found.sort_unstable();
        let all: BTreeSet<_> = WORK.into_iter().chain(OTHERS).collect();
        assert!(
            found.iter().map(String::as_str).eq(all),
            "the pages of {limit} names do not have each name once: {found:?}"
        );
    }
    delete_all(backend).await;
}

pub(super) async fn the_names_of_an_account_are_selected(backend: &dyn Backend) {
    put_all(backend).await;
    for limit in [1, 2, 100] {
        for (account, expected) in [
            ("work", &WORK[..]),
            ("work#2", &["login https://a.example/mcp#work#2"]),
            ("", &[]),
            ("nothing", &[]),
        ] {
            let mut query = NameQuery::new(limit);
            query.account = Some(account.to_owned());
            let mut found = listed(backend, query).await.concat();
            found.sort_unstable();
            assert_eq!(
                found, expected,
                "the listed names are not those of the account `{account}`"
            );
        }
    }
    delete_all(backend).await;
}

async fn put_all(backend: &dyn Backend) {
    for name in WORK.iter().chain(&OTHERS) {
        put(backend, name, None, b"one").await;
    }
}

async fn delete_all(backend: &dyn Backend) {
    for name in WORK.iter().chain(&OTHERS) {
        delete(backend, name).await;
    }
}
