//! What must hold for any bytes in stored files: the bodies of three fuzz targets.
//!
//! A fuzz target is one line that calls its function; the test `it fuzz_regressions::…` of the library calls
//! the same function with each file of `seeds/`, with a stable compiler. The messages of the protocol are
//! private to the library: their targets are its module `fuzz_targets`, which exists in a build for fuzzing.

mod fernet;
mod stored;

pub use fernet::fernet;
pub use stored::{encrypted_file, record};
