//! How many files the process may have open, its sockets among them.

/// Raises the limit to what the system allows, and says when that is less than `wanted`.
#[cfg(unix)]
pub(super) fn raise_limit(wanted: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` is no limit.
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let Rlimit { current, .. } = getrlimit(Resource::Nofile);
    if let Some(files) = current.filter(|files| *files < wanted as u64) {
        tracing::warn!(
            files,
            wanted,
            "fewer files may be open than connections are allowed: see LimitNOFILE or ulimit -n"
        );
    }
}

#[cfg(not(unix))]
pub(super) const fn raise_limit(_: usize) {}
