//! The command at a pseudoterminal, where the test reads the screen and types.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::Stdio,
    sync::Arc,
};

use mcp_oauth_testbed::{Corruption, Endpoint, Fault, test_user};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use tokio::{
    process::{Child, Command},
    sync::{oneshot, watch},
};
use url::Url;

use crate::support::{Home, bounded};

/// A terminal that runs one command.
pub(crate) struct Terminal {
    keyboard: File,
    screen: Arc<watch::Sender<String>>,
    /// Resolves when no process has the terminal open any more.
    dark: oneshot::Receiver<()>,
    child: Child,
}

impl Terminal {
    pub(crate) fn run(home: &Home, arguments: &[&str]) -> Self {
        Self::start(home.command(arguments))
    }

    /// Runs the command with the terminal as its controlling terminal, where passwords are read.
    fn control(home: &Home, arguments: &[&str]) -> Self {
        let mut command = home.program("setsid");
        command
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_mcp-oauth")])
            .args(arguments);
        Self::start(command)
    }

    fn start(command: Command) -> Self {
        Self::start_with_columns(command, 200)
    }

    pub(crate) fn start_with_columns(mut command: Command, columns: u16) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize {
            ws_row: 50,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = || {
            let path = name.to_str().unwrap();
            let file = File::options().read(true).write(true).open(path);
            Stdio::from(file.unwrap())
        };
        command
            .env("TERM", "xterm-256color")
            .stdin(slave())
            .stdout(slave())
            .stderr(slave());
        let child = command.spawn().unwrap();
        let keyboard = File::from(master);
        let mut screen_side = keyboard.try_clone().unwrap();
        let screen = Arc::<watch::Sender<String>>::default();
        let seen = Arc::clone(&screen);
        let (tell, dark) = oneshot::channel();
        // A blocking read; it ends when the command has closed the terminal.
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = screen_side.read(&mut piece) {
                let text = String::from_utf8_lossy(&piece[..count]);
                seen.send_modify(|seen| seen.push_str(&text));
            }
            let _waits = tell.send(());
        });
        Self {
            keyboard,
            screen,
            dark,
            child,
        }
    }

    /// Waits until the screen contains `text`, and returns the whole screen.
    pub(crate) async fn until_it_shows(&self, text: &str) -> String {
        let mut screen = self.screen.subscribe();
        let shown = screen.wait_for(|screen| screen.contains(text));
        let shown = bounded(shown).await;
        shown
            .unwrap_or_else(|_| panic!("{text:?} is not on the screen"))
            .clone()
    }

    /// Waits until the terminal does not echo.
    async fn wait_for_no_echo(&self) {
        let has_no_echo = || {
            let modes = tcgetattr(&self.keyboard).unwrap().local_modes;
            !modes.contains(LocalModes::ECHO)
        };
        let no_echo = async {
            while !has_no_echo() {
                tokio::task::yield_now().await;
            }
        };
        bounded(no_echo).await;
    }

    pub(crate) fn type_line(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self.keyboard.write_all(b"\n").unwrap();
    }

    /// Approves each login until the command ends, and returns what it wrote to the screen.
    pub(crate) async fn end_after_approvals(mut self) -> String {
        let mut screen = self.screen.subscribe();
        let mut approved = 0;
        loop {
            tokio::select! {
                status = bounded(self.child.wait()) => {
                    status.unwrap();
                    break;
                }
                changed = screen.changed() => changed.unwrap(),
            }
            let urls = login_urls(&screen.borrow_and_update());
            for url in urls.iter().skip(approved) {
                test_user::approve(url).await.unwrap();
            }
            approved = urls.len();
        }
        bounded(self.dark).await.unwrap();
        self.screen.borrow().clone()
    }

    /// Waits for the end, and returns the exit code and the screen.
    pub(crate) async fn end(mut self) -> (i32, String) {
        let status = bounded(self.child.wait()).await.unwrap();
        bounded(self.dark).await.unwrap();
        (status.code().unwrap_or(-1), self.screen.borrow().clone())
    }
}

/// Returns the URLs of logins on a screen, where they are links.
fn login_urls(screen: &str) -> Vec<Url> {
    let links = screen.split("\u{1b}]8;;").skip(1);
    let urls = links.filter_map(|link| link.split_once("\u{1b}\\")?.0.parse().ok());
    urls.filter(|url: &Url| url.path().ends_with("/authorize"))
        .collect()
}

