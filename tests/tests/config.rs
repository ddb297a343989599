//! The config: what is said about a broken one, which file wins, and that code, sample and manual know the same keys.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use tests::need;
use tests::rig::Rig;

/// What `check-config` says of each key: value and source.
fn keys(rig: &Rig, args: &[&str]) -> BTreeMap<String, (String, String)> {
    let ran = rig.trytlsd(&[&["check-config", "--json"], args].concat()).unwrap();
    let checked: Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = checked["keys"].as_array().unwrap().iter();
    rows.map(|row| (text(row, "key"), (text(row, "value"), text(row, "source")))).collect()
}

/// A broken config names file, line, column, and what was expected; exit status 2.
#[test]
fn errors_say_where_and_what() {
    let rig = Rig::new().unwrap();
    let check = |toml: &str, says: &[&str]| {
        rig.write("broken.toml", toml).unwrap();
        let ran = rig.trytlsd(&["check-config", "--config", "broken.toml"]).unwrap();
        assert_eq!(ran.status, Some(2), "{ran:?}");
        for part in [&["broken.toml"], says].concat() {
            assert!(ran.stderr.contains(part), "{part:?} in {}", ran.stderr);
        }
    };
    check(
        "dry_run = true\n\n[policy]\nfailurs = 3\n",
        &["line 4, column 1", "unknown field `failurs`, expected one of `failures`"],
    );
    check("[polcy]\n", &["line 1", "unknown field `polcy`"]);
    check("dry_run = 1\n", &["line 1, column 11", "expected a boolean"]);
    check("[policy]\nfailures = 0\n", &["line 2, column 12", "0 is not between 1 and 1000"]);
    check("[policy]\nwindow = \"24\"\n", &["line 2, column 10", "write \"90s\", \"30m\""]);
    check("[policy]\nwindow = 24\n", &["line 2, column 10", "expected a span of time in quotes"]);
    check(
        "[policy]\nnever = [\"10.0.0.0/8\", \"no good\"]\n",
        &["line 2", "no host name, domain or network"],
    );
    check(
        "[access]\nkey = \"both\"\n",
        &["unknown variant `both`, expected one of `auto`, `name`, `ptr`, `ip`"],
    );
    check("[access]\nfile = \"access\"\n", &["line 2", "\"access\" is no absolute path"]);
    check("[access]\nrebuild = \"command\"\n", &["needs [access] command"]);
    check("[log]\npath = []\n", &["the list of paths is empty"]);
    check("[dns]\nservers = [\"no host\"]\n", &["line 2", "is no DNS server"]);
    check("[policy]\nmin_span = \"2h\"\nwindow = \"1h\"\n", &["nothing could ever be enough"]);
    check("[log]\npath = [\"/x/mail.log\", \"/x/mail.log\"]\n", &["names /x/mail.log twice"]);
    check("[access]\nlook_every = \"0s\"\n", &["look_every (0s) is shorter than 1s"]);
    check("[guards]\nburst_share = 1.5\n", &["1.5 is not between 0.0 and 1.0"]);
    check(
        "[notice]\nmail_to = \"root\"\ncommand = [\"to-chat\"]\n",
        &["[notice] mail_to and command exclude each other"],
    );
    check(
        "[notice]\nmail_to = [\"root\", \"|/bin/sh\"]\n",
        &["line 2", "\"|/bin/sh\" is no mail address: write"],
    );
    check("[notice]\nevery = \"0s\"\n", &["every (0s) is shorter than 1s"]);
    check("dry_run = \n", &["line 1"]);
}

/// Drop-ins override single keys in the order of their names; each value knows its file.
#[test]
fn drop_ins() {
    let rig = Rig::new().unwrap();
    rig.config("[policy]\nfailures = 4\nmin_span = \"1h\"\n").unwrap();
    rig.drop_in("10.toml", "[policy]\nfailures = 5\nwindow = \"2h\"\n").unwrap();
    rig.drop_in("20.toml", "[policy]\nfailures = 6\n").unwrap();
    rig.drop_in("30.toml.disabled", "nonsense\n").unwrap();
    let keys = keys(&rig, &["--config", "trytlsd.toml"]);
    let check = |key: &str, value: &str, source: &str| {
        assert_eq!(keys[key], (value.to_owned(), source.to_owned()), "{key}");
    };
    check("[policy] failures", "6", "trytlsd.d/20.toml");
    check("[policy] window", "\"2h\"", "trytlsd.d/10.toml");
    check("[policy] min_span", "\"1h\"", "trytlsd.toml");
    check("[policy] max_relays", "10000", "default");
    rig.drop_in("40.toml", "what = 1\n").unwrap();
    let ran = rig.trytlsd(&["check-config", "--config", "trytlsd.toml"]).unwrap();
    assert!(ran.status == Some(2) && ran.stderr.contains("40.toml"), "{ran:?}");
}

