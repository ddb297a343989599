//! What only the doctor looks at: programs that answer, the log's lines, DNS, rights, time.

use jiff::{SignedDuration, Timestamp};
use policy::fact::{Answer, Tlsa};
use sendmail::prove::Proof;

use super::cf::make_line;
use super::directory;
use super::named::rebuild;
use super::sample::Sample;
use super::seen::{Deep, Kind, Node, Seen};
use crate::finding::{Finding, Said, good, note, wrong};

/// A check; it may have something to say of several things, or of none.
type Check = fn(&Seen, &Deep) -> Vec<Said>;

/// The checks, in the order in which they are shown.
const CHECKS: [(&str, Check); 14] = [
    ("mode", mode),
    ("sendmail-version", version),
    ("sendmail-answers", answers),
    ("makemap-class", makemap_class),
    ("map-age", map_age),
    ("map-rights", map_rights),
    ("rights", rights),
    ("log-format", log_format),
    ("log-understood", log_understood),
    ("log-fresh", log_fresh),
    ("resolver", resolver),
    ("dnssec", dnssec),
    ("ldap", ldap),
    ("time", time),
];

/// A log in which nothing was written for so long may be the wrong one.
const STALE: SignedDuration = SignedDuration::from_hours(24);

/// So much may the log's own time and the file system's differ.
const SKEW: SignedDuration = SignedDuration::from_mins(10);

/// With fewer lines a log may just have no line of sendmail's yet.
const ENOUGH_LINES: usize = 100;

/// When this was written. A clock before it is wrong.
const NOT_BEFORE: i64 = 1_767_225_600; // 2026-01-01

/// What only the doctor looks at, judged.
pub(crate) fn findings(seen: &Seen, deep: &Deep) -> Vec<Finding> {
    let check = |(id, check): &(&'static str, Check)| {
        let id: &'static str = id;
        check(seen, deep).into_iter().map(move |said| said.by(id))
    };
    CHECKS.iter().filter(|(id, _)| super::applies(&seen.config, id)).flat_map(check).collect()
}

fn mode(seen: &Seen, _: &Deep) -> Vec<Said> {
    let files: Vec<String> =
        seen.config.files.iter().map(|path| path.display().to_string()).collect();
    let dry = *seen.config.top.dry_run;
    vec![match (files.as_slice(), dry) {
        ([], _) => note("no config file: looked at is what was found on this host")
            .mend("trytlsd doctor --write-config > /etc/trytlsd/trytlsd.toml"),
        (files, true) => {
            note(format!("{}: dry run, so entries are shown and not written", files.join(", ")))
                .mend("when you trust what it shows: dry_run = false, and systemctl reload trytlsd")
        }
        (files, false) => good(format!("{}: entries are written", files.join(", "))),
    }]
}

fn version(seen: &Seen, deep: &Deep) -> Vec<Said> {
    let (Some(about), Some(program)) = (&deep.about, &seen.sendmail) else { return Vec::new() };
    let program = program.display();
    let about = match about {
        Ok(about) => about,
        Err(why) => {
            return vec![
                wrong(format!("{program} does not tell its version: {why}"))
                    .mend("Postfix, Exim and others have a program of this name too; trytlsd is for sendmail")
                    .mend("name the right one in the config: [access] sendmail = \"/usr/lib/sendmail\"")
                    .mend("if it sleeps first: the host has no qualified name; put one into /etc/hosts"),
            ];
        }
    };
    let numbers = |text: &str| -> Vec<u32> {
        text.split('.').map_while(|part| part.parse().ok()).take(3).collect()
    };
    let of = &about.version;
    vec![match (numbers(of).as_slice(), about.starttls) {
        (_, false) => wrong(format!("{program} is sendmail {of}, compiled without STARTTLS"))
            .mend("it never tries TLS, so there is nothing to do for trytlsd"),
        (numbers, true) if numbers < [8, 12].as_slice() => {
            wrong(format!("{program} is sendmail {of}, which does not know Try_TLS: entries"))
                .mend("sendmail 8.12 or later is needed")
        }
        (numbers, true) if numbers < [8, 14].as_slice() => note(format!(
            "{program} is sendmail {of}; trytlsd is tried with 8.17, and its log lines are known from 8.12 on"
        )),
        _ => good(format!("{program} is sendmail {of}, with STARTTLS")),
    }]
}

fn answers(seen: &Seen, deep: &Deep) -> Vec<Said> {
    let cf = seen.config.access.cf.0.0.display();
    let asked = "sendmail -bt";
    vec![match &deep.asked {
        None => return Vec::new(),
        Some(Proof::DoesNotMatch { .. }) => {
            good(format!("{asked} with {cf} answers, so each entry can be proven"))
        }
        Some(Proof::Matches) => wrong(format!("{asked} with {cf} tries TLS with nobody: an entry of yours covers every host"))
            .mend(format!("look for a bare Try_TLS: line in {}", seen.access.path.display())),
        Some(Proof::NoAnswer { why }) => note(format!(
            "{asked} with {cf} gives no answer, so the keys are read back from the map instead: {why}"
        ))
        .mend("run trytlsd doctor as root; sendmail refuses its maps to others"),
    }]
}

