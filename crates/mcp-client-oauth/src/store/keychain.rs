//! The keychain of the system as the place of a store's key: one entry, written once and never
//! again. Another key is another entry.
//!
//! Each call has a thread of its own and a time limit: D-Bus has none, and a panic in the library
//! below must not be ours. A call that is given up leaves its thread behind, which ends when the
//! keychain answers; what it then brings is wiped.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;

pub(super) use self::entry::Entry;
use super::key::KEY_BYTES;
use crate::{error::KeychainErrorKind, proto::untrusted_text::UntrustedText, secret::Secret};

mod entry;
#[cfg(all(
    feature = "keychain",
    any(target_os = "linux", target_os = "macos", windows)
))]
mod system;
#[cfg(not(all(
    feature = "keychain",
    any(target_os = "linux", target_os = "macos", windows)
)))]
#[path = "keychain/none.rs"]
mod system;

/// Holds what a keychain that is there needs to say so, even if it is only being started.
const TO_ANSWER: Duration = Duration::from_secs(10);
/// Holds what a person needs to type the password of the keychain: less than others wait for the store.
const TO_UNLOCK: Duration = Duration::from_secs(50);

impl Entry {
    /// Returns the key, if there is one.
    pub(super) fn read(&self) -> Result<Option<Secret<[u8; KEY_BYTES]>>, KeychainErrorKind> {
        let entry = self.clone();
        let text = ask(move |keychain| system::read(keychain, &entry))?;
        let key = |text| decode(&text).ok_or_else(|| self.other_key());
        text.map(key).transpose()
    }

    /// Keeps the key, and makes sure that it is kept. On one thread: Windows may not see on
    /// another what was just written.
    pub(super) fn write(&self, key: &Secret<[u8; KEY_BYTES]>) -> Result<(), KeychainErrorKind> {
        let (entry, text) = (self.clone(), encode(key));
        ask(move |keychain| {
            system::write(keychain, &entry, &text)?;
            match system::read(keychain, &entry)? {
                Some(kept) if kept == text => Ok(()),
                _ => Err(KeychainErrorKind::Failed(UntrustedText::new(
                    "it took the key, but did not keep it",
                ))),
            }
        })
    }

    /// Forgets the key, if it is there.
    pub(super) fn delete(&self) -> Result<(), KeychainErrorKind> {
        let entry = self.clone();
        ask(move |keychain| system::delete(keychain, &entry))
    }
}

/// Returns whether a keychain answers and could keep a key. Nothing is written, and nobody is asked.
pub(super) fn probe() -> Result<(), KeychainErrorKind> {
    within(TO_ANSWER, silent, system::probe)
}

/// Asks the keychain, which may ask the person to unlock it.
fn ask<T: Send + 'static>(
    work: impl FnOnce(&system::Keychain) -> Result<T, KeychainErrorKind> + Send + 'static,
) -> Result<T, KeychainErrorKind> {
    let keychain = within(TO_ANSWER, silent, system::connect)?;
    within(TO_UNLOCK, still_locked, move || work(&keychain))
}

/// Does blocking work, but not for longer than that.
fn within<T: Send + 'static>(
    limit: Duration,
    late: fn(Duration) -> KeychainErrorKind,
    work: impl FnOnce() -> Result<T, KeychainErrorKind> + Send + 'static,
) -> Result<T, KeychainErrorKind> {
    let (response, answered) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("keychain".to_owned())
        .spawn(move || drop(response.send(work())))
        .map_err(|error| KeychainErrorKind::Failed(UntrustedText::new(&error.to_string())))?;
    answered
        .recv_timeout(limit)
        .unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(late(limit)),
            RecvTimeoutError::Disconnected => Err(KeychainErrorKind::Failed(UntrustedText::new(
                "the call was aborted",
            ))),
        })
}

fn silent(limit: Duration) -> KeychainErrorKind {
    let seconds = limit.as_secs();
    KeychainErrorKind::Absent(UntrustedText::new(&format!(
        "no answer within {seconds} seconds"
    )))
}

fn still_locked(limit: Duration) -> KeychainErrorKind {
    let seconds = limit.as_secs();
    let why = format!("nobody unlocked it within {seconds} seconds");
    KeychainErrorKind::Locked(UntrustedText::new(&why))
}

/// As text: `KWallet` keeps nothing else.
fn encode(key: &Secret<[u8; KEY_BYTES]>) -> Secret<String> {
    Secret::new(BASE64URL_NOPAD.encode(key.expose()))
}

fn decode(text: &Secret<String>) -> Option<Secret<[u8; KEY_BYTES]>> {
    let text = text.expose().as_bytes();
    if BASE64URL_NOPAD.decode_len(text.len()) != Ok(KEY_BYTES) {
        return None;
    }
    let mut key = Secret::new([0; KEY_BYTES]);
    BASE64URL_NOPAD.decode_mut(text, key.expose_mut()).ok()?;
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_text() {
        let key = Secret::new([0xFB; KEY_BYTES]);
        let text = encode(&key);
        assert_eq!(text.expose().len(), 43);
        assert!(text.expose().is_ascii() && !text.expose().contains(['+', '/', '=']));
        assert!(decode(&text).unwrap() == key);
        for other in [
            "",
            "AAAA",
            &"A".repeat(42),
            &"A".repeat(44),
            &"+".repeat(43),
        ] {
            assert!(decode(&Secret::new(other.to_owned())).is_none(), "{other}");
        }
    }

    #[test]
    fn a_keychain_that_never_answers_is_given_up() {
        let (held, never) = mpsc::channel::<()>();
        let work = move || {
            never.recv().unwrap_or_default();
            Ok(())
        };
        let given_up = within(Duration::from_millis(10), still_locked, work).unwrap_err();
        assert!(
            matches!(given_up, KeychainErrorKind::Locked(_)),
            "{given_up}"
        );
        drop(held);
    }

    #[test]
    fn a_panic_below_is_an_error() {
        let work = || -> Result<(), KeychainErrorKind> { panic!("below") };
        let failed = within(TO_ANSWER, silent, work).unwrap_err();
        assert!(matches!(failed, KeychainErrorKind::Failed(_)), "{failed}");
    }
}
