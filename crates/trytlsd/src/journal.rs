//! The journal as the log's source (`[log] source = "journald"`): which one, read by what, and whose entries in it are
//! sendmail's.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

use config::Config;
use sendmail::cf::Cf;
use sendmail::child::{self, Child};
use tailer::journal::{Believed, JOURNAL, Source};

use crate::finding::{Said, good, wrong};
use crate::host::{program, program_or_name};

/// The program that reads it.
const JOURNALCTL: &str = "journalctl";

/// Entries of the mail facility that are looked through for one of sendmail's.
const LATEST: u32 = 1000;

/// What they may take up, in bytes.
const LATEST_BYTES: usize = 4 << 20;

/// How long that may take: a journal may be large, and on a slow disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who is who on this host.
const USERS: &str = "/etc/passwd";

/// The journal that the config names.
pub(crate) fn source(config: &Config) -> Source {
    let run_as = Cf::read(&config.access.cf.0.0).ok().and_then(|cf| cf.run_as_user);
    Source {
        program: program_or_name(JOURNALCTL),
        folder: folder(config).map(Path::to_owned),
        believed: Believed::new(run_as.and_then(|user| uid(&user))),
    }
}

/// What it is called, in the ledger too.
pub(crate) fn name(config: &Config) -> &Path {
    folder(config).unwrap_or(Path::new(JOURNAL))
}

fn folder(config: &Config) -> Option<&Path> {
    config.log.journal.0.as_ref().map(|folder| &*folder.0)
}

/// The number of a user by name or number.
fn uid(user: &str) -> Option<u32> {
    user.parse().ok().or_else(|| {
        let users = fs::read(USERS).ok()?;
        uid_in(&String::from_utf8_lossy(&users), user)
    })
}

fn uid_in(users: &str, user: &str) -> Option<u32> {
    users.split('\n').find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// Whether journalctl is there, may read the journal, and finds sendmail in it.
pub(crate) fn look(config: &Config) -> Vec<Said> {
    let Some(program) = program(JOURNALCTL) else {
        return vec![
            wrong(format!("{JOURNALCTL} is not there, or not in PATH"))
                .mend("read a file instead: [log] source = \"file\""),
        ];
    };
    vec![good(format!("{JOURNALCTL} is {}", program.display())), read(config, &program)]
}

fn read(config: &Config, program: &Path) -> Said {
    let shown = name(config).display();
    let source = source(config);
    let args = source.latest(LATEST);
    let args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
    let child =
        Child { program, args: &args, stdin: b"", timeout: PATIENCE, stdout_cap: LATEST_BYTES };
    let output = match child::run(&child) {
        Ok(output) => output,
        Err(error) => return wrong(format!("the journal {shown}: {error}")),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or_default();
        return wrong(format!("the journal {shown}: {said} ({})", output.status));
    }
    let (entries, lines) = source.believed_of([&output.stdout[..]]);
    let lines = String::from_utf8_lossy(&lines);
    match (entries, lines.split_once(' ')) {
        (_, Some((stamp, _))) => {
            good(format!("the journal {shown} holds lines of sendmail's, the last of {stamp}"))
        }
        (0, None) => wrong(format!("the journal {shown} holds no line of the mail facility"))
            .mend("run it as root, or as a user of the group systemd-journal"),
        (others, None) => wrong(format!(
            "the journal {shown} holds no line of sendmail's among the last {others} of the mail facility"
        ))
        .mend("where sendmail logs into a file, read that: [log] source = \"file\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_users() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\nsmmta:x:111:116::/:/bin/false\nodd:x\nsm:x:y:0\n";
        let check = |user, expect| assert_eq!(uid_in(users, user), expect, "{user}");
        check("smmta", Some(111));
        check("root", Some(0));
        check("smm", None);
        check("odd", None);
        check("sm", None);
        assert_eq!(uid("42"), Some(42));
    }
}
