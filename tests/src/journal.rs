//! Real journal files: made by systemd-journal-remote from entries in the export format, read by journalctl, both of the
//! test bed's root, run on the host.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use crate::namespace::command;
use crate::need;
use crate::rig::Rig;

/// The folder of the journal in a rig.
pub const FOLDER: &str = "journal";

/// Who writes an entry.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// `_TRANSPORT`.
    pub transport: &'a str,
    /// `_UID`.
    pub uid: u32,
    /// `_EXE`; none if journald came too late to see it.
    pub exe: Option<&'a str>,
    /// `SYSLOG_IDENTIFIER`.
    pub identifier: &'a str,
    /// `_BOOT_ID`.
    pub boot: &'a str,
    /// So many seconds the clock is slow, when he writes.
    pub slow: i64,
}

/// Debian's sendmail.
pub const SENDMAIL: Writer<'static> = Writer {
    transport: "syslog",
    uid: 0,
    exe: Some("/usr/libexec/sendmail/sendmail"),
    identifier: "sm-mta",
    boot: "0123456789abcdef0123456789abcdef",
    slow: 0,
};

/// A journal in a rig's folder.
#[derive(Debug)]
pub struct Journal<'a> {
    rig: &'a Rig,
    remote: Vec<String>,
}

impl<'a> Journal<'a> {
    /// Makes the folder, and has the rig's trytlsd read it; or says why that cannot be.
    ///
    /// # Errors
    /// Where there is no test bed's root.
    pub fn new(rig: &'a Rig) -> Result<Self, String> {
        let root = need::root()?;
        let journalctl = of_root(&root.join("usr/bin/journalctl"))?;
        let remote = of_root(&root.join("usr/lib/systemd/systemd-journal-remote"))
            .or_else(|_| of_root(&root.join("lib/systemd/systemd-journal-remote")))?;
        let set_up = || -> Result<()> {
            std::fs::create_dir_all(rig.path(FOLDER))?;
            rig.program("journalctl", &format!("exec {} \"$@\"", journalctl.join(" ")))?;
            let folder = rig.path(FOLDER);
            let log = format!("[log]\nsource = \"journald\"\njournal = {folder:?}\n");
            rig.drop_in("10-journal.toml", &log)
        };
        set_up().map_err(|error| format!("{error:#}"))?;
        Ok(Self { rig, remote })
    }

    /// Adds an entry for each line to a file of the journal, which is made if it is not there: the lines as syslogd would have
    /// written them, with the process in `name[PID]: `. They are written now.
    pub fn add(&self, file: &str, writer: Writer<'_>, lines: &str) -> Result<()> {
        let bytes: Vec<u8> = lines.split_terminator('\n').flat_map(|l| entry(writer, l)).collect();
        self.add_raw(file, &bytes)
    }

    /// Adds entries in the export format.
    pub fn add_raw(&self, file: &str, entries: &[u8]) -> Result<()> {
        let path = self.rig.path(&format!("{FOLDER}/{file}.journal"));
        let (program, args) = self.remote.split_first().context("no journal-remote")?;
        let mut child = command(program)
            .args(args)
            .arg("--output")
            .arg(&path)
            .arg("-")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start systemd-journal-remote")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(entries).context("feed systemd-journal-remote")?;
        }
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "systemd-journal-remote: {}: {said}", output.status);
        Ok(())
    }

    /// Takes a file of the journal away, as journald does with the oldest.
    pub fn vacuum(&self, file: &str) -> Result<()> {
        Ok(std::fs::remove_file(self.rig.path(&format!("{FOLDER}/{file}.journal")))?)
    }
}

/// One entry.
#[expect(clippy::disallowed_methods, reason = "the entries are written now")]
#[must_use]
pub fn entry(writer: Writer<'_>, line: &str) -> Vec<u8> {
    let Writer { transport, uid, exe, identifier, boot, slow } = writer;
    let (before, message) = line.split_once("]: ").unwrap_or(("[1", line));
    let pid = before.rsplit('[').next().unwrap_or("1");
    let now = Timestamp::now().as_microsecond();
    let told = now - slow * 1_000_000;
    let exe = exe.map_or(String::new(), |exe| format!("_EXE={exe}\n"));
    format!(
        "__REALTIME_TIMESTAMP={told}\n__MONOTONIC_TIMESTAMP={now}\n_BOOT_ID={boot}\n\
         _TRANSPORT={transport}\n_UID={uid}\n{exe}_PID={pid}\n_HOSTNAME=mx1\nPRIORITY=6\nSYSLOG_FACILITY=2\n\
         SYSLOG_IDENTIFIER={identifier}\nMESSAGE={message}\n\n"
    )
    .into_bytes()
}

/// The words that run a program of the root on the host, with the root's libraries.
fn of_root(program: &Path) -> Result<Vec<String>, String> {
    if !program.is_file() {
        return Err(format!("no {} (`make bed` makes it)", program.display()));
    }
    let root = need::root()?;
    let found = |pattern: &str| -> Result<PathBuf, String> {
        let (folder, end) = pattern.split_once('*').unwrap_or((pattern, ""));
        let entries = std::fs::read_dir(root.join(folder)).map_err(|error| error.to_string())?;
        let mut paths = entries.flatten().map(|entry| entry.path());
        paths
            .find(|path| path.to_string_lossy().ends_with(end))
            .ok_or_else(|| format!("no {pattern} in the test bed's root"))
    };
    let loader = std::fs::read_dir(root.join("usr/lib64"))
        .map_err(|error| error.to_string())?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains("/ld-linux"))
        .ok_or("no loader in the test bed's root")?;
    let libraries = found("usr/lib/*-linux-gnu")?;
    let libraries = format!("{}:{}/systemd", libraries.display(), libraries.display());
    let words = [
        &loader.display().to_string(),
        "--library-path",
        &libraries,
        &program.display().to_string(),
    ];
    Ok(words.map(str::to_owned).into())
}
