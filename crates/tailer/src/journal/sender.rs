//! Who wrote an entry, and whether it is believed: whether sendmail did.
//!
//! Any local user can write what he likes into the journal, under any name (`logger -t sm-mta`). What journald itself adds
//! he cannot choose: the fields that begin with an underscore. So an entry is believed if
//!
//! * it came by syslog(3) (`_TRANSPORT=syslog`). What a service prints comes as `stdout`: `sendmail -v` prints what the
//!   other side says.
//! * its writer was root, or the user that sendmail.cf runs sendmail as (`_UID`; it comes with the message from the kernel
//!   and is always there). A user's own sendmail, with a configuration of his own, is sendmail too, and logs what he
//!   wants: so the program is not enough.
//! * its program is sendmail (`_EXE`). journald looks that up in /proc, and a process that ends right after its last line
//!   may be gone by then: where it is missing, the name under which sendmail logs (`SYSLOG_IDENTIFIER`) will do, since the
//!   user is known.
//!
//! What comes then is put into the form of a syslog line, for the reader of such lines: the time, the host and the process
//! as journald knows them. A message of several lines is none of sendmail's, and would be a second line.

use std::io::Write;

use jiff::Timestamp;

use crate::journal::export::{Entry, Field};

/// The names under which sendmail logs if `-L` says nothing else: its own, and those of Debian's services.
const IDENTIFIERS: [&[u8]; 5] = [b"sendmail", b"sm-mta", b"sm-que", b"sm-msp", b"sm-msp-queue"];

/// Whose entries are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Believed {
    uids: Vec<u32>,
}

impl Believed {
    /// Root's, and those of the user that sendmail is run as, if that is another.
    #[must_use]
    pub fn new(run_as: Option<u32>) -> Self {
        Self { uids: std::iter::once(0).chain(run_as).collect() }
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    /// A line of sendmail's.
    Sendmails,
    /// Something else; no harm meant.
    Others,
    /// It has sendmail's name, and another wrote it.
    Forged,
}

impl Believed {
    /// What the entry is.
    pub(crate) fn judge(&self, entry: &Entry) -> Is {
        let named = entry.get(Field::Identifier).is_some_and(|name| IDENTIFIERS.contains(&name));
        let exe = entry.get(Field::Exe).map(is_sendmail);
        // A user's own sendmail that submits his mail, with its harmless lines.
        let submits = exe == Some(true);
        let others = if named && !submits { Is::Forged } else { Is::Others };
        if entry.flawed || entry.get(Field::Transport) != Some(b"syslog") {
            return others;
        }
        let trusted = entry.number(Field::Uid).is_some_and(|uid: u32| self.uids.contains(&uid));
        match exe {
            Some(true) if trusted => Is::Sendmails,
            None if trusted && named => Is::Sendmails,
            _ => others,
        }
    }
}

/// `/usr/libexec/sendmail/sendmail`, `/usr/sbin/sendmail.sendmail`; after an update `… (deleted)`.
fn is_sendmail(exe: &[u8]) -> bool {
    let name = exe.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name.starts_with(b"sendmail")
}

/// Adds the entry to `lines` as syslogd would write it; whether it can be.
pub(crate) fn write(entry: &Entry, lines: &mut Vec<u8>) -> bool {
    let Some(message) = entry.get(Field::Message) else { return false };
    let micros = entry.number(Field::SourceRealtime).or_else(|| entry.number(Field::Realtime));
    let stamp = micros.and_then(|micros: i64| Timestamp::from_microsecond(micros).ok());
    let (Some(stamp), Some(pid)) = (stamp, entry.number::<u32>(Field::Pid)) else { return false };
    let host = entry.get(Field::Hostname).filter(|host| is_word(host)).unwrap_or(b"-");
    let name = entry.get(Field::Identifier).filter(|name| is_word(name)).unwrap_or(b"sendmail");
    if message.contains(&b'\n') {
        return false;
    }
    let before = lines.len();
    let wrote = write!(lines, "{stamp} ").and_then(|()| lines.write_all(host));
    let wrote = wrote.and_then(|()| lines.write_all(b" ")).and_then(|()| lines.write_all(name));
    let wrote = wrote.and_then(|()| write!(lines, "[{pid}]: "));
    if wrote.is_err() {
        lines.truncate(before);
        return false;
    }
    lines.extend_from_slice(message);
    lines.push(b'\n');
    true
}

/// Whether it can stand as host or program in a syslog line.
fn is_word(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b':' | b'[' | b']');
    !text.is_empty() && text.len() <= 255 && text.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::export::Parser;

