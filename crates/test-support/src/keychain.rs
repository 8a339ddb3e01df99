//! A D-Bus session for one test, with or without a Secret Service: the test starts itself again in that
//! session. Home and runtime directory are temporary: the test changes no data of the user.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use secret_service::{
    EncryptionType,
    blocking::{Collection, Item, SecretService},
};
use tempfile::TempDir;

use crate::tool::{is_skipped, variable};

/// The variable that is set inside the session.
const INSIDE: &str = "MCP_OAUTH_TEST_SESSION";

/// The services of a session.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Session {
    /// The real GNOME Keyring, with an unlocked login keyring.
    Unlocked,
    /// The real GNOME Keyring without any keyring, as on a host without a graphical login.
    NoKeyring,
    /// No Secret Service.
    NoService,
    /// A Secret Service that a policy forbids to use.
    Denied,
    /// A bus that accepts messages, and never delivers a reply.
    Silent,
    /// No session bus.
    NoBus,
}

/// Runs the rest of a test in a [`Session`]: outside of one it starts the test again inside, waits
/// for it, and returns from the test. Its value is the name of the test, for [`same_test`].
#[macro_export]
macro_rules! in_session {
    ($session:expr) => {{
        fn here() {}
        let name = $crate::keychain::test_name(&here);
        if $crate::keychain::is_outside(name, $session) {
            return;
        }
        name
    }};
}

/// Returns the name, as in the test harness, of the test that defines a function in its body.
#[doc(hidden)]
pub fn test_name<F>(_: &F) -> &'static str {
    // In `it::module::test::{{closure}}::here`, the crate `it` is not part of the name of the test.
    let path = std::any::type_name::<F>();
    let path = path.split_once("::").map_or(path, |(_, path)| path);
    let path = path.strip_suffix("::here").unwrap_or(path);
    path.strip_suffix("::{{closure}}").unwrap_or(path)
}

/// Starts the test called `name` again inside such a session, unless this process is inside. Returns
/// whether the test was run inside or was skipped.
#[doc(hidden)]
pub fn is_outside(name: &str, session: Session) -> bool {
    if variable(INSIDE).is_some() {
        return false;
    }
    let reason = "there is no gnome-keyring-daemon with dbus-run-session on PATH";
    let needs_keyring = !matches!(session, Session::NoBus);
    if !(needs_keyring && is_skipped("MCP_OAUTH_TEST_KEYCHAIN", reason)) {
        let home = tempfile::tempdir().unwrap();
        let output = command(name, session, &home).output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && stdout.contains("1 passed"),
            "{stdout}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    true
}

fn command(name: &str, session: Session, home: &TempDir) -> Command {
    let mut command = in_session(session, home.path());
    command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1");
    command.env("RUST_BACKTRACE", "0");
    // Without a display, a keyring cannot open a dialog.
    for name in ["DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"] {
        command.env_remove(name);
    }
    for (name, folder) in [
        ("HOME", ""),
        ("XDG_CACHE_HOME", ".cache"),
        ("XDG_CONFIG_HOME", ".config"),
        ("XDG_DATA_HOME", ".local/share"),
        ("XDG_RUNTIME_DIR", "run"),
    ] {
        let path = home.path().join(folder);
        fs::create_dir_all(&path).unwrap();
        command.env(name, path);
    }
    command.stdin(Stdio::null());
    command
}

/// Returns the command that runs another command in such a session.
fn in_session(session: Session, home: &Path) -> Command {
    const START: &str = "printf test-password \
        | gnome-keyring-daemon --unlock --components=secrets >/dev/null && exec \"$0\" \"$@\"";
    let mut command = Command::new("dbus-run-session");
    match session {
        Session::Unlocked => command.args(["--", "bash", "-c", START]),
        Session::NoKeyring => command.arg("--"),
        Session::NoService => command.arg(bus(home, "", ALLOW_DELIVERY)).arg("--"),
        Session::Denied => command
            .arg(bus(home, SERVICES, DENY_SECRET_SERVICE))
            .arg("--"),
        Session::Silent => command.arg(bus(home, "", "")).arg("--"),
        Session::NoBus => return Command::new("env"),
    };
    command
}

const ALLOW_DELIVERY: &str = r#"<allow eavesdrop="true"/>"#;
const DENY_SECRET_SERVICE: &str =
    r#"<allow eavesdrop="true"/><deny send_destination="org.freedesktop.secrets"/>"#;
/// The configuration of the services that the bus can start.
const SERVICES: &str = "<standard_session_servicedirs/>";

/// Writes the configuration of a bus with these services and with additional policy rules. Returns the
/// argument that names the file.
fn bus(home: &Path, services: &str, policy: &str) -> String {
    let path = home.join("bus.conf");
    let text = format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  {services}
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow own="*"/>
    {policy}
  </policy>
</busconfig>"#
    );
    #[expect(clippy::disallowed_methods, reason = "the file holds no secret")]
    fs::write(&path, text).unwrap();
    format!("--config-file={}", path.display())
}

/// Returns a command that runs this test again, as another process in the same session and with the same
/// home. Without the variables of the session it runs outside of it.
pub fn same_test(name: &str, role: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture"])
        .env("MCP_OAUTH_TEST_ROLE_IN_SESSION", role)
        .env("MCP_OAUTH_TEST_DIRECTORY", directory)
        .stdin(Stdio::null());
    command
}

/// Returns the role and the directory of this process, if [`same_test`] started it.
pub fn role() -> Option<(String, String)> {
    let role = variable("MCP_OAUTH_TEST_ROLE_IN_SESSION")?;
    Some((role, variable("MCP_OAUTH_TEST_DIRECTORY")?))
}

/// Opens the keychain by another implementation than the library's.
async fn with_keychain<T: Send + 'static>(
    look: impl FnOnce(&SecretService<'_>, &Collection<'_>) -> T + Send + 'static,
) -> T {
    tokio::task::spawn_blocking(move || {
        let service = SecretService::connect(EncryptionType::Dh).unwrap();
        let collection = service.get_default_collection().unwrap();
        look(&service, &collection)
    })
    .await
    .unwrap()
}

/// One entry of the keychain.
#[derive(Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Its `service` attribute.
    pub service: String,
    /// Its `username` attribute: the name of the key.
    pub account: String,
    /// The label that a keychain manager shows.
    pub label: String,
    /// The key.
    pub secret: String,
}

impl Entry {
    fn of(item: &Item<'_>) -> Self {
        let mut attributes = item.get_attributes().unwrap();
        Self {
            service: attributes.remove("service").unwrap(),
            account: attributes.remove("username").unwrap(),
            label: item.get_label().unwrap(),
            secret: String::from_utf8(item.get_secret().unwrap()).unwrap(),
        }
    }
}

/// Returns every entry of the keychain.
pub async fn entries() -> Vec<Entry> {
    with_keychain(|_, collection| {
        let items = collection.get_all_items().unwrap();
        items.iter().map(Entry::of).collect()
    })
    .await
}

/// Changes every entry of the keychain.
pub async fn with_each(change: impl Fn(&Item<'_>) + Send + 'static) {
    with_keychain(move |_, collection| collection.get_all_items().unwrap().iter().for_each(change))
        .await;
}

/// Locks the keychain. It cannot be unlocked, since there is no display.
pub async fn lock() {
    with_keychain(|_, collection| collection.lock().unwrap()).await;
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_name_of_an_asynchronous_test_matches_the_harness() {
        fn here() {}
        let expected = "keychain::tests::the_name_of_an_asynchronous_test_matches_the_harness";
        assert_eq!(super::test_name(&here), expected);
    }
}
