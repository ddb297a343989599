//! What a test needs and may not find: the bed's root, and the programs in it.
//!
//! A test that cannot have what it needs says so by name and passes, so that a developer without
//! namespaces still gets the rest; under `CI=true` it fails, so that nothing is left out unseen.

use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The repository's folder.
#[must_use]
pub fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The bed's root: `$TESTBED_ROOT`, else `target/testbed/root`. The error says why there is none.
pub fn root() -> Result<PathBuf, String> {
    let root = env::var_os("TESTBED_ROOT")
        .map_or_else(|| repository().join("target/testbed").join("root"), PathBuf::from);
    // The stamp is written last: without it the root is not whole.
    if root.join(".stamp").is_file() {
        Ok(root)
    } else {
        Err(format!("no test bed at {} (`make bed` makes it)", root.display()))
    }
}

/// A program of the bed's root (ripgrep, dnsmasq), to be run on the host, which is of the same
/// release; it is on its own to find its libraries there. `None` where there is no bed.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let root = root().ok()?;
    ["usr/bin", "usr/sbin"]
        .iter()
        .map(|folder| root.join(folder).join(name))
        .find(|path| path.is_file())
}

/// Say that the test `name` is left out and why.
///
/// # Panics
/// Under `CI=true`, where nothing may be left out.
pub fn skip(name: &str, why: &str) {
    // Past the capture of the test harness, which would swallow a line of a test that passes.
    let said = writeln!(io::stderr(), "skipped: {name}: {why}");
    assert!(!in_ci(), "CI=true, and {name} was to be skipped: {why}");
    if let Err(error) = said {
        panic!("cannot say that {name} is skipped ({why}): {error}");
    }
}

/// Whether nothing may be left out (`CI=true`).
#[must_use]
pub fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| value == "true")
}
