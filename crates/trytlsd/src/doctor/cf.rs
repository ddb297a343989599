//! What sendmail.cf says: the checks that need nothing else. The daemon makes them at its start too.

use std::path::Path;

use config::{Config, MapType, RemedyChoice};
use sendmail::cf::{Cf, MapLine};

use super::{applies, directory};
use crate::finding::{Finding, Said, good, note, wrong};
use crate::host::Host;

/// A check of the host's cf; it says nothing where the check before it has said why.
type Check = fn(&Config, &Host) -> Option<Said>;

/// The checks.
const CHECKS: [(&str, Check); 7] = [
    ("cf", cf),
    ("access-map", access_map),
    ("map-class", map_class),
    ("beside", beside),
    ("fallback", fallback),
    ("remedy", remedy),
    ("log-level", log_level),
];

/// What STARTTLS errors, ruleset lines and the Deferred line need (measured: 6, 6, 9).
const LOG_LEVEL: u8 = 9;

/// What sendmail's cf says, judged.
pub(crate) fn findings(config: &Config, host: &Host) -> Vec<Finding> {
    let checks = CHECKS.iter().filter(|(id, _)| applies(config, id));
    checks.filter_map(|(id, check)| Some(check(config, host)?.by(id))).collect()
}

/// How to make the cf anew from sendmail.mc, and have sendmail read it. Debian and Red Hat have a Makefile beside the cf.
pub(crate) fn make_line(cf: &Path) -> String {
    let folder = cf.parent().unwrap_or(Path::new("/etc/mail"));
    let make = if folder.join("Makefile").is_file() {
        format!("make -C {}", folder.display())
    } else {
        format!("m4 {} > {}", cf.with_extension("mc").display(), cf.display())
    };
    format!("{make} && systemctl restart sendmail")
}

fn cf(config: &Config, host: &Host) -> Option<Said> {
    let path = config.access.cf.0.0.display();
    Some(match host.cf() {
        Ok(cf) => {
            let version = cf.version.as_deref().unwrap_or("no version");
            good(format!("{path} can be read ({version})"))
        }
        Err(why) => wrong(why)
            .mend("name sendmail's configuration in the config: [access] cf = \"/etc/mail/sendmail.cf\"")
            .mend("trytlsd doctor --write-config prints a config for this host"),
    })
}

fn access_map(config: &Config, host: &Host) -> Option<Said> {
    let cf = host.cf().ok()?;
    let (path, map) = (config.access.cf.0.0.display(), config.access.map.0.0.display());
    if config.is_shared() {
        return Some(directory::access_map(config, cf));
    }
    if let Some(line) = host.line() {
        return Some(good(format!(
            "{path}, line {}: the access map is {} {map}",
            line.line, line.class
        )));
    }
    Some(match &cf.access {
        Some(access) => {
            let theirs = access.leaves().iter().map(|line| shown(line)).collect::<Vec<_>>();
            let said = wrong(format!(
                "{path}, line {}: sendmail's access map ({}) is not {map}; entries there have no effect",
                access.line,
                theirs.join(", "),
            ));
            match access.leaves().iter().find_map(|line| line.path.as_deref()) {
                Some(path) => said.mend(format!(
                    "in the config: [access] map = \"{0}\" and file = \"{0}\"",
                    without_db(path)
                )),
                None => said.mend("trytlsd doctor --sequence-map prints the lines for a map that it can keep"),
            }
        }
        None => wrong(format!(
            "{path}: no access map (FEATURE(`access_db') is missing); entries have no effect"
        ))
        .mend("in sendmail.mc, before the MAILER lines: FEATURE(`access_db', `hash -T<TMPF> /etc/mail/access')dnl")
        .mend(make_line(&config.access.cf.0.0)),
    })
}

/// A K line in short.
fn shown(line: &MapLine) -> String {
    let path = line.path.as_ref().map_or(String::new(), |path| format!(" {}", path.display()));
    format!("{}{path}", line.class)
}

fn without_db(path: &Path) -> String {
    let text = path.display().to_string();
    text.strip_suffix(".db").map_or(text.clone(), str::to_owned)
}

