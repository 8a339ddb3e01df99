//! The section of `docs/interop.md` with the outcome of each hosted server.

use std::{env, fmt::Write as _, fs};

use super::{
    case::{self, Case, Folder},
    overrides,
    run::{CaseResult, run},
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/interop.md");
const BEGIN: &str = "<!-- hosted -->\n";
const END: &str = "<!-- /hosted -->\n";

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the variable is an option of the test run, and no secret"
)]
async fn the_page_has_the_outcomes_of_the_hosted_servers() {
    let page = fs::read_to_string(PAGE).unwrap().replace("\r\n", "\n");
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let page_now = format!("{before}{BEGIN}{}{END}{after}", section().await);
    if env::var_os("MCP_OAUTH_TEST_WRITE_TABLE").is_some() {
        fs::write(PAGE, &page_now).unwrap();
        return;
    }
    assert!(
        page == page_now,
        "docs/interop.md is out of date: run the second command of replay/README.md"
    );
}

async fn section() -> String {
    let mut rows = String::new();
    let mut counted = [0; 3];
    for case in case::all(Folder::Hosted) {
        let ran = Box::pin(run(&case)).await;
        counted[match ran.outcome.as_str() {
            "refreshed" => 0,
            "no-refresh-token" => 1,
            _ => 2,
        }] += 1;
        writeln!(rows, "{}", row(&case, &ran)).unwrap();
    }
    let [refreshed, without, stopped] = counted;
    let all = refreshed + without + stopped;
    format!(
        "\n{all} cases: {refreshed} log in and refresh, {without} log in without a refresh token, \
         {stopped} stop.\n\n\
         | case | documents | given besides the URL | outcome | override or leniency | why it stops |\n\
         |---|---|---|---|---|---|\n{rows}\n"
    )
}

fn row(case: &Case, ran: &CaseResult) -> String {
    let documents = match case.tok.as_str() {
        "" => format!("{}, {}", case.date, case.doc),
        tokens => format!("{}, {}; tokens: {tokens}", case.date, case.doc),
    };
    let (_, server) = case.server.split_once("://").unwrap();
    let cells = [
        format!("{} (`{server}`)", case.name),
        documents,
        overrides::given(&case.options).join(", "),
        ran.outcome.clone(),
        overrides::used(case, ran).join(", "),
        case.reason.clone().unwrap_or_default(),
    ];
    format!("| {} |", cells.join(" | "))
}