fn makemap_class(seen: &Seen, deep: &Deep) -> Vec<Said> {
    let (true, Some(program), Some(classes)) = (seen.builds(), &seen.makemap, &deep.classes) else {
        return Vec::new();
    };
    let (program, class) = (program.display(), seen.host.settings(&seen.config).class.name());
    vec![match classes {
        Ok(classes) if classes.iter().any(|known| known == class) => {
            good(format!("{program} can build maps of class {class}"))
        }
        Ok(classes) => wrong(format!("{program} cannot build maps of class {class}, only {}", classes.join(", ")))
            .mend("name the makemap of your sendmail in the config: [access] makemap = \"/path/of/makemap\""),
        Err(why) => wrong(format!("{program}: {why}"))
            .mend("name the makemap of your sendmail in the config: [access] makemap = \"/path/of/makemap\""),
    }]
}

fn map_age(seen: &Seen, _: &Deep) -> Vec<Said> {
    let Some(map) = &seen.map else { return Vec::new() };
    let (Some(text), Some(of_map)) = (seen.access.file(), map.file()) else { return Vec::new() };
    vec![match text.mtime > of_map.mtime {
        false => good(format!("the map {} is not older than its text", map.path.display())),
        true => wrong(format!(
            "{} was saved after {} was built; what you changed has no effect yet",
            seen.access.path.display(),
            map.path.display()
        ))
        .mend(rebuild(seen)),
    }]
}

/// What sendmail and makemap refuse, and who else may write.
fn map_rights(seen: &Seen, _: &Deep) -> Vec<Said> {
    let mut said = Vec::new();
    for folder in &seen.folders {
        let Ok(meta) = &folder.what else { continue };
        let (path, mode) = (folder.path.display(), meta.mode);
        if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            let who = if mode & 0o002 != 0 { "everybody" } else { "a group" };
            said.push(
                wrong(format!("{who} may write to the folder {path} (mode {mode:04o}); sendmail refuses maps there as unsafe"))
                    .mend(format!("chmod go-w {path}")),
            );
        }
    }
    let text = std::iter::once(&seen.access);
    for file in seen.map.iter().chain(text) {
        let Some(meta) = file.file() else { continue };
        let (path, mode) = (file.path.display(), meta.mode);
        if mode & 0o002 != 0 {
            said.push(
                wrong(format!("everybody may write to {path} (mode {mode:04o})"))
                    .mend(format!("chmod o-w {path}")),
            );
        }
    }
    if let Some(map) = &seen.map
        && let Ok(meta) = &map.what
    {
        let path = map.path.display();
        if meta.link || meta.links > 1 && meta.kind == Kind::File {
            let what =
                if meta.link { "a symbolic link" } else { "one of several names of its file" };
            said.push(
                wrong(format!("the map {path} is {what}; makemap and sendmail refuse that"))
                    .mend(format!("rm {path}"))
                    .mend(rebuild(seen)),
            );
        }
        if said.is_empty() {
            said.push(good(format!(
                "the map {path} belongs to uid {}, mode {:04o}",
                meta.uid, meta.mode
            )));
        }
    }
    said
}

/// Whether we may do what must be done.
fn rights(seen: &Seen, deep: &Deep) -> Vec<Said> {
    let Some(folder) = seen.folders.first() else { return Vec::new() };
    let path = folder.path.display();
    if let Err(why) = &folder.what {
        return vec![wrong(format!("the folder {path}: {why}")).mend(format!("install -d {path}"))];
    }
    let may = |node: &Node| node.what.as_ref().is_ok_and(|meta| meta.writable);
    if deep.uid == 0 {
        return vec![match may(folder) {
            true => good(format!("runs as root and may write to {path}")),
            false => wrong(format!("runs as root, and all the same may not write to {path}"))
                .mend("is it mounted read-only, or is this a container or a unit that may not write there?")
                .mend("as a service: ReadWritePaths= with systemctl edit trytlsd"),
        }];
    }
    let uid = deep.uid;
    let owns = seen.access.file().is_none_or(|meta| meta.uid == uid);
    let armed = !*seen.config.top.dry_run;
    let said = match (may(folder) && owns, armed) {
        (true, _) => good(format!("runs as uid {uid}, which may replace files in {path}")),
        (false, true) => wrong(format!(
            "runs as uid {uid}, which may not replace the access file and its map in {path}"
        )),
        (false, false) => note(format!(
            "runs as uid {uid}, which may not replace the access file and its map in {path}; dry run needs not"
        )),
    };
    vec![match may(folder) && owns {
        true => said,
        false => said.mend("run it as root, as trytlsd.service does"),
    }]
}