fn map_class(config: &Config, host: &Host) -> Option<Said> {
    let line = host.line()?;
    let (path, class) = (config.access.cf.0.0.display(), &line.class);
    if !matches!(&**class, "hash" | "btree" | "text") {
        return Some(
            wrong(format!(
                "{path}, line {}: a map of class {class} cannot be built; taking it for hash",
                line.line
            ))
            .mend(
                "trytlsd doctor --sequence-map prints the lines for a map of class hash beside it",
            ),
        );
    }
    let set = match *config.access.r#type {
        MapType::Auto => return Some(good(format!("a map of class {class} can be built"))),
        MapType::Hash => "hash",
        MapType::Btree => "btree",
        MapType::Text => "text",
    };
    Some(match set == class {
        true => good(format!("the config and the cf agree on class {class}")),
        false => wrong(format!(
            "{path}, line {}: the class is {class}, but the config says [access] type = \"{set}\"; sendmail would not open the map",
            line.line
        ))
        .mend("in the config: [access] type = \"auto\""),
    })
}

/// Whether the guards see the admin's own entries, where these are in other maps of a sequence.
fn beside(config: &Config, host: &Host) -> Option<Said> {
    let others = host.beside();
    let blind: Vec<String> = others
        .iter()
        .filter(|line| crate::beside::text_of(line).is_none())
        .map(|line| shown(line))
        .collect();
    let path = config.access.cf.0.0.display();
    if others.is_empty() {
        return None;
    }
    let all = others.iter().map(|line| shown(line)).collect::<Vec<_>>().join(", ");
    Some(match blind.as_slice() {
        [] => good(format!("{path}: the guards also see your entries in {all}, asked beside this map")),
        blind => wrong(format!(
            "{path}: the guards do not see your entries in {}; where they require TLS, an entry could make mail bounce",
            blind.join(", ")
        ))
        .mend(format!(
            "repeat your TLS_Rcpt:, TLS_Srv: and Try_TLS: entries in {}, outside of trytlsd's block",
            config.access.file.0.0.display()
        )),
    })
}

fn fallback(config: &Config, host: &Host) -> Option<Said> {
    let path = config.access.cf.0.0.display();
    let Cf { tls_fallback_to_clear, .. } = host.cf().ok()?;
    Some(match tls_fallback_to_clear {
        false => good(format!("{path}: TLSFallbacktoClear is off")),
        true => wrong(format!(
            "{path}: TLSFallbacktoClear is on; sendmail falls back by itself and there is nothing to do"
        ))
        .mend("if you want that for every host whose TLS fails, leave it, and do without trytlsd")
        .mend("else, in sendmail.mc: define(`confTLS_FALLBACK_TO_CLEAR', `False')dnl")
        .mend(make_line(&config.access.cf.0.0)),
    })
}

/// Whether the milder remedy can be used.
fn remedy(config: &Config, host: &Host) -> Option<Said> {
    host.cf().ok()?;
    Some(match (*config.entry.remedy, host.falls_back(config)) {
        (RemedyChoice::Fallback, Ok(())) => {
            good("sendmail falls back for one relay: [entry] remedy = \"fallback\" can be used")
        }
        (RemedyChoice::TryTls, Ok(())) => good(
            "sendmail could fall back for one relay: [entry] remedy = \"fallback\" could be used",
        ),
        (RemedyChoice::Fallback, Err(why)) => {
            wrong(format!("[entry] remedy = \"fallback\" cannot be used: {why}"))
                .mend("or, in the config: [entry] remedy = \"try_tls\"")
        }
        (RemedyChoice::TryTls, Err(why)) => {
            good(format!("[entry] remedy = \"try_tls\" is used; \"fallback\" could not be: {why}"))
        }
    })
}