    fn entry(fields: &str) -> Entry {
        let mut found = Vec::new();
        let text = fields.replace(' ', "\n") + "\nMESSAGE=STARTTLS=client, error\n\n";
        Parser::default().feed(text.as_bytes(), |entry| found.push(entry));
        found.pop().unwrap()
    }

    #[test]
    fn who_is_believed() {
        let check = |fields: &str, expect| {
            assert_eq!(Believed::new(Some(111)).judge(&entry(fields)), expect, "{fields}");
        };
        let root = "_TRANSPORT=syslog _UID=0 SYSLOG_IDENTIFIER=sm-mta";
        check(&format!("{root} _EXE=/usr/libexec/sendmail/sendmail"), Is::Sendmails);
        check(&format!("{root} _EXE=/usr/sbin/sendmail.sendmail"), Is::Sendmails);
        check(root, Is::Sendmails);
        let own_name = "_TRANSPORT=syslog _UID=0 SYSLOG_IDENTIFIER=mta-out";
        check(&format!("{own_name} _EXE=/usr/sbin/sendmail"), Is::Sendmails);
        check(own_name, Is::Others);
        let run_as = "_TRANSPORT=syslog _UID=111 SYSLOG_IDENTIFIER=sm-mta";
        check(&format!("{run_as} _EXE=/usr/sbin/sendmail"), Is::Sendmails);
        // logger, by a user and even by root.
        check(&format!("{root} _EXE=/usr/bin/logger"), Is::Forged);
        let user = "_TRANSPORT=syslog _UID=1000 SYSLOG_IDENTIFIER=sm-mta";
        check(&format!("{user} _EXE=/usr/bin/logger"), Is::Forged);
        check(user, Is::Forged);
        // A user's own sendmail: he may have given it a configuration of his own.
        check(&format!("{user} _EXE=/usr/sbin/sendmail"), Is::Others);
        check(&format!("{user} _EXE=/home/u/sendmail"), Is::Others);
        // What a service prints, what is written by the journal's own protocol.
        let by = |transport: &str| {
            format!(
                "_TRANSPORT={transport} _UID=0 SYSLOG_IDENTIFIER=sendmail _EXE=/usr/sbin/sendmail"
            )
        };
        check(&by("stdout"), Is::Others);
        check(&by("journal"), Is::Others);
        check("_TRANSPORT=syslog SYSLOG_IDENTIFIER=sm-mta", Is::Forged);
        check("_TRANSPORT=syslog _UID=00x SYSLOG_IDENTIFIER=sm-mta", Is::Forged);
        check("_TRANSPORT=syslog _UID=+0 SYSLOG_IDENTIFIER=sm-mta", Is::Forged);
        // A field twice.
        check(&format!("{root} _UID=1000"), Is::Forged);
        check("_TRANSPORT=syslog _UID=1000 SYSLOG_IDENTIFIER=dovecot _EXE=/usr/bin/x", Is::Others);
    }

    #[test]
    fn lines_as_syslogd_writes_them() {
        let check = |fields: &str, expect: Option<&str>| {
            let mut lines = Vec::new();
            let wrote = write(&entry(fields), &mut lines);
            assert_eq!(
                wrote.then(|| String::from_utf8(lines).unwrap()).as_deref(),
                expect,
                "{fields}"
            );
        };
        let whole =
            "__REALTIME_TIMESTAMP=1795721916428076 _PID=77 _HOSTNAME=lab SYSLOG_IDENTIFIER=sm-mta";
        check(whole, Some("2026-11-26T19:38:36.428076Z lab sm-mta[77]: STARTTLS=client, error\n"));
        check(
            &format!("{whole} _SOURCE_REALTIME_TIMESTAMP=1795721916000000"),
            Some("2026-11-26T19:38:36Z lab sm-mta[77]: STARTTLS=client, error\n"),
        );
        check(
            "__REALTIME_TIMESTAMP=1795721916428076 _PID=77 _HOSTNAME=a: SYSLOG_IDENTIFIER=x[1]",
            Some("2026-11-26T19:38:36.428076Z - sendmail[77]: STARTTLS=client, error\n"),
        );
        check("__REALTIME_TIMESTAMP=1795721916428076 _HOSTNAME=lab", None);
        check("_PID=77", None);
        let mut forged = Vec::new();
        let text = b"__REALTIME_TIMESTAMP=1\n_PID=77\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n\n";
        Parser::default().feed(text, |entry| assert!(!write(&entry, &mut forged)));
        assert!(forged.is_empty());
    }
}
