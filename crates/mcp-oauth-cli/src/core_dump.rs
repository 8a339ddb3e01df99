//! No core dump of ours: it would have every secret that the memory has (H151).

/// Keeps the system from writing what is in our memory to a file, and other processes of the same
/// user from reading it. Where that cannot be had, the command goes on without: it is a second
/// line of defence.
#[cfg(target_os = "linux")]
pub(crate) fn forbid() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    // Unlike a limit, this is not inherited: it is no business of ours whether a browser dumps.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// The same by the limit of the size of a dump, as far as the system has it.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) fn forbid() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let maximum = getrlimit(Resource::Core).maximum;
    let current = Some(0);
    let _ = setrlimit(Resource::Core, Rlimit { current, maximum });
}

/// Windows writes none unless its administrator asks for it.
#[cfg(not(unix))]
pub(crate) fn forbid() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn what_is_in_our_memory_is_not_dumped() {
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::Dumpable));
        super::forbid();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    }
}
