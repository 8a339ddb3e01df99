//! The only type that may hold a credential.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

/// A value that is never printed, and is wiped from memory when it is dropped.
///
/// It has no `Display`, its `Debug` says `[redacted]`, and [`expose`](Self::expose) marks each
/// place where the value leaves its wrapper. Comparison takes the same time wherever the first
/// difference is.
///
/// ```
/// use mcp_oauth_support::Secret;
///
/// let secret = Secret::new("hunter2".to_owned());
/// assert_eq!(format!("{secret:?}"), "[redacted]");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
#[derive(Clone)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// Returns the value. The name of this function marks each place where it leaves its wrapper.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// Returns the value to write to.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl Secret<String> {
    /// Returns a shortened form for users: at most a quarter of a long secret, and nothing of a short one.
    ///
    /// ```
    /// use mcp_oauth_support::Secret;
    ///
    /// assert_eq!(Secret::new("short".to_owned()).redacted(), "*****");
    /// assert_eq!(Secret::new("a-token-of-32-characters-length!".to_owned()).redacted(), "a-to…gth!");
    /// ```
    pub fn redacted(&self) -> String {
        const SHOWN: usize = 4;
        let characters: Vec<char> = self.0.chars().collect();
        if characters.len() < SHOWN * 2 * 4 {
            return "*****".to_owned();
        }
        let head: String = characters[..SHOWN].iter().collect();
        let tail: String = characters[characters.len() - SHOWN..].iter().collect();
        format!("{head}…{tail}")
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl From<&str> for Secret<String> {
    fn from(text: &str) -> Self {
        Self::new(text.to_owned())
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal((*self.0).as_ref(), (*other.0).as_ref()).is_ok()
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

impl<T: Zeroize + Serialize> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Zeroize + Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("planted".to_owned());
        assert!(!format!("{secret:?} {:?}", Some(&secret)).contains("planted"));
    }

    #[test]
    fn redaction_shows_at_most_a_quarter() {
        for length in 0..200 {
            let secret = Secret::new("x".repeat(length));
            let shown = secret.redacted().matches('x').count();
            assert!(shown * 4 <= length, "{shown} of {length}");
        }
    }
}
