//! `trytlsd doctor --write-config`: a config that fits the host, as text. Only what is the host's own stands in it; all else
//! keeps its default.

use std::path::Path;

use super::places::Places;

/// Where sendmail.cf and the access map are if nothing else is found.
const CF: &str = "/etc/mail/sendmail.cf";
const MAP: &str = "/etc/mail/access";

/// The log if none is found: Debian's.
const LOG: &str = "/var/log/mail.log";

impl Places {
    /// Whether all that a config needs was found.
    pub(crate) fn is_whole(&self) -> bool {
        missing(self).is_empty()
    }
}

/// What was not found, in words.
pub(crate) fn missing(places: &Places) -> Vec<String> {
    let mut missing = Vec::new();
    if places.cf.is_none() {
        missing.push("no sendmail.cf was found; is sendmail installed?".to_owned());
    } else if places.map.is_none() {
        missing.push(
            "sendmail.cf has no access map that could be kept; trytlsd doctor says more".to_owned(),
        );
    }
    if places.log.is_none() {
        let journal = match places.journal {
            true => {
                " (there is a journal, but no log file: [log] source = \"journald\" reads that)"
            }
            false => "",
        };
        missing.push(format!("no log was found{journal}"));
    }
    missing
}

/// The config.
pub(crate) fn text(places: &Places) -> String {
    let cf = places.cf.as_deref().unwrap_or(Path::new(CF));
    let (map, of_map) = match &places.map {
        Some(map) => (
            map.map.as_path(),
            format!("{}, line {}: a map of class {}.", cf.display(), map.line, map.class),
        ),
        None => (Path::new(MAP), "Not found; the usual place.".to_owned()),
    };
    let (log, of_log) = match &places.log {
        Some(log) => {
            let seen = if log.seen {
                "sendmail's lines are seen in it"
            } else {
                "no line of sendmail's yet"
            };
            (log.path.as_path(), format!("Found ({}); {seen}.", log.why))
        }
        None => (Path::new(LOG), "Not found; the usual place.".to_owned()),
    };
    format!(
        "# A config for this host, by trytlsd doctor --write-config. Keys that are not here have their defaults; the\n\
         # sample config of the documentation shows and explains them all.\n\
         \n\
         # true: show each entry and write none. Set it to false when you trust what you see.\n\
         dry_run = true\n\
         \n\
         [log]\n\
         # {}\n\
         path = {}\n\
         \n\
         [access]\n\
         # {}\n\
         file = {map}\n\
         map = {map}\n\
         cf = {}\n",
        comment(&of_log),
        toml(log),
        comment(&of_map),
        toml(cf),
        map = toml(map),
    )
}

/// A path as TOML: as JSON, but for the one character that TOML has escaped too.
fn toml(path: &Path) -> String {
    let text = serde_json::to_string(&path.display().to_string()).unwrap_or_default();
    text.replace('\u{7f}', "\\u007f")
}

/// Text in a comment: no control characters, for a file may be called anything.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use config::Config;

    use super::super::places::{LogPlace, MapPlace};
    use super::*;

    /// What is printed is a config and says what was found, whatever it is called.
    #[test]
    fn it_is_a_config() {
        let path = Path::new("/nowhere/trytlsd.toml");
        let config = Config::of_text(path, &text(&Places::default())).unwrap();
        assert_eq!(config.access.map.0.0, Path::new(MAP));
        assert_eq!(missing(&Places::default()).len(), 2);

        let places = Places {
            cf: Some("/etc/sendmail.cf".into()),
            map: Some(MapPlace { map: "/srv/a\"b\n".into(), line: 7, class: "btree".into() }),
            log: Some(LogPlace {
                path: "/var/log/\u{7f}\\é".into(),
                why: "/etc/rsyslog.d/a\nb.conf, line 1".into(),
                seen: true,
            }),
            journal: false,
        };
        let config = Config::of_text(path, &text(&places)).unwrap();
        assert_eq!(config.access.map.0.0, Path::new("/srv/a\"b\n"));
        assert_eq!(config.access.file.0.0, Path::new("/srv/a\"b\n"));
        assert_eq!(config.access.cf.0.0, Path::new("/etc/sendmail.cf"));
        assert_eq!(config.log.path.0, [Path::new("/var/log/\u{7f}\\é")]);
        assert!(*config.top.dry_run && places.is_whole());
    }
}