fn log_format(_: &Seen, deep: &Deep) -> Vec<Said> {
    each(deep, |log, sample| {
        match (&sample.flaw, sample.stamped) {
        (_, 0) if sample.lines == 0 => None,
        (Some((line, flaw)), stamped) if stamped * 2 < sample.lines => Some(
            wrong(format!("{log}: {} of {} lines cannot be read: {flaw}; for instance: {line}", sample.lines - stamped, sample.lines))
                .mend("have syslog write lines that begin as \"Nov 23 11:30:13 host sendmail[421]: \" or with an RFC 3339 time stamp")
                .mend("with rsyslog: mail.* -/var/log/mail.log;RSYSLOG_FileFormat"),
        ),
        (Some((line, flaw)), stamped) => Some(note(format!(
            "{log}: {} of {} lines cannot be read ({flaw}), for instance: {line}",
            sample.lines - stamped,
            sample.lines
        ))),
        (None, _) => Some(good(format!("{log}: all of its last {} lines have a time stamp, a host and a program", sample.lines))),
    }
    })
}

fn log_understood(seen: &Seen, deep: &Deep) -> Vec<Said> {
    let place = deep.places.log.as_ref().filter(|place| place.seen);
    each(deep, |log, sample| {
        let programs = sample.programs.join(", ");
        Some(match (sample.sendmail, sample.lines) {
            (0, 0) => note(format!("{log} has no lines yet")),
            (0, lines) if lines < ENOUGH_LINES => note(format!(
                "{log}: none of its {lines} lines is of a delivery of sendmail's; programs: {programs}"
            )),
            (0, lines) => {
                let said = wrong(format!(
                    "{log}: none of its last {lines} lines is of a delivery of sendmail's; programs: {programs}"
                ));
                match place.filter(|place| !seen.config.log.path.0.contains(&place.path)) {
                    Some(place) => said.mend(format!(
                        "sendmail's lines were seen in {0}: [log] path = \"{0}\"",
                        place.path.display()
                    )),
                    None => said
                        .mend("name the file that sendmail's lines go to: [log] path = \"/path/of/log\"")
                        .mend("trytlsd match 'a line of it' says how a line is read"),
                }
            }
            (sendmail, lines) => good(format!(
                "{log}: {sendmail} of its last {lines} lines are sendmail's and about mail or STARTTLS; {} tell something",
                sample.telling
            )),
        })
    })
}

fn log_fresh(_: &Seen, deep: &Deep) -> Vec<Said> {
    each(deep, |log, sample| {
        let written = sample.written?;
        let age = deep.now.duration_since(written);
        Some(match age > STALE {
            false => good(format!("{log} was written {} ago", span(age))),
            true => note(format!("{log} was last written {} ago; is it the log that sendmail's lines go to?", span(age)))
                .mend("logger -p mail.info -t trytlsd-doctor hello, and look whether the line arrives there"),
        })
    })
}

/// What the check says of each log whose end could be read.
fn each(deep: &Deep, check: impl Fn(&str, &Sample) -> Option<Said>) -> Vec<Said> {
    let of = |(path, sample): &(std::path::PathBuf, Result<Sample, String>)| {
        check(&path.display().to_string(), sample.as_ref().ok()?)
    };
    deep.samples.iter().filter_map(of).collect()
}

fn resolver(_: &Seen, deep: &Deep) -> Vec<Said> {
    let Some((servers, _)) = &deep.dns else {
        return vec![note("DNS was not asked (--no-dns)")];
    };
    let shown = |server: &facts::Surveyed| {
        let trusted = if server.trusted { "trusted" } else { "not trusted" };
        match &server.validates {
            Ok(true) => format!("{} answers and validates ({trusted})", server.address),
            Ok(false) => format!("{} answers and does not validate ({trusted})", server.address),
            Err(why) => format!("{}: {why}", server.address),
        }
    };
    let all = servers.iter().map(shown).collect::<Vec<_>>().join("; ");
    let answered = servers.iter().filter(|server| server.validates.is_ok()).count();
    let mend = "look into /etc/resolv.conf, or name servers in the config: [dns] servers = [\"127.0.0.1\"]";
    vec![match answered {
        0 if servers.is_empty() => wrong("no DNS server is known").mend(mend),
        0 => wrong(format!("no DNS server answers: {all}"))
            .mend("without DNS nothing is known of a relay, and what is unknown holds")
            .mend(mend),
        _ if answered < servers.len() => note(format!("DNS: {all}")).mend(mend),
        _ => good(format!("DNS: {all}")),
    }]
}

