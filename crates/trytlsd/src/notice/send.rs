//! Giving a notice away: to `sendmail -i -t`, or to the operator's command.
//!
//! As a service the daemon is in a sandbox in which sendmail cannot submit mail: it gives its rights up for those of another user,
//! and ends if it may not (measured: `drop_privileges: setgid(102) failed`, status 71). So the notice is put beside the ledger, and systemd starts a unit of its own (`trytlsd-notice.service`), which takes
//! it there, makes the mail and gives it away (`trytlsd notice --send`). Of the file nothing but words is believed: recipients and
//! headers come from the config.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::Config;
use sendmail::child::{self, Child};

use super::Notice;
use crate::flush::is_service;
use crate::host::program_or_name;

/// The unit that gives notices away.
pub(crate) const UNIT: &str = "trytlsd-notice.service";

/// How much longer than the child itself the unit may take.
const UNIT_BESIDES: Duration = Duration::from_secs(30);

/// What a program says is read so far, in bytes.
const SAID: usize = 16 << 10;

/// The longest notice that is taken from a file, in bytes.
const MOST_BYTES: u64 = 256 << 10;

/// Gives it away, by the unit where this is a service.
///
/// # Errors
/// Why not, in words.
pub(super) fn give_away(config: &Config, notice: &Notice) -> Result<(), String> {
    if !is_service() {
        return directly(config, notice);
    }
    let path = beside_the_ledger(config);
    put(&path, notice).map_err(|error| format!("{}: {error}", path.display()))?;
    let timeout = config.access.timeout.to_std().saturating_add(UNIT_BESIDES);
    let hint = |why| format!("{why} (journalctl -u {UNIT} says more)");
    run(&program_or_name("systemctl"), &["start", UNIT], b"", timeout).map_err(hint)
}

/// Gives it away from this process.
///
/// # Errors
/// Why not, in words.
pub(super) fn directly(config: &Config, notice: &Notice) -> Result<(), String> {
    let message = notice.message(config);
    let timeout = config.access.timeout.to_std();
    match config.notice.command.split_first() {
        Some((program, words)) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            run(&program_or_name(program), &words, message.as_bytes(), timeout)
        }
        None => {
            let sendmail = program_or_name(&config.access.sendmail);
            run(&sendmail, &["-i", "-t"], message.as_bytes(), timeout)
        }
    }
}

/// Gives away what the daemon has put beside the ledger.
///
/// # Errors
/// Why not, in words. The file is gone then, too: the daemon makes the notice anew.
pub(super) fn what_was_put(config: &Config) -> Result<(), String> {
    let path = beside_the_ledger(config);
    let shown = path.display();
    let notice = take(&path).map_err(|error| format!("{shown}: {error}"))?;
    directly(config, &notice)
}

fn beside_the_ledger(config: &Config) -> PathBuf {
    config.ledger.path.0.0.with_file_name("notice")
}

/// Nobody reads it before it is whole: the unit is started after that.
fn put(path: &Path, notice: &Notice) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(serde_json::to_string(notice)?.as_bytes())
}

fn take(path: &Path) -> io::Result<Notice> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    fs::remove_file(path)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn run(program: &Path, args: &[&str], stdin: &[u8], timeout: Duration) -> Result<(), String> {
    let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    let child = Child { program, args: &args, stdin, timeout, stdout_cap: SAID };
    let output = child::run(&child).map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    let line =
        said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
    Err(format!("{}: {line} ({})", program.display(), output.status))
}
