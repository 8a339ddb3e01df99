//! The document of a record in the engine.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{digest, rand};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use mcp_client_oauth::{Secret, error::UntrustedText};
use mcp_oauth_store::{Entry, Revision, StoredEntry};
use serde::{Deserialize, Serialize};

use crate::error::VaultError;

/// The largest number of bytes of a record with its name: in base64, with some JSON, they fit into the
/// 512 KiB that the smallest storage of a Vault accepts (Consul).
pub(super) const MAX_RECORD: usize = 380 * 1024;
/// The number of bits of a revision that are the version; those above are the series. A record that is
/// refreshed every five minutes uses them up in 160 years.
const VERSION_BITS: u32 = 24;

/// A document in the engine: a record, or the tombstone of a deleted one.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Document {
    /// The name of the record. The path has only a hash of it, and the metadata of the engine
    /// would hold no more than 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// A random number that a record gets when it is first written. It is the upper part of each revision:
    /// if a secret is removed with all its versions, those of the next one begin at 1 again, and still have
    /// other revisions than the old ones (docs/hostile.md H103).
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<u32>,
    /// The bytes, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Secret<String>>,
    /// The expiry, in seconds since 1970 by the server's clock. Earlier versions ignore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    /// Says whether this is the tombstone of a deleted record.
    #[serde(rename = "forgotten", default, skip_serializing_if = "is_false")]
    is_deleted: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A document that is a record.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) name: String,
    series: u32,
    value: Secret<String>,
    expires: Option<u64>,
}

impl Document {
    /// Returns the document of a record that is written at the time `now`.
    pub(super) fn of(name: &str, series: u32, entry: &Entry, now: SystemTime) -> Self {
        let end = entry.lifetime.map(|lifetime| now.checked_add(lifetime));
        Self {
            name: Some(name.to_owned()),
            series: Some(series),
            value: Some(Secret::new(STANDARD.encode(entry.bytes.expose()))),
            expires: end.flatten().map(seconds),
            is_deleted: false,
        }
    }

    /// Returns the document that replaces a deleted record. It has no data of the record; the version number
    /// goes on, and a writer with an older version gets a conflict. The engine's own deletion has no
    /// check-and-set: it could delete a newer record.
    pub(super) fn tombstone() -> Self {
        Self {
            is_deleted: true,
            ..Self::default()
        }
    }

    /// Returns the largest length as JSON, without the envelope: each byte of a name may need six.
    pub(super) fn max_json_len(&self) -> usize {
        let name = self.name.as_ref().map_or(0, String::len);
        let value = self.value.as_ref().map_or(0, |value| value.expose().len());
        name * 6 + value
    }

    /// Returns the record, or `None` for a tombstone or a record that has expired.
    pub(super) fn into_kept(self, now: SystemTime) -> Result<Option<Kept>, &'static str> {
        match self {
            Self {
                name: Some(name),
                series: Some(series),
                value: Some(value),
                expires,
                ..
            } => {
                let is_over = expires.is_some_and(|expires| expires <= seconds(now));
                let kept = Kept {
                    name,
                    series,
                    value,
                    expires,
                };
                Ok(Some(kept).filter(|_| !is_over))
            }
            Self {
                is_deleted: true, ..
            } => Ok(None),
            _ => Err(NOT_A_RECORD),
        }
    }
}

pub(super) const NOT_A_RECORD: &str = "it is not a record of mcp-client-oauth";

impl Kept {
    pub(super) fn series(&self) -> u32 {
        self.series
    }

    pub(super) fn expires(&self) -> bool {
        self.expires.is_some()
    }

    pub(super) fn stored(
        &self,
        version: u64,
        now: SystemTime,
    ) -> Result<StoredEntry, &'static str> {
        let bytes = STANDARD.decode(self.value.expose());
        let bytes = Secret::new(bytes.map_err(|_| "its value is not base64")?);
        let left = self.expires.map(|end| end.saturating_sub(seconds(now)));
        let entry = Entry::new(bytes).with_lifetime(left.map(Duration::from_secs));
        Ok(StoredEntry::new(revision(self.series, version), entry))
    }
}

/// Returns the number of seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

pub(super) fn revision(series: u32, version: u64) -> Revision {
    Revision::new((u64::from(series) << VERSION_BITS).saturating_add(version))
}

/// Returns a new series: 28 random bits, so that every JSON parser reads a revision exactly.
pub(super) fn new_series() -> Result<u32, VaultError> {
    Ok(u32::from_le_bytes(random()?) >> 4)
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| VaultError::Random)?;
    Ok(bytes)
}

/// Returns the hash of a name for a path: a name may have any length and any characters, a path may not.
pub(super) fn hash(name: &str) -> String {
    hex(digest::digest(&digest::SHA256, name.as_bytes()).as_ref())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value & 15)]);
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)]);
    digits.collect()
}

pub(super) fn location(name: &str) -> String {
    format!("the record `{}`", UntrustedText::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn a_document_expires_by_the_time_of_the_server() {
        let entry = Entry::new(Secret::new(b"one".to_vec()));
        let entry = entry.with_lifetime(Duration::from_secs(10));
        let document = || Document::of("a", 7, &entry, NOW);
        let later = |seconds| NOW + Duration::from_secs(seconds);
        let kept = document().into_kept(later(9)).unwrap().unwrap();
        let left = kept.stored(1, later(9)).unwrap().entry.lifetime;
        assert_eq!(left, Some(Duration::from_secs(1)));
        assert!(document().into_kept(later(10)).unwrap().is_none());
    }

    #[test]
    fn a_document_is_a_record_or_a_tombstone_or_an_error() {
        let parse = |text| {
            serde_json::from_str::<Document>(text)
                .unwrap()
                .into_kept(NOW)
        };
        let kept = parse(r#"{"name":"a","series":7,"value":"b25l"}"#)
            .unwrap()
            .unwrap();
        let stored = kept.stored(3, NOW).unwrap();
        assert_eq!(stored.revision.number(), (7 << 24) | 3);
        assert_eq!(stored.entry.bytes.expose(), b"one");
        assert_eq!(stored.entry.lifetime, None);
        assert!(parse(r#"{"forgotten":true}"#).unwrap().is_none());
        for odd in [
            "{}",
            r#"{"a":1}"#,
            r#"{"name":"a","value":"b25l"}"#,
            r#"{"forgotten":false}"#,
        ] {
            assert!(parse(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_tombstone_has_no_data_of_the_record() {
        let left = serde_json::to_string(&Document::tombstone()).unwrap();
        assert_eq!(left, r#"{"forgotten":true}"#);
    }

    #[test]
    fn the_estimated_length_of_a_document_is_large_enough() {
        for name in ["", "plain", "\u{0}\u{1}\u{2}", "\"\\\"", "é\u{202e}"] {
            let entry = Entry::new(Secret::new(vec![255; 1000]));
            let entry = entry.with_lifetime(Duration::from_secs(u64::from(u32::MAX)));
            let document = Document::of(name, u32::MAX, &entry, NOW);
            let length = serde_json::to_string(&document).unwrap().len();
            assert!(
                length <= document.max_json_len() + 200,
                "{name:?}: {length}"
            );
        }
    }

    #[test]
    fn revisions_grow_with_versions_and_fit_into_json() {
        let largest = revision(u32::MAX >> 4, (1 << VERSION_BITS) - 1);
        assert!(largest.number() < 1 << 53);
        assert!(revision(5, 2) > revision(5, 1));
        assert_ne!(revision(5, 1), revision(6, 1));
    }
}
