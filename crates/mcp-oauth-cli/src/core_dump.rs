//! Prevents core dumps: a dump would have every secret in memory (CWE-528).

/// Keeps the system from writing the memory of this process to a file, and other processes of the same
/// user from reading it. If that fails, the command continues: this is a second line of defence.
#[cfg(target_os = "linux")]
pub(crate) fn forbid() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    // Unlike a resource limit, this is not inherited by the browser.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Does the same with the limit of the dump size, where the system has one.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) fn forbid() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let maximum = getrlimit(Resource::Core).maximum;
    let current = Some(0);
    let _ = setrlimit(Resource::Core, Rlimit { current, maximum });
}

/// Does nothing: Windows writes no dump unless its administrator configures it.
#[cfg(not(unix))]
pub(crate) fn forbid() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn the_process_is_not_dumpable_after_the_call() {
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::Dumpable));
        super::forbid();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    }
}
