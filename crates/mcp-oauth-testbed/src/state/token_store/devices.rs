//! The device codes, and the user's decision about each.

use std::collections::HashMap;
use std::time::Duration;

use crate::random::random;

/// The increase of the interval. RFC 8628 §3.5: with `slow_down`, "the interval MUST be increased by 5
/// seconds for this and all subsequent requests".
const INTERVAL_INCREASE: Duration = Duration::from_secs(5);

/// The letters of a user code. RFC 8628 §6.1: no vowels, so that no words appear, and no letters that
/// look like a digit.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// An authorization request of a device.
#[derive(Debug, Clone)]
pub(crate) struct DeviceRequest {
    pub(crate) client_id: String,
    pub(crate) client_name: String,
    pub(crate) resources: Vec<String>,
    pub(crate) scopes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Pending,
    Approved,
    Denied,
}

#[derive(Debug)]
struct Device {
    request: DeviceRequest,
    user_code: String,
    expires: Duration,
    interval: Duration,
    polled: Option<Duration>,
    decision: Decision,
}

/// The result of a poll.
#[derive(Debug)]
pub(crate) enum PollResult {
    /// There is no such code, or it belongs to another client, or it was used.
    Unknown,
    /// The code has expired.
    Expired,
    /// The user has not decided, and the client did not wait for the interval.
    TooFast,
    /// The user has not decided.
    Pending,
    /// The user denied the request.
    Denied,
    /// The user approved the request.
    Approved(DeviceRequest),
}

/// The waiting devices, by their device codes.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    waiting: HashMap<String, Device>,
    /// One-time tickets of the confirmation page, with the device code that each is for.
    tickets: HashMap<String, String>,
}

impl Devices {
    /// Adds a device, and returns its device code and its user code.
    pub(crate) fn open(
        &mut self,
        request: DeviceRequest,
        expires: Duration,
        interval: Duration,
    ) -> (String, String) {
        let device_code = random("device");
        let user_code = user_code();
        self.waiting.insert(
            device_code.clone(),
            Device {
                request,
                user_code: user_code.clone(),
                expires,
                interval,
                polled: None,
                decision: Decision::Pending,
            },
        );
        (device_code, user_code)
    }

    /// Returns the state of a device code. Only a pending one can be polled too fast: `slow_down` is a
    /// variant of `authorization_pending` (RFC 8628 §3.5).
    pub(crate) fn poll(&mut self, device_code: &str, client_id: &str, now: Duration) -> PollResult {
        let device = self.waiting.get_mut(device_code);
        let Some(device) = device.filter(|device| device.request.client_id == client_id) else {
            return PollResult::Unknown;
        };
        if now >= device.expires {
            return PollResult::Expired;
        }
        let before = device.polled.replace(now);
        match device.decision {
            Decision::Approved => PollResult::Approved(device.request.clone()),
            Decision::Denied => PollResult::Denied,
            Decision::Pending if before.is_some_and(|before| now < before + device.interval) => {
                device.interval += INTERVAL_INCREASE;
                PollResult::TooFast
            }
            Decision::Pending => PollResult::Pending,
        }
    }

    /// Removes a code after its tokens were issued.
    pub(crate) fn spend(&mut self, device_code: &str) {
        self.waiting.remove(device_code);
    }

    /// Returns the pending request with this user code, and a ticket to decide it with. Case and
    /// punctuation are ignored (RFC 8628 §6.1).
    pub(crate) fn look_up(
        &mut self,
        entered: &str,
        now: Duration,
    ) -> Option<(DeviceRequest, String)> {
        let entered = letters(entered);
        let (device_code, device) = self.waiting.iter().find(|(_, device)| {
            device.decision == Decision::Pending
                && now < device.expires
                && letters(&device.user_code) == entered
        })?;
        let ticket = random("ticket");
        self.tickets.insert(ticket.clone(), device_code.clone());
        Some((device.request.clone(), ticket))
    }

    /// Stores the user's decision. Returns false if the ticket is unknown or the request is no longer
    /// pending.
    pub(crate) fn decide(&mut self, ticket: &str, approved: bool, now: Duration) -> bool {
        let device_code = self.tickets.remove(ticket);
        let device = device_code.and_then(|code| self.waiting.get_mut(&code));
        let open =
            |device: &&mut Device| device.decision == Decision::Pending && now < device.expires;
        let Some(device) = device.filter(open) else {
            return false;
        };
        device.decision = if approved {
            Decision::Approved
        } else {
            Decision::Denied
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

/// Returns a user code of eight letters, as in `WDJB-MJHT`. Bytes of 240 and more are skipped, so that
/// every letter is equally likely.
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
    fn each_slow_down_increases_the_interval() {
        let mut devices = Devices::default();
        let request = DeviceRequest {
            client_id: "tv".to_owned(),
            client_name: "tv".to_owned(),
            resources: Vec::new(),
            scopes: Vec::new(),
        };
        let second = Duration::from_secs;
        let (code, _) = devices.open(request, second(600), second(5));
        for (now, fast) in [(0, false), (4, true), (13, true), (28, false), (42, true)] {
            let poll = devices.poll(&code, "tv", second(now));
            assert_eq!(
                matches!(poll, PollResult::TooFast),
                fast,
                "at {now} s: {poll:?}"
            );
        }
        assert!(matches!(
            devices.poll(&code, "tv", second(600)),
            PollResult::Expired
        ));
    }
}
