//! What the config names: whether it is there and can be used. `check-config` makes these checks too.

use std::path::PathBuf;

use config::LogPattern;

use super::seen::{Kind, Node, Seen};
use crate::finding::{Finding, Said, good, wrong};
use crate::notice;

/// A check; it may have something to say of several things, or of none.
type Check = fn(&Seen) -> Vec<Said>;

/// The checks.
const CHECKS: [(&str, Check); 8] = [
    ("log", logs),
    ("pattern", patterns),
    ("access-file", access_file),
    ("map-file", map_file),
    ("makemap", makemap),
    ("sendmail", sendmail),
    ("ledger", ledger),
    ("notice", notices),
];

/// What the config names, judged, the cf included.
pub(crate) fn findings(seen: &Seen) -> Vec<Finding> {
    let checks = CHECKS.iter().filter(|(id, _)| super::applies(&seen.config, id));
    let named = checks.flat_map(|(id, check)| check(seen).into_iter().map(|said| said.by(id)));
    super::cf::findings(&seen.config, &seen.host).into_iter().chain(named).collect()
}

/// Whether a file is there, is one, and can be read.
fn readable(what: &str, node: &Node) -> Said {
    let shown = node.path.display();
    match &node.what {
        Ok(meta) if meta.kind != Kind::File => wrong(format!("{what} {shown} is no regular file")),
        Ok(meta) => match &meta.readable {
            Ok(()) => good(format!("{what} {shown} can be read")),
            Err(why) => wrong(format!("{what} {shown}: {why}"))
                .mend("run it as root, or give this user the right to read it"),
        },
        Err(why) => wrong(format!("{what} {shown}: {why}")),
    }
}

fn logs(seen: &Seen) -> Vec<Said> {
    if let Some(said) = &seen.journal {
        return said.clone();
    }
    let found = seen.deep.as_ref().and_then(|deep| deep.places.log.as_ref());
    let log = |node: &Node| {
        let said = readable("the log", node);
        match (&node.what, found) {
            (Ok(_), _) => said,
            (Err(_), Some(place)) => said.mend(format!(
                "in the config: [log] path = {:?} ({})",
                place.path.display().to_string(),
                place.why
            )),
            (Err(_), None) => said
                .mend("in the config: [log] path = \"/path/of/log\", the file that your syslog daemon sends mail.* to")
                .mend("where there is none, for instance with rsyslog: mail.* -/var/log/mail.log"),
        }
    };
    seen.logs.iter().map(log).collect()
}

/// Whether each pattern matches its samples, and whose words it takes them for.
fn patterns(seen: &Seen) -> Vec<Said> {
    seen.config.log.pattern.iter().flat_map(pattern).collect()
}

fn pattern(pattern: &LogPattern) -> Vec<Said> {
    let name = &pattern.name;
    if pattern.samples.is_empty() {
        let text = format!("pattern {name:?} has no samples; nobody knows whether it matches");
        return vec![wrong(text).mend("add lines of your log to its samples")];
    }
    let tried = |(sample, n): (&String, u32)| match pattern.compiled.try_line(sample.as_bytes()) {
        Ok(reply) => good(format!("pattern {name:?}, sample {n}: a reply of {}", reply.relay)),
        Err(why) => wrong(format!("pattern {name:?}, sample {n}: {why}")),
    };
    pattern.samples.iter().zip(1..).map(tried).collect()
}

fn access_file(seen: &Seen) -> Vec<Said> {
    let said = readable("the access file", &seen.access);
    let file = seen.access.path.display();
    vec![match &seen.access.what {
        Err(_) => said
            .mend(format!("touch {file}"))
            .mend("or name another: [access] file = \"/path/of/access\""),
        Ok(_) => said,
    }]
}

fn map_file(seen: &Seen) -> Vec<Said> {
    let Some(map) =
        seen.map.as_ref().filter(|_| *seen.config.access.rebuild != config::RebuildWay::None)
    else {
        return Vec::new();
    };
    let said = readable("the map", map);
    vec![match &map.what {
        Err(_) => said.mend(rebuild(seen)),
        Ok(_) => said,
    }]
}

/// The command that builds the map from its text.
pub(crate) fn rebuild(seen: &Seen) -> String {
    let settings = seen.host.settings(&seen.config);
    let (file, map) = (settings.access.display(), settings.map.display());
    format!("makemap {} {map} < {file}", settings.class.name())
}

fn makemap(seen: &Seen) -> Vec<Said> {
    if !seen.builds() {
        return Vec::new();
    }
    let said = program("makemap", &seen.config.access.makemap, seen.makemap.as_ref());
    vec![said]
}

fn sendmail(seen: &Seen) -> Vec<Said> {
    // check-config looks for it only where it would be asked; the doctor in any case.
    if seen.deep.is_none() && seen.host.asked(&seen.config).is_none() {
        return Vec::new();
    }
    vec![program("sendmail", &seen.config.access.sendmail, seen.sendmail.as_ref())]
}

/// Whether notices can be sent, if any are to be.
fn notices(seen: &Seen) -> Vec<Said> {
    let Some(sender) = &seen.sender else { return Vec::new() };
    let to = notice::whom(&seen.config);
    let said = match &sender.program {
        Some(found) => {
            let by = found.display();
            good(format!("notices go to {to}, by {by} (trytlsd notice --test sends one)"))
        }
        None => wrong(format!("notices go to {to}: {} is not there, or not in PATH", sender.name))
            .mend("in the config: [notice] command, or [access] sendmail = \"/path/of/sendmail\""),
    };
    let unit = sender.unit_is_missing.then(|| {
        wrong(format!(
            "notices: {} is not among systemd's units, and the service needs it",
            notice::UNIT
        ))
        .mend(format!(
            "install it beside trytlsd.service, from systemd/{} of the source",
            notice::UNIT
        ))
    });
    std::iter::once(said).chain(unit).collect()
}

/// Whether the program is there.
fn program(what: &str, name: &str, found: Option<&PathBuf>) -> Said {
    match found {
        Some(found) => good(format!("{what} is {}", found.display())),
        None => wrong(format!("{what}: {name} is not there, or not in PATH"))
            .mend(format!("in the config: [access] {what} = \"/path/of/{what}\""))
            .mend(
                "or install it: apt install sendmail-bin (Debian), dnf install sendmail (Red Hat)",
            ),
    }
}

/// Whether the ledger's folder is there, or can be made: the daemon makes the last one.
fn ledger(seen: &Seen) -> Vec<Said> {
    let (folder, above) = &seen.ledger;
    let shown = folder.path.display();
    vec![match (folder.is_folder(), above.is_folder()) {
        (true, _) => good(format!("the ledger's folder {shown} is there")),
        (false, true) => good(format!("the ledger's folder {shown} is made at the start")),
        (false, false) => wrong(format!(
            "the ledger's folder {shown} is not there, nor the one it would be made in"
        ))
        .mend(format!("install -d -m 750 {}", shown)),
    }]
}
