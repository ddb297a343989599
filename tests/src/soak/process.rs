//! What a running process has taken so far, over all its threads, as /proc tells.

use std::fs;

use anyhow::{Context as _, Result};

/// What it has taken so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Taken {
    /// Seconds of CPU.
    pub(super) cpu: f64,
    /// How often a thread of it was put on a CPU after it had waited.
    pub(super) wakeups: u64,
}

/// What the process has taken so far. A thread that has ended no longer counts.
pub(super) fn taken(pid: u32) -> Result<Taken> {
    let mut sum = Taken::default();
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the daemon's threads")? {
        let task = task?.path();
        // schedstat: nanoseconds on a CPU, nanoseconds waited for one, times put on one.
        let stat = fs::read_to_string(task.join("schedstat"))?;
        let nanoseconds: u64 = stat.split(' ').next().unwrap_or_default().parse()?;
        sum.cpu += nanoseconds as f64 / 1e9;
        let status = fs::read_to_string(task.join("status"))?;
        sum.wakeups += field(&status, "voluntary_ctxt_switches:")?;
    }
    Ok(sum)
}

/// Memory in MB: what it holds now.
pub(super) fn resident(pid: u32) -> Result<f64> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).context("the daemon's status")?;
    Ok(field(&status, "VmRSS:")? as f64 * 1024.0 / 1e6)
}

fn field(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("no {name} in {status}"))?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
}
