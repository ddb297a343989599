//! A file system of its own for a test.

use std::env;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, mount, mount_remount};

use super::Rig;

const ALONE: &str = "MAP_STORE_TEST_ALONE";

/// Whether this is the test in a mount namespace of its own. If not it is run in one, and has passed when this returns;
/// where there are none to be had it is left out by name, but not under `CI=true`.
pub(crate) fn alone(test: &str) -> bool {
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let this = env::current_exe().unwrap();
    for flags in ["-rm", "-m"] {
        #[expect(clippy::disallowed_methods, reason = "looks whether there are namespaces")]
        let can = Command::new("unshare").args([flags, "true"]).stderr(Stdio::null()).status();
        if can.is_ok_and(|status| status.success()) {
            #[expect(clippy::disallowed_methods, reason = "the test runs itself")]
            let status = Command::new("unshare")
                .args([flags, "--", this.to_str().unwrap()])
                .args(["--exact", test, "--nocapture", "--test-threads=1"])
                .env(ALONE, "1")
                .status();
            assert!(status.unwrap().success(), "{test}, in a namespace of its own, failed");
            return false;
        }
    }
    // Past the capture of the test harness, which would swallow a line of a test that passes.
    let said =
        writeln!(io::stderr(), "skipped: {test}: no mount namespace to be had (unshare -rm)");
    said.unwrap();
    assert_ne!(env::var("CI").as_deref(), Ok("true"), "CI=true, and {test} was to be skipped");
    false
}

/// Mounts a memory file system of this size over the rig's folder.
pub(crate) fn mount_small(rig: &Rig, size: &str) {
    let options = std::ffi::CString::new(format!("size={size},mode=755")).unwrap();
    mount("tmpfs", rig.folder.path(), "tmpfs", MountFlags::empty(), &*options).unwrap();
}

/// Makes the file system over the rig's folder one that cannot be written to, or can again.
pub(crate) fn read_only(rig: &Rig, is: bool) {
    let flags = if is { MountFlags::RDONLY } else { MountFlags::empty() };
    mount_remount(rig.folder.path(), flags, "").unwrap();
}
