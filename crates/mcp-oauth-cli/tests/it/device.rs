//! `login` with a code that the user enters on another device.

use std::time::Duration;

use mcp_oauth_testbed::{Builder, Fault, Peer, Testbed, test_user};

use crate::support::{Home, Output, Running, bounded};

/// Returns a testbed with the device flow and a poll interval of one second.
pub(crate) fn devices() -> Builder {
    Testbed::builder()
        .device_authorization(true)
        .device_interval(Duration::ZERO)
        .fault(Fault::DeviceField("interval".to_owned(), 1.into()))
}

/// Runs `login …`, and enters the code as a user on another device does.
async fn entered(home: &Home, arguments: &[&str], approves: bool) -> Output {
    let arguments = [&["login"], arguments].concat();
    let mut running = Running::start(home.command(&arguments), "").await;
    let url = bounded(running.url()).await.unwrap();
    let code = bounded(running.user_code()).await.unwrap();
    let visit = if approves {
        test_user::approve_device(&url, &code).await
    } else {
        test_user::deny_device(&url, &code).await
    };
    visit.unwrap();
    bounded(running.end()).await
}

#[tokio::test]
async fn a_code_that_is_entered_on_another_device_logs_in() {
    let home = Home::with(devices()).await;
    let login = entered(&home, &["notes", &home.url(), "--device"], true)
        .await
        .succeeded();
    let issuer = home.testbed.issuer();
    login
        .says(&format!(
            "To log in at {issuer}, open this URL in a browser on any device:"
        ))
        .says("If the page shows another code, do not confirm it.");
    assert!(!login.stderr.contains('\u{1b}'), "plain when piped");
    home.run(&["tools", "notes"]).await.succeeded();
    let names = std::fs::read_to_string(home.data().join("servers.json")).unwrap();
    assert!(names.contains(r#""grant": "device""#), "{names}");
    // The device flow is remembered with the name.
    entered(&home, &["notes", "--force"], true)
        .await
        .succeeded();
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn without_a_display_the_device_flow_is_used_where_supported() {
    let home = Home::with(devices()).await;
    entered(&home, &["notes", &home.url(), "--json"], true)
        .await
        .succeeded()
        .says("No browser can be opened here, so a code is shown");
    // `--no-browser` requests a URL.
    home.login(&["notes", "--force", "--no-browser"])
        .await
        .succeeded();
    let asked = home
        .testbed
        .count(Peer::AuthorizationServer, "POST", "/device_authorization");
    assert_eq!(asked, 1);
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn without_a_display_metadata_is_requested_once() {
    let home = Home::new().await;
    let login = home.login(&["notes", &home.url()]).await.succeeded();
    login.says("open this URL in a browser");
    for party in [Peer::Mcp, Peer::AuthorizationServer] {
        let requests = home.testbed.requests();
        let metadata = requests
            .iter()
            .filter(|request| request.to == party && request.path.starts_with("/.well-known/"));
        assert_eq!(metadata.count(), 1, "{party:?}");
    }
}

#[tokio::test]
async fn a_denied_device_code_exits_as_denied() {
    let home = Home::with(devices()).await;
    let url = home.url();
    let denied = entered(&home, &["notes", &url, "--device", "--json"], false)
        .await
        .ended(3);
    assert_eq!(denied.json()["error"]["code"], "denied");
}

#[tokio::test]
async fn a_device_code_that_is_not_entered_expires() {
    let brief = devices().fault(Fault::DeviceField("expires_in".to_owned(), 1.into()));
    let home = Home::with(brief).await;
    let url = home.url();
    let expired = home
        .run(&["login", "notes", &url, "--device", "--json"])
        .await
        .ended(3);
    assert_eq!(expired.json()["error"]["code"], "code_expired");
    assert!(!home.data().join("servers.json").exists());
}

#[tokio::test]
async fn a_server_without_device_flow_is_reported() {
    let home = Home::new().await;
    let refused = home
        .run(&["login", "notes", &home.url(), "--device"])
        .await
        .ended(1);
    refused.says("no supported grant works").says(&format!(
        "hint: log in with a browser: mcp-oauth login notes {}\n",
        home.url()
    ));
}

/// `docs/hostile.md` H175.
#[tokio::test]
async fn a_verification_page_on_another_host_prints_a_warning() {
    let home = Home::with(devices()).await;
    let real = format!("{}/device", home.testbed.issuer());
    let elsewhere = real.replace("127.0.0.1", "localhost");
    home.testbed.set_fault(Fault::DeviceField(
        "verification_uri".to_owned(),
        elsewhere.into(),
    ));
    let url = home.url();
    let arguments = ["login", "notes", &url, "--device"];
    let mut running = Running::start(home.command(&arguments), "").await;
    let shown = bounded(running.url()).await.unwrap();
    assert_eq!(shown.host_str(), Some("localhost"));
    let code = bounded(running.user_code()).await.unwrap();
    test_user::approve_device(&real.parse().unwrap(), &code)
        .await
        .unwrap();
    let login = bounded(running.end()).await.succeeded();
    login.says("is not the host of the authorization server");
}

/// `docs/hostile.md` H179.
#[tokio::test]
async fn a_server_with_device_flow_only_needs_the_device_flag() {
    let home = Home::with(devices()).await;
    let member = "authorization_endpoint".to_owned();
    home.testbed.set_fault(Fault::MetadataWithout(member));
    let url = home.url();
    home.run(&["login", "notes", &url, "--no-browser", "--timeout", "20s"])
        .await
        .ended(1)
        .says("`device_code` may work if it is requested")
        .says(&format!(
            "hint: log in with a code: mcp-oauth login notes {url} --timeout 20s --device"
        ));
    let asked = home
        .testbed
        .count(Peer::AuthorizationServer, "POST", "/device_authorization");
    assert_eq!(asked, 0);
    entered(&home, &["notes", &url, "--device"], true)
        .await
        .succeeded();
}
