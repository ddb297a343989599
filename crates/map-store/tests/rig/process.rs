//! A change in a process of its own, with failure points.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use map_store::Rebuild;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::{Rig, example};

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    Failed(String),
    Killed,
}

/// Makes the change (see `fake/change.rs`) with these failure points.
pub(crate) fn change(rig: &Rig, fail: &str, what: &str) -> Ended {
    change_with(rig, fail, what, &mut [])
}

/// The same; whenever it stops at a failure point, the next of `at_stops` is done before it goes on.
pub(crate) fn change_with(
    rig: &Rig,
    fail: &str,
    what: &str,
    at_stops: &mut [&mut dyn FnMut()],
) -> Ended {
    let way = match &rig.settings.rebuild {
        Rebuild::Replace => "replace",
        Rebuild::Append => "append",
        Rebuild::None => "none",
        Rebuild::Command(argv) => &argv[0],
    };
    #[expect(clippy::disallowed_methods, reason = "the test kills it")]
    let mut child = Command::new(example("change"))
        .args([rig.access().to_str().unwrap(), rig.settings.makemap.to_str().unwrap(), way, what])
        .env("TRYTLSD_FAIL", fail)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    let stops = || {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), options).unwrap().unwrap().stopped()
    };
    for work in at_stops {
        assert!(stops(), "{fail}: it did not stop");
        // Takes the stop away, so that the next one is seen.
        waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED).unwrap();
        work();
        kill_process(pid, Signal::CONT).unwrap();
    }
    if stops() {
        child.kill().unwrap();
        panic!("{fail}: it stopped once more");
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    match (status.code(), status.signal()) {
        (Some(0), _) => Ended::Well,
        (_, Some(9)) => Ended::Killed,
        _ => Ended::Failed(format!("{status}: {said}")),
    }
}
