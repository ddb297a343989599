//! A private corner of the machine: mount, pid, net, uts and ipc namespaces with the bed's root in
//! them, made by unshare(1) and entered by nsenter(1) or, for sockets, by setns(2) on a thread.
//!
//! The first process (`tests/bed/init`) lives as long as the pipe that [`Namespace`] holds: also
//! when the test is killed, the kernel ends every process of the namespace. Only that process is ever
//! killed from here, by its id.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{need, wait};

/// What a program in the bed finds as its search path.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The longest that a program run by [`Namespace::run`] may take, in seconds.
const LIMIT: &str = "60";

/// The namespaces; they end when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    /// The first process as the host sees it.
    init: Pid,
    unshare: Child,
    /// Its end is the end of the namespaces.
    life: Option<ChildStdin>,
    net: File,
}

impl Namespace {
    /// Make the namespaces over `root`, with `addresses` on "lo" beside 127.0.0.0/8 and ::1.
    ///
    /// # Errors
    /// Where the machine does not allow it (no root, no overlayfs ...), with unshare's own words.
    pub fn new(root: &Path, addresses: &[IpAddr]) -> Result<Self> {
        let mut unshare = command("unshare");
        unshare
            .args(["--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "sh"])
            .arg(need::repository().join("tests/bed/init"));
        Self::start(unshare, root, addresses)
    }

    /// The same with systemd as the first process, in a cgroup of its own; waits until it has started what every service
    /// needs.
    ///
    /// # Errors
    /// As [`Namespace::new`]; where there is no cgroup2 that may be written; where systemd does not come up.
    pub fn booted(root: &Path, addresses: &[IpAddr]) -> Result<Self> {
        let mut boot = command("sh");
        boot.arg(need::repository().join("tests/bed/boot"));
        let namespace = Self::start(boot, root, addresses)?;
        namespace.sh("until [ -S /run/systemd/private ]; do sleep 0.05; done
            systemctl is-system-running --wait >/dev/null || systemctl list-units --failed >&2")?;
        Ok(namespace)
    }

    fn start(mut unshare: Command, root: &Path, addresses: &[IpAddr]) -> Result<Self> {
        let mnt = need::repository().join("target/testbed/mnt");
        fs::create_dir_all(&mnt).with_context(|| format!("make the folder {}", mnt.display()))?;
        let mut unshare = unshare
            .args([root, &mnt])
            .args(addresses.iter().map(with_prefix))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start unshare")?;
        let life = unshare.stdin.take();
        let mut said = BufReader::new(unshare.stdout.take().context("unshare's output")?);
        let mut line = String::new();
        let mut init = None;
        while said.read_line(&mut line).context("read what the bed's init says")? > 0 {
            match line.trim().split_once(' ') {
                Some(("pid", number)) => {
                    init = Pid::from_raw(number.parse().context("init's pid")?)
                }
                None if line.trim() == "ready" => break,
                _ => bail!("the bed's init said {line:?}"),
            }
            line.clear();
        }
        let (Some(init), "ready") = (init, line.trim()) else {
            drop(life);
            let mut why = String::new();
            if let Some(mut stderr) = unshare.stderr.take() {
                stderr.read_to_string(&mut why).context("read why the bed's init failed")?;
            }
            let status = unshare.wait().context("wait for unshare")?;
            bail!("no namespaces: {} ({status})", why.trim());
        };
        let path = format!("/proc/{}/ns/net", init.as_raw_nonzero());
        let net = File::open(&path).with_context(|| format!("open {path}"))?;
        Ok(Self { init, unshare, life, net })
    }

    /// The path by which the test itself, outside, reaches a file of the bed.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.init.as_raw_nonzero()));
        root.join(inside.trim_start_matches('/'))
    }

    /// The text of a file of the bed, bytes that are no UTF-8 replaced; empty where there is none.
    #[must_use]
    pub fn read(&self, inside: &str) -> String {
        fs::read(self.path(inside))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Write a file of the bed, and the folders above it; one that is there keeps owner and mode.
    #[expect(
        clippy::disallowed_methods,
        reason = "no live map is written here; in place keeps the inode"
    )]
    pub fn write(&self, inside: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path(inside);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("write {inside} in the bed"))
    }

    /// A command that will run inside, with a clean environment, and not be waited for by anyone
    /// but the caller. Its pid is that of nsenter, which waits for it and ends as it does.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = command("nsenter");
        command
            .args(["--target", &self.init.as_raw_nonzero().to_string()])
            .args(["--mount", "--pid", "--net", "--uts", "--ipc", "--"])
            .arg(program)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// The same for a program of the host's: in the network and among the processes of the namespaces, with the host's
    /// files.
    #[must_use]
    pub fn host_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = command("nsenter");
        command
            .args(["--target", &self.init.as_raw_nonzero().to_string()])
            .args(["--pid", "--net", "--"])
            .arg(program)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Lay a wire of its own (veth(4)) to another network: each end has its address and knows the way to the other.
    ///
    /// # Errors
    /// Where the kernel has none, or an end of the wire's name is there already.
    pub fn connect(&self, own: Ipv4Addr, other: &Self, others: Ipv4Addr) -> Result<()> {
        // An end is named after the address that it leads to.
        let name = |address: Ipv4Addr| format!("to-{address}").replace('.', "-");
        let (here, there) = (name(others), name(own));
        // Of the other network ip(8) is only given the file, since it sees no process of it.
        let net = other.net.try_clone().context("clone a network's file")?;
        let laid = self
            .command("ip")
            .args(["link", "add", &here, "type", "veth", "peer", "name", &there])
            .args(["netns", "/proc/self/fd/0"])
            .stdin(net)
            .output()
            .context("run ip in the bed")?;
        let wrong = String::from_utf8_lossy(&laid.stderr);
        ensure!(laid.status.success(), "no wire to {others}: {wrong}");
        let up = |end: &str, address, peer| {
            format!("ip addr add {address} peer {peer} dev {end}\nip link set {end} up")
        };
        self.sh(&up(&here, own, others))?;
        other.sh(&up(&there, others, own)).map(drop)
    }

    /// Run a program inside to its end, whatever its status, for at most 60 s.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<Output> {
        self.command("timeout")
            .args(["-k", "1", LIMIT, program])
            .args(args)
            .output()
            .with_context(|| format!("run {program} in the bed"))
    }

    /// Run a shell script inside that must succeed; gives what it printed.
    pub fn sh(&self, script: &str) -> Result<String> {
        let output = self.run("sh", &["-euc", script])?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {script}\n{said}{wrong}", output.status);
        Ok(said)
    }

    /// Call `work` on a thread inside the net namespace and give what it gives. Sockets that it
    /// makes, and threads that it starts, belong to the bed's network for good.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(self.net.as_fd(), Some(LinkNameSpaceType::Network))
                    .context("enter the bed's network")?;
                work()
            });
            thread.join().map_err(|_| anyhow!("the thread inside the bed panicked"))?
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.life.take());
        let gone = wait::until(Duration::from_secs(3), "the bed's end", || {
            self.unshare.try_wait().ok().flatten()
        });
        if gone.is_err() {
            // The pid is still ours: unshare, its parent, has not ended.
            kill_process(self.init, Signal::KILL).ok();
            drop(self.unshare.wait());
        }
    }
}

/// An address as ip(8) wants it: alone in its network.
fn with_prefix(address: &IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

/// A child process of the tests.
#[expect(
    clippy::disallowed_methods,
    reason = "tests start programs of their own; limits are set by the callers"
)]
pub(crate) fn command(program: &str) -> Command {
    Command::new(program)
}
