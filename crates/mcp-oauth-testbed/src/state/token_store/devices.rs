//! The codes of devices, and what has become of each.

use std::collections::HashMap;
use std::time::Duration;

use crate::random::random;

/// RFC 8628 §3.5: with `slow_down`, "the interval MUST be increased by 5 seconds for this and all
/// subsequent requests".
const SLOWER: Duration = Duration::from_secs(5);

/// RFC 8628 §6.1: no vowels, so that no words appear, and nothing that looks like a digit.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Holds what a device asks a person for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) client_id: String,
    pub(crate) client_name: String,
    pub(crate) resources: Vec<String>,
    pub(crate) scopes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Pending,
    Approved,
    Denied,
}

#[derive(Debug)]
struct Device {
    ask: Ask,
    user_code: String,
    expires: Duration,
    interval: Duration,
    polled: Option<Duration>,
    answer: Answer,
}

/// Holds what a poll finds.
#[derive(Debug)]
pub(crate) enum Poll {
    /// There is no such code, or it is of another client, or was spent.
    Unknown,
    /// Its time is over.
    Expired,
    /// The person has not decided, and the client did not wait long enough.
    TooFast,
    /// The person has not decided.
    Pending,
    /// The person said no.
    Denied,
    /// The person said yes.
    Approved(Ask),
}

/// The devices that wait, by their device code.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    waiting: HashMap<String, Device>,
    /// One-time tickets of the confirmation page, with the device code that each is for.
    tickets: HashMap<String, String>,
}

impl Devices {
    /// Returns a device code, and the user code for it.
    pub(crate) fn open(
        &mut self,
        ask: Ask,
        expires: Duration,
        interval: Duration,
    ) -> (String, String) {
        let device_code = random("device");
        let user_code = user_code();
        self.waiting.insert(
            device_code.clone(),
            Device {
                ask,
                user_code: user_code.clone(),
                expires,
                interval,
                polled: None,
                answer: Answer::Pending,
            },
        );
        (device_code, user_code)
    }

    /// Only who is still waiting can be too fast: `slow_down` is a variant of
    /// `authorization_pending` (RFC 8628 §3.5).
    pub(crate) fn poll(&mut self, device_code: &str, client_id: &str, now: Duration) -> Poll {
        let device = self.waiting.get_mut(device_code);
        let Some(device) = device.filter(|device| device.ask.client_id == client_id) else {
            return Poll::Unknown;
        };
        if now >= device.expires {
            return Poll::Expired;
        }
        let before = device.polled.replace(now);
        match device.answer {
            Answer::Approved => Poll::Approved(device.ask.clone()),
            Answer::Denied => Poll::Denied,
            Answer::Pending if before.is_some_and(|before| now < before + device.interval) => {
                device.interval += SLOWER;
                Poll::TooFast
            }
            Answer::Pending => Poll::Pending,
        }
    }

    /// The code has brought its tokens.
    pub(crate) fn spend(&mut self, device_code: &str) {
        self.waiting.remove(device_code);
    }

    /// Returns what waits for a decision under this user code, and a ticket to decide it with. Case and
    /// punctuation do not matter (RFC 8628 §6.1).
    pub(crate) fn look_up(&mut self, entered: &str, now: Duration) -> Option<(Ask, String)> {
        let entered = letters(entered);
        let (device_code, device) = self.waiting.iter().find(|(_, device)| {
            device.answer == Answer::Pending
                && now < device.expires
                && letters(&device.user_code) == entered
        })?;
        let ticket = random("ticket");
        self.tickets.insert(ticket.clone(), device_code.clone());
        Some((device.ask.clone(), ticket))
    }

    /// Returns the person decides. False if there is nothing to decide any more.
    pub(crate) fn decide(&mut self, ticket: &str, approved: bool, now: Duration) -> bool {
        let device_code = self.tickets.remove(ticket);
        let device = device_code.and_then(|code| self.waiting.get_mut(&code));
        let open = |device: &&mut Device| device.answer == Answer::Pending && now < device.expires;
        let Some(device) = device.filter(open) else {
            return false;
        };
        device.answer = if approved {
            Answer::Approved
        } else {
            Answer::Denied
        };
        true
    }
}

fn letters(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_uppercase())
        .collect()
}

/// Eight letters, as in `WDJB-MJHT`. The bytes beyond twelve times twenty are left out, so that no
/// letter comes more often than another.
fn user_code() -> String {
    let mut code = String::new();
    while code.len() < 9 {
        let seed = random("").into_bytes();
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &seed);
        let even = hash.as_ref().iter().filter(|byte| **byte < 240);
        for letter in even.filter_map(|byte| LETTERS.get(usize::from(byte % 20))) {
            if code.len() == 4 {
                code.push('-');
            }
            if code.len() < 9 {
                code.push(char::from(*letter));
            }
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_code_is_two_groups_of_four_letters() {
        let code = user_code();
        let (first, second) = code.split_once('-').unwrap();
        for group in [first, second] {
            assert_eq!(group.len(), 4);
            assert!(
                group.bytes().all(|letter| LETTERS.contains(&letter)),
                "{code}"
            );
        }
        assert_ne!(code, user_code());
    }

    #[test]
    fn each_slow_down_makes_the_interval_longer() {
        let mut devices = Devices::default();
        let ask = Ask {
            client_id: "tv".to_owned(),
            client_name: "tv".to_owned(),
            resources: Vec::new(),
            scopes: Vec::new(),
        };
        let second = Duration::from_secs;
        let (code, _) = devices.open(ask, second(600), second(5));
        for (now, fast) in [(0, false), (4, true), (13, true), (28, false), (42, true)] {
            let poll = devices.poll(&code, "tv", second(now));
            assert_eq!(matches!(poll, Poll::TooFast), fast, "at {now} s: {poll:?}");
        }
        assert!(matches!(
            devices.poll(&code, "tv", second(600)),
            Poll::Expired
        ));
    }
}