/// The sample names every key, with the value that is the default.
#[test]
fn the_sample_is_the_defaults() {
    let rig = Rig::new().unwrap();
    let sample = need::repository().join("config/trytlsd.toml");
    rig.write("empty.toml", "").unwrap();
    let defaults = keys(&rig, &["--config", "empty.toml"]);
    let sampled = keys(&rig, &["--config", sample.to_str().unwrap()]);
    for (key, (value, source)) in &sampled {
        assert_eq!(*value, defaults[key].0, "{key}");
        assert_ne!(source, "default", "{key} is not in config/trytlsd.toml");
    }
    let text = fs::read_to_string(sample).unwrap();
    let checked = rig.trytlsd(&["check-config", "--config", "empty.toml"]).unwrap().stdout;
    for line in checked.lines().filter(|line| line.contains("does nothing yet")) {
        let (section, key) = line.split(" = ").next().unwrap().split_once("] ").unwrap();
        let from_section = text.split(&format!("\n{section}]\n")).nth(1).unwrap();
        let before_key = from_section.split(&format!("\n{key} = ")).next().unwrap();
        let said = before_key.to_lowercase().contains("does nothing yet");
        assert!(said, "config/trytlsd.toml does not say that {key} does nothing yet");
    }
}

/// What the config names and is not there is told; exit status 1, since it can be used.
#[test]
fn what_is_named_is_looked_at() {
    let rig = Rig::new().unwrap();
    let ran = rig.trytlsd(&["check-config", "--config", "trytlsd.toml"]).unwrap();
    assert_eq!(ran.status, Some(1), "{ran:?}");
    for part in ["!! the log ", "ok the access file ", "sendmail.cf"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    rig.write("mail.log", "").unwrap();
    let map = rig.path("access").display().to_string();
    rig.write("sendmail.cf", format!("Kaccess text -T<TMPF> {map}\n")).unwrap();
    rig.drop_in("a.toml", "[access]\nprove = \"never\"\n").unwrap();
    let ran = rig.trytlsd(&["check-config", "--config", "trytlsd.toml"]).unwrap();
    assert_eq!(
        (ran.status, ran.stdout.contains("the access map is text")),
        (Some(0), true),
        "{ran:?}"
    );
    rig.write("sendmail.cf", format!("Kaccess text {map}\nO TLSFallbacktoClear=true\n")).unwrap();
    let ran = rig.trytlsd(&["check-config", "--config", "trytlsd.toml"]).unwrap();
    assert!(ran.stdout.contains("TLSFallbacktoClear is on"), "{ran:?}");
    rig.write("sendmail.cf", "Kaccess hash /elsewhere/access\n").unwrap();
    let ran = rig.trytlsd(&["check-config", "--config", "trytlsd.toml"]).unwrap();
    assert!(ran.stdout.contains("entries there have no effect"), "{ran:?}");
}

/// Version and help are there, and each command's help has examples and exit statuses.
#[test]
fn help() {
    let rig = Rig::new().unwrap();
    let version = rig.trytlsd(&["--version"]).unwrap();
    assert_eq!((version.stdout.as_str(), version.status), ("trytlsd 0.1.0\n", Some(0)));
    assert!(rig.trytlsd(&["--help"]).unwrap().stdout.contains("Examples:"));
    for command in ["run", "scan", "match", "check-config", "doctor"] {
        let help = rig.trytlsd(&[command, "--help"]).unwrap().stdout;
        assert!(help.contains("Examples:") && help.contains("Exit status:"), "{help}");
        let manual = fs::read_to_string(need::repository().join("docs/manual.md")).unwrap();
        assert!(manual.contains(&format!("`trytlsd {command} ")), "{command} is not in the manual");
    }
    let none: [&str; 0] = [];
    assert_eq!(rig.trytlsd(&none).unwrap().status, Some(2));
    assert_eq!(rig.trytlsd(&["scan", "--nonsense"]).unwrap().status, Some(2));
}