/// Removes the colours and links of the command from a screen. Any other control sequence stays.
pub(crate) fn without_styles(screen: &str) -> String {
    let mut rest = String::new();
    let mut parts = screen.split('\u{1b}');
    rest.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let colour = part.strip_prefix('[').and_then(|part| {
            let (codes, after) = part.split_once('m')?;
            let is_colour = codes.chars().all(|c| c.is_ascii_digit() || c == ';');
            is_colour.then_some(after)
        });
        let link = part
            .strip_prefix("]8;;")
            .filter(|url| url.is_empty() || url.starts_with("http"))
            // Its end is at the start of the next part.
            .map(|_| "");
        let end_of_link = part.strip_prefix('\\');
        let style = colour.or(link).or(end_of_link);
        if style.is_none() {
            rest.push('\u{1b}');
        }
        rest.push_str(style.unwrap_or(part));
    }
    rest
}

/// Removes the control sequences of the spinner, which clears its own line.
fn without_spinner(screen: &str) -> String {
    let cleared = ["\u{1b}[2K", "\u{1b}[1A", "\u{1b}[?25l", "\u{1b}[?25h"];
    cleared
        .iter()
        .fold(screen.to_owned(), |screen, code| screen.replace(code, ""))
}

/// `docs/hostile.md` H161.
#[tokio::test]
async fn a_token_is_printed_on_a_terminal_only_with_show() {
    let home = Home::logged_in().await;
    let token = home.run(&["token", "notes"]).await.succeeded().stdout;
    let (code, screen) = Terminal::run(&home, &["token", "notes"]).end().await;
    assert_eq!(code, 2, "{screen}");
    assert!(screen.contains("mcp-oauth token notes --show"), "{screen}");
    assert!(!screen.contains(token.trim()), "{screen}");
    let (code, screen) = Terminal::run(&home, &["token", "notes", "--show"])
        .end()
        .await;
    assert_eq!((code, screen.trim()), (0, token.trim()));
}

/// Over SSH, a browser on another machine cannot reach the listener.
#[tokio::test]
async fn a_callback_url_from_another_computer_can_be_pasted() {
    let home = Home::new().await;
    let mut terminal = Terminal::run(&home, &["login", "notes", &home.url(), "--no-browser"]);
    let screen = terminal.until_it_shows("paste the URL").await;
    let shown = without_styles(&screen);
    let url = shown.lines().find_map(|line| line.strip_prefix("  http"));
    let url: Url = format!("http{}", url.unwrap().trim()).parse().unwrap();
    let callback = test_user::decide(&url, test_user::Decision::Approve)
        .await
        .unwrap();
    let mut other_callback = callback.clone();
    other_callback.set_query(Some("code=stolen&state=of-another-login"));
    // A URL that does not belong to this login is ignored.
    terminal.type_line("https://elsewhere.example/?code=x");
    terminal.type_line(other_callback.as_str());
    terminal.type_line(callback.as_str());
    let (code, screen) = terminal.end().await;
    assert_eq!(code, 0, "{screen}");
    home.run(&["token", "notes"]).await.succeeded();
}

/// django-oauth-toolkit and Canaille redirect a browser without a session to their login page before they
/// check the client, so that no check detects an unknown client: the user sees the error page.
#[tokio::test]
async fn a_client_that_the_server_does_not_know_can_be_registered_again() {
    let home = Home::logged_in().await;
    home.run(&["logout", "notes"]).await.succeeded();
    home.testbed.remove_registrations();
    home.testbed.set_fault(Fault::Status {
        path: "/authorize".to_owned(),
        status: 302,
        body: String::new(),
        headers: vec![("location".to_owned(), "/accounts/login/".to_owned())],
        times: Some(1),
    });
    let mut terminal = Terminal::run(&home, &["login", "notes", "--no-browser"]);
    terminal.until_it_shows("paste the URL").await;
    terminal.type_line("r");
    let mut screen = terminal.screen.subscribe();
    let twice = screen.wait_for(|screen| screen.matches("paste the URL").count() == 2);
    let shown = without_styles(&bounded(twice).await.unwrap().clone());
    assert!(shown.contains("registering the client again"), "{shown}");
    let urls = shown.lines().filter_map(|line| line.strip_prefix("  http"));
    let urls: Vec<Url> = urls
        .map(|url| format!("http{}", url.trim()).parse().unwrap())
        .collect();
    let client = |url: &Url| {
        let mut pairs = url.query_pairs();
        pairs
            .find(|(name, _)| name == "client_id")
            .unwrap()
            .1
            .into_owned()
    };
    let [old, new] = &urls[..] else {
        panic!("{urls:?}")
    };
    assert_ne!(client(old), client(new));
    test_user::approve(new).await.unwrap();
    let (code, screen) = terminal.end().await;
    assert_eq!(code, 0, "{screen}");
    home.run(&["token", "notes"]).await.succeeded();
}