fn log_level(config: &Config, host: &Host) -> Option<Said> {
    let path = config.access.cf.0.0.display();
    Some(match host.cf().ok()?.log_level {
        None => good(format!("{path}: LogLevel is not set, so it is 9")),
        Some(level @ LOG_LEVEL..14) => good(format!("{path}: LogLevel is {level}")),
        Some(level @ 14..) => note(format!(
            "{path}: LogLevel is {level}: many lines that trytlsd reads past; 9 is enough"
        )),
        Some(level) => wrong(format!(
            "{path}: LogLevel is {level}; below 9 the log does not tell which mail is stuck, and nothing will ever count"
        ))
        .mend("in sendmail.mc: define(`confLOG_LEVEL', `9')dnl")
        .mend(make_line(&config.access.cf.0.0)),
    })
}

#[cfg(test)]
mod tests {
    use crate::finding::Grade::{self, Good, Note, Wrong};

    use super::*;

    const HEALTHY: &str = "Kaccess hash -T<TMPF> /etc/mail/access\nDZ8.17.1.9\nO LogLevel=9\n";

    /// What the check says of a cf, with these lines of a config.
    #[track_caller]
    fn check(id: &str, cf: &str, access: &str, expect: Option<(Grade, &str)>) {
        let config = format!("[access]\ncf = \"/nowhere/sendmail.cf\"\n{access}");
        let config = Config::of_text(Path::new("/nowhere/trytlsd.toml"), &config).unwrap();
        let cf = Cf::parse(Path::new("/nowhere/sendmail.cf"), cf.as_bytes());
        let host = Host::of(&config, cf.map_err(|error| error.to_string()));
        let findings = findings(&config, &host);
        let found = findings.iter().find(|finding| finding.id == id);
        let Some((grade, part)) = expect else {
            return assert!(found.is_none(), "{found:?}");
        };
        let found = found.unwrap();
        assert!(found.grade == grade && found.text.contains(part), "{found:?}");
        assert_eq!(found.mend.is_empty(), grade != Wrong, "{found:?}");
    }

    #[test]
    fn a_table_of_cfs() {
        check("cf", HEALTHY, "", Some((Good, "(8.17.1.9)")));
        check(
            "cf",
            "Kaccess hash\n",
            "",
            Some((Wrong, "line 1: K line of the map access: no file name")),
        );
        check("access-map", "Kaccess hash\n", "", None);

        check(
            "access-map",
            HEALTHY,
            "",
            Some((Good, "line 1: the access map is hash /etc/mail/access")),
        );
        check("access-map", "", "", Some((Wrong, "FEATURE(`access_db') is missing")));
        check(
            "access-map",
            "Kaccess hash /b.db\n",
            "",
            Some((Wrong, "(hash /b.db) is not /etc/mail/access")),
        );
        check("access-map", "Kaccess ldap -k x\n", "", Some((Wrong, "(ldap) is not")));

        check("map-class", HEALTHY, "", Some((Good, "of class hash")));
        check("map-class", "Kaccess text /etc/mail/access\n", "", Some((Good, "of class text")));
        check(
            "map-class",
            "Kaccess cdb /etc/mail/access\n",
            "",
            Some((Wrong, "class cdb cannot be built")),
        );
        check("map-class", HEALTHY, "type = \"hash\"\n", Some((Good, "agree on class hash")));
        check(
            "map-class",
            HEALTHY,
            "type = \"btree\"\n",
            Some((Wrong, "[access] type = \"btree\"")),
        );
        check("map-class", "", "", None);

        let ldap = "Ka ldap -k x\nKb hash /etc/mail/access\nKaccess sequence a b\n";
        check("beside", HEALTHY, "", None);
        check("beside", ldap, "", Some((Wrong, "do not see your entries in ldap")));

        check("fallback", HEALTHY, "", Some((Good, "is off")));
        check("fallback", "O TLSFallbacktoClear\n", "", Some((Wrong, "TLSFallbacktoClear is on")));

        check("log-level", "", "", Some((Good, "is not set")));
        check("log-level", HEALTHY, "", Some((Good, "is 9")));
        check("log-level", "O LogLevel=8\n", "", Some((Wrong, "LogLevel is 8")));
        check("log-level", "O LogLevel=14\n", "", Some((Note, "LogLevel is 14")));
    }
}
