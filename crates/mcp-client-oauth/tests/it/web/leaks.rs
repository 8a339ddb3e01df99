//! No secret of a login in two requests is printed, logged, or stored in plain text.

use std::{fs, path::Path};

use super::*;
use crate::{
    leaks::{CapturedOutput, secrets},
    support::parameter,
};

/// Returns the names and the content of all files below `folder`.
fn files_in(folder: &Path) -> Vec<u8> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.extend(path.to_string_lossy().bytes());
        found.push(b'\n');
        if path.is_dir() {
            found.extend(files_in(&path));
        } else {
            found.extend(fs::read(&path).unwrap());
        }
    }
    found
}

fn holds(text: &[u8], part: &str) -> bool {
    text.windows(part.len())
        .any(|found| found == part.as_bytes())
}

#[tokio::test]
async fn no_file_log_or_debug_output_has_a_secret_of_a_pending_login() {
    let (output, _guard) = CapturedOutput::capture();
    let builder = Testbed::builder().confidential_registrations(true);
    let app = Application::with(builder).await;
    let login = app.login("alice");
    output.print(&login);
    let begun = bounded(login.begin()).await.unwrap();
    output.print(&begun);
    let stored = files_in(&app.home.path());
    let callback = approve(&begun).await;
    let other = app.begin("alice").await;
    let refused = app.finish(&callback, &other.browser_secret).await;
    output.print_error(&refused.unwrap_err());
    let session = app.finish(&callback, &begun.browser_secret).await.unwrap();
    let after = files_in(&app.home.path());
    output.print(&session);
    let again = app.finish(&callback, &begun.browser_secret).await;
    output.print_error(&again.unwrap_err());
    let denied = decide(&other.url, Decision::Deny).await.unwrap();
    let denied = app.finish(&denied, &other.browser_secret).await;
    output.print_error(&denied.unwrap_err());

    let mut secrets = secrets(&app.fixture).await;
    let record = session.record().unwrap();
    secrets.insert(record.tokens.access_token.expose().to_owned());
    secrets.insert(record.tokens.refresh_token.unwrap().expose().clone());
    secrets.insert(parameter(&begun.url, "state"));
    secrets.insert(begun.browser_secret.expose().clone());
    let random = begun.browser_secret.expose().split('.').next().unwrap();
    secrets.insert(random.to_owned());
    // State, code, verifier, client secret, tokens, and the secret of the browser.
    assert!(secrets.len() >= 8, "{}", secrets.len());
    let text = output.text();
    assert!(text.len() > 1000 && holds(&stored, "pending "));
    for secret in &secrets {
        let half = &secret[..secret.len() / 2];
        assert!(!text.contains(half), "{half} is in {text}");
        assert!(!holds(&stored, half), "{half} is in a file");
        assert!(!holds(&after, half), "{half} is in a file");
    }
}