/// One line is enough; the input need not end. The URL has an authorization code, so it is not shown.
#[tokio::test]
async fn the_url_of_a_callback_is_read_without_an_echo() {
    let home = Home::new().await;
    let mut terminal = Terminal::control(&home, &["login", "--complete"]);
    terminal
        .until_it_shows("URL of the page that the browser ended on")
        .await;
    terminal.wait_for_no_echo().await;
    terminal.type_line("http://127.0.0.1:1/callback?code=planted&state=s");
    let (code, screen) = terminal.end().await;
    assert_eq!(code, 3, "{screen}");
    assert!(screen.contains("no login is pending"), "{screen}");
    assert!(!screen.contains("planted"), "{screen}");
}

/// `NO_COLOR` removes colours only (<https://no-color.org>).
#[tokio::test]
async fn without_colors_a_terminal_still_has_links_and_a_spinner() {
    let home = Home::new().await;
    let mut command = home.command(&["login", "notes", &home.url(), "--no-browser"]);
    command.env("NO_COLOR", "1");
    let terminal = Terminal::start(command);
    let screen = terminal.until_it_shows("waiting for the browser").await;
    assert!(screen.contains("\u{1b}]8;;http"), "{screen:?}");
    let colors = ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[3"];
    assert!(
        colors.iter().all(|color| !screen.contains(color)),
        "{screen:?}"
    );
}

/// `docs/hostile.md` H156, H157, on a real terminal.
#[tokio::test]
async fn nothing_that_a_server_wrote_moves_the_cursor_of_a_terminal() {
    const HOSTILE: &str = "a\u{1b}[2J\u{1b}]52;c;cGxhbnRlZA==\u{7}\u{1b}]0;planted\u{7}\u{9b}2J\r\u{8}\
                           \u{202e}\u{1b}[31mred";
    let home = Home::new().await;
    let url = home.url();
    let error = Fault::CallbackError {
        error: "invalid_scope".to_owned(),
        description: Some(HOSTILE.to_owned()),
    };
    let body = serde_json::json!({ "issuer": HOSTILE })
        .to_string()
        .into_bytes();
    let corruption = Corruption::Raw {
        content_type: "application/json".to_owned(),
        body,
    };
    let other_issuer = Fault::Corrupt(Endpoint::ServerMetadata, corruption);
    for (number, fault) in [other_issuer, error].into_iter().enumerate() {
        home.testbed.clear_faults();
        home.testbed.set_fault(fault);
        let terminal = Terminal::run(&home, &["login", "notes", &url, "--no-browser", "-v"]);
        if number == 1 {
            let screen = terminal.until_it_shows("paste the URL").await;
            let shown = without_styles(&screen);
            let url = shown.lines().find_map(|line| line.strip_prefix("  http"));
            let url: Url = format!("http{}", url.unwrap().trim()).parse().unwrap();
            test_user::approve(&url).await.unwrap();
        }
        let (code, screen) = terminal.end().await;
        assert_ne!(code, 0, "{screen}");
        assert!(screen.contains("error:"), "{screen:?}");
        let rest = without_spinner(&without_styles(&screen));
        let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r') || c == '\u{202e}';
        assert_eq!(rest.find(odd), None, "{rest:?}");
        // The terminal adds a carriage return to each line feed of the command.
        assert_eq!(rest.replace("\r\n", "").find('\r'), None, "{rest:?}");
        assert!(!screen.contains("\u{1b}[31mred"), "{screen:?}");
    }
}

#[tokio::test]
async fn a_password_is_read_at_the_terminal_without_echo() {
    let home = Home::new().await;
    let store = format!("file:{}", home.path("encrypted").display());
    let set = [
        ("MCP_OAUTH_STORE", store.as_str()),
        ("MCP_OAUTH_PASSWORD", "a password of mine"),
    ];
    home.login_in(&set, &["notes", &home.url()])
        .await
        .succeeded();
    let mut terminal = Terminal::control(&home, &["list", "--store", &store]);
    terminal.until_it_shows("Password of the token store").await;
    // A user types only after the echo is off.
    terminal.wait_for_no_echo().await;
    terminal.type_line("a password of mine");
    let (code, screen) = terminal.end().await;
    assert_eq!(code, 0, "{screen}");
    assert!(
        screen.contains("notes") && screen.contains("valid for"),
        "{screen}"
    );
    assert!(!screen.contains("a password of mine"), "{screen}");
}
