//! The key of a store in the keychain of the system: one entry, which is written once and never
//! overwritten. Another key has another entry.
//!
//! Each call has its own thread and a timeout: D-Bus has no timeout, and a panic in the keychain library
//! must not end the caller. The thread of a call that timed out ends when the keychain responds; the
//! response is wiped from memory.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;
use mcp_oauth_support::{Secret, UntrustedText};

pub(crate) use self::entry::Entry;
use crate::error::KeychainErrorKind;
use crate::key::KEY_BYTES;

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

/// The timeout for a keychain to respond, even if it is only being started.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout for the user to type the password of the keychain. It is shorter than other processes wait
/// for the store.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(50);

impl Entry {
    /// Returns the key, if there is one.
    pub(crate) fn read(&self) -> Result<Option<Secret<[u8; KEY_BYTES]>>, KeychainErrorKind> {
        let entry = self.clone();
        let text = with_keychain(move |keychain| system::read(keychain, &entry))?;
        let key = |text| decode(&text).ok_or_else(|| self.other_key());
        text.map(key).transpose()
    }

    /// Stores the key, and reads it back. On one thread: on another one, Windows may not see the entry that
    /// was just written.
    pub(crate) fn write(&self, key: &Secret<[u8; KEY_BYTES]>) -> Result<(), KeychainErrorKind> {
        let (entry, text) = (self.clone(), encode(key));
        with_keychain(move |keychain| {
            system::write(keychain, &entry, &text)?;
            match system::read(keychain, &entry)? {
                Some(kept) if kept == text => Ok(()),
                _ => Err(KeychainErrorKind::Failed(UntrustedText::new(
                    "it accepted the key, but did not store it",
                ))),
            }
        })
    }

    /// Deletes the key, if there is one.
    pub(crate) fn delete(&self) -> Result<(), KeychainErrorKind> {
        let entry = self.clone();
        with_keychain(move |keychain| system::delete(keychain, &entry))
    }
}

/// Reads an entry that another application has stored in the keychain of this system: a text under a service
/// and an account. The user may be asked to unlock the keychain. It blocks.
///
/// Stores of this crate have entries of their own; this is for moving logins of other tools.
///
/// # Errors
/// [`KeychainErrorKind`] if no keychain is available, it is locked, or the entry is no text.
pub fn read_keychain_entry(
    service: &str,
    account: &str,
) -> Result<Option<Secret<String>>, KeychainErrorKind> {
    let (service, account) = (service.to_owned(), account.to_owned());
    let entry = Entry { service, account };
    with_keychain(move |keychain| system::read(keychain, &entry))
}

/// Checks that a keychain responds and could store a key. Nothing is written, and the user is not asked.
pub(crate) fn probe() -> Result<(), KeychainErrorKind> {
    within(PROBE_TIMEOUT, silent, system::probe)
}

/// Runs `work` with the keychain, which may ask the user to unlock it.
fn with_keychain<T: Send + 'static>(
    work: impl FnOnce(&system::Keychain) -> Result<T, KeychainErrorKind> + Send + 'static,
) -> Result<T, KeychainErrorKind> {
    let keychain = within(PROBE_TIMEOUT, silent, system::connect)?;
    within(UNLOCK_TIMEOUT, still_locked, move || work(&keychain))
}

/// Runs blocking work with a timeout.
fn within<T: Send + 'static>(
    limit: Duration,
    late: fn(Duration) -> KeychainErrorKind,
    work: impl FnOnce() -> Result<T, KeychainErrorKind> + Send + 'static,
) -> Result<T, KeychainErrorKind> {
    let (response, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("keychain".to_owned())
        .spawn(move || drop(response.send(work())))
        .map_err(|error| KeychainErrorKind::Failed(UntrustedText::new(&error.to_string())))?;
    receiver
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
        "no response within {seconds} seconds"
    )))
}

fn still_locked(limit: Duration) -> KeychainErrorKind {
    let seconds = limit.as_secs();
    let why = format!("it was not unlocked within {seconds} seconds");
    KeychainErrorKind::Locked(UntrustedText::new(&why))
}

/// Writes a key as text: `KWallet` stores nothing else.
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
    fn a_keychain_that_never_responds_times_out() {
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
    fn a_panic_in_the_keychain_library_is_an_error() {
        let work = || -> Result<(), KeychainErrorKind> { panic!("below") };
        let failed = within(PROBE_TIMEOUT, silent, work).unwrap_err();
        assert!(matches!(failed, KeychainErrorKind::Failed(_)), "{failed}");
    }
}
