//! Bytes as lower-case hexadecimal of a known length, so that each value has one spelling.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// `N` bytes that are not secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Hex<const N: usize>(pub(super) [u8; N]);

impl<const N: usize> Hex<N> {
    /// Parses a text. An upper-case digit is refused: each value has one spelling.
    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; N];
        if HEXLOWER.decode_len(text.len()) != Ok(N) {
            return None;
        }
        HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_display(&self.0).fmt(f)
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not hexadecimal of the right length"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_have_one_spelling() {
        let bytes = Hex([0x00, 0x7f, 0xa0, 0xff]);
        assert_eq!(bytes.to_string(), "007fa0ff");
        assert_eq!(Hex::parse("007fa0ff"), Some(bytes));
        for other in [
            "007FA0FF",
            "007fa0f",
            "007fa0ff0",
            "007fa0ff00",
            "+07fa0ff",
            "007fa0fg",
            "",
        ] {
            assert_eq!(Hex::<4>::parse(other), None, "{other}");
        }
    }
}