fn dnssec(seen: &Seen, deep: &Deep) -> Vec<Said> {
    let Some((servers, tlsa)) = &deep.dns else { return Vec::new() };
    let proven = servers.iter().any(|server| server.trusted && server.validates == Ok(true));
    vec![match tlsa {
        _ if *seen.config.dns.dnssec == config::DnssecChoice::Off => {
            note("[dns] dnssec = \"off\": TLSA records (DANE) are not looked at; only sendmail's own warning holds")
        }
        Answer::Known(Tlsa::Absent | Tlsa::Secure) if proven => {
            good("DNSSEC: a trusted resolver validates, and proves that there are no TLSA records where there are none")
        }
        Answer::Known(Tlsa::Absent | Tlsa::Secure) => {
            good("DNSSEC: no trusted resolver validates; trytlsd checks the signatures itself, and the proof goes through")
        }
        Answer::Known(Tlsa::Insecure) => {
            wrong("DNSSEC: a signed zone looks unsigned here; somebody on the way changes answers")
                .mend("ask a resolver of your own: apt install unbound, and [dns] servers = [\"127.0.0.1\"]")
        }
        Answer::Unknown(why) => wrong(format!(
            "DNSSEC: nothing can be proven here, so every relay with a name is held: {why}"
        ))
        .mend("best: a validating resolver on this host: apt install unbound, and [dns] servers = [\"127.0.0.1\"]")
        .mend("or, if your resolver validates and the way to it is safe: [dns] trusted = [\"192.0.2.53\"]")
        .mend("or, where nothing can validate: [dns] dnssec = \"off\" (then DANE does not hold)"),
        Answer::NotAsked => return Vec::new(),
    }]
}

/// A directory: whether it is as a fleet needs it; or whether a map of our own is asked beside it.
fn ldap(seen: &Seen, _: &Deep) -> Vec<Said> {
    if seen.config.is_shared() {
        return directory::answers(&seen.config, &seen.host);
    }
    let Ok(cf) = seen.host.cf() else { return Vec::new() };
    if cf.access.is_none() {
        return Vec::new();
    }
    vec![match cf.access_in_ldap() {
        None => good("no part of the access map is in LDAP"),
        Some(line) if seen.host.line().is_some() => note(format!(
            "line {} of the cf: a part of the access map is in LDAP; entries are written to {} beside it",
            line.line,
            seen.access.path.display()
        )),
        Some(line) => wrong(format!(
            "line {} of the cf: the access map is in LDAP, and entries are written to {}, which sendmail does not ask",
            line.line,
            seen.access.path.display()
        ))
        .mend("in the config: [access] target = \"ldap\", and [ldap] (see docs/fleet.md)")
        .mend("or: trytlsd doctor --sequence-map prints the lines for a file of our own beside it")
        .mend(make_line(&seen.config.access.cf.0.0)),
    }]
}

/// Whether our clock, the log's and the file system's agree: counts and spans rest on the log's time.
fn time(_: &Seen, deep: &Deep) -> Vec<Said> {
    let mut said = Vec::new();
    if deep.now.as_second() < NOT_BEFORE {
        said.push(
            wrong(format!("the clock says {}, which is in the past", at(deep.now)))
                .mend("apt install systemd-timesyncd, or chrony"),
        );
    }
    said.extend(each(deep, |log, sample| {
        let (last, written) = (sample.last?, sample.written?);
        let ahead = last.duration_since(deep.now);
        if ahead > SKEW {
            return Some(
                wrong(format!("{log}: its last line is of {}, which is {} from now", at(last), span(ahead)))
                    .mend("the log's clock or time zone differs from this host's; make them the same"),
            );
        }
        // The file may have been touched without a line; a line cannot come after it was written.
        let late = last.duration_since(written);
        (late > SKEW).then(|| {
            wrong(format!(
                "{log}: its last line is of {}, but it was last written at {}: another time zone?",
                at(last),
                at(written)
            ))
            .mend("set the same time zone for syslog and this host, or have the log written with zones (RFC 3339)")
        })
    }));
    if said.is_empty() {
        let dated = deep.samples.iter().filter_map(|(_, sample)| sample.as_ref().ok());
        let agrees = match dated.filter(|sample| sample.last.is_some()).count() {
            0 => "",
            _ => ", and the log agrees with it",
        };
        said.push(match deep.time_keeper {
            Some(keeper) => good(format!("the clock is kept by {keeper}{agrees}")),
            None => note(format!(
                "the clock says {}{agrees}; no program was found that keeps it",
                at(deep.now)
            ))
            .mend("apt install systemd-timesyncd, or chrony, unless the machine below keeps it"),
        });
    }
    said
}

/// To the second.
fn at(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// A span in its largest unit.
fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
