//! Every command in the README and under `docs/` is run: what people copy from there must work.
//!
//! A command stands in a code block, or in the text between backquotes. One with brackets is a synopsis: each of its
//! options must be in the command's own help. One word alone only names the command. All others are run, as they stand, in a folder with a log, an access file and
//! a config; names of things are put in for placeholders (`RELAY`, `TEXT`), and the host's files are left alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]
#![allow(clippy::disallowed_methods, reason = "a test runs what a user types")]

use std::collections::BTreeSet;
use std::fs;

use tests::need;
use tests::rig::Rig;

/// The texts, each with its name.
fn docs() -> Vec<(String, String)> {
    let root = need::repository();
    let folder = fs::read_dir(root.join("docs")).unwrap();
    let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.extend(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    paths.sort();
    let is_text = |path: &std::path::PathBuf| path.extension().is_some_and(|ext| ext == "md");
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(&path).unwrap())
    };
    paths.into_iter().filter(is_text).map(read).collect()
}

/// The lines of the code blocks, without what explains them (behind two spaces or a `#`).
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("    ")).map(|line| {
        let end = line.find("  ").into_iter().chain(line.find(" # ")).min();
        line.split_at(end.unwrap_or(line.len())).0.trim()
    })
}

/// What stands between backquotes, also over the end of a line.
fn spans(text: &str) -> impl Iterator<Item = String> {
    let prose: String = text.lines().filter(|line| !line.starts_with("    ")).fold(
        String::new(),
        |mut prose, line| {
            prose.push_str(line.trim());
            prose.push(' ');
            prose
        },
    );
    let spans: Vec<String> = prose.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    spans.into_iter()
}

/// The commands of trytlsd in all texts.
fn commands() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (_, text) in docs() {
        let inline = spans(&text);
        let all_of = blocks(&text).map(str::to_owned).chain(inline);
        all.extend(all_of.filter(|command| command.starts_with("trytlsd ")));
    }
    all
}

/// The words of a command as a shell would take them.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty() && word != "…");
    words
}

/// What a placeholder stands for.
fn filled(word: &str) -> &str {
    match word {
        "RELAY" => "mx.example.org",
        "HOST" => "mx.example.org",
        "TEXT" => "ticket 4711",
        word if word.starts_with("/var/log/mail.log") => "mail.log",
        word => word,
    }
}

/// Each `--option` of a synopsis is in the help of its command.
fn check_synopsis(rig: &Rig, command: &str) {
    let name = words(command)[1].clone();
    let help = rig.trytlsd(&[name.as_str(), "--help"]).unwrap();
    assert_eq!(help.status, Some(0), "{command}: {help:?}");
    let flat = command.replace(['[', ']', '|'], " ");
    for option in flat.split_whitespace().filter(|word| word.starts_with("--")) {
        assert!(help.stdout.contains(option), "{command}: no {option} in\n{}", help.stdout);
    }
}

/// Runs it; the command line is right, and nothing panics.
fn check_run(rig: &Rig, command: &str) {
    let words = words(command);
    let name = words[1].as_str();
    // Where its output goes is the shell's business.
    let own = words[1..].iter().take_while(|word| *word != ">");
    let mut args: Vec<&str> = own.map(|word| filled(word)).collect();
    let help = rig.trytlsd(&[name, "--help"]).unwrap();
    assert_eq!(help.status, Some(0), "{command}: {help:?}");
    // A config that fits the host is made without one.
    let takes = help.stdout.contains("--config") && !args.contains(&"--write-config");
    if takes && !args.contains(&"--config") {
        args.splice(1..1, ["--config", "trytlsd.toml"]);
    }
    if name == "run" {
        let own = |arg: &&str| !["run", "--config", "trytlsd.toml"].contains(arg);
        let rest: Vec<&str> = args.into_iter().filter(own).collect();
        assert_eq!(rig.run_with(&rest).unwrap().stop().unwrap(), Some(0), "{command}");
        return;
    }
    let ran = rig.trytlsd(&args).unwrap();
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(ran.status.is_some_and(|status| status <= 2), "{command}: {ran:?}");
    assert!(!said.contains("Usage:") && !said.contains("panicked"), "{command}: {said}");
}

#[test]
fn every_command_of_ours_works() {
    let rig = Rig::new().unwrap();
    rig.write("mail.log", fs::read(need::repository().join("config/sample.log")).unwrap()).unwrap();
    let all = commands();
    assert!(all.len() > 10, "{all:?}");
    for command in all {
        let names = words(&command).len() == 2;
        match names || command.contains('[') && !command.contains('\'') {
            true => check_synopsis(&rig, &command),
            false => check_run(&rig, &command),
        }
    }
}

/// Commands of other programs that another test runs, or does the same as: the file, and what it says there.
const ELSEWHERE: [(&str, &str, &str); 8] = [
    ("apt install ./target/debian/trytlsd_*.deb", "tests/tests/first_hour.rs", "dpkg -i"),
    ("cargo build --release", "Makefile", "cargo build --quiet --release"),
    ("cargo run --release -p trytlsd -- scan '/var/log/mail.log*'", "tests/tests/scan.rs", "scan"),
    (
        "curl --unix-socket /run/trytlsd/control.sock http://localhost/v1/status",
        "tests/tests/control.rs",
        "/v1/status",
    ),
    (
        "echo 'dry_run = false' >/etc/trytlsd/trytlsd.d/armed.toml",
        "tests/tests/first_hour.rs",
        "The first hour",
    ),
    ("journalctl --unit=trytlsd", "tests/tests/first_hour.rs", "The first hour"),
    ("systemctl reload trytlsd", "tests/tests/first_hour.rs", "The first hour"),
    ("systemctl status trytlsd", "tests/tests/first_hour.rs", "The first hour"),
];

/// Programs that stand at the beginning of a command.
const PROGRAMS: [&str; 9] =
    ["apt", "cargo", "curl", "dpkg", "echo", "install", "journalctl", "sendmail", "systemctl"];

#[test]
fn commands_of_others_work() {
    let root = need::repository();
    let host = tempfile::tempdir().unwrap();
    let binary = tests::trytlsd::binary().unwrap();
    for folder in ["usr/bin", "etc/systemd/system"] {
        fs::create_dir_all(host.path().join(folder)).unwrap();
    }
    let mut installs = 0;
    for (name, text) in docs() {
        for command in blocks(&text) {
            let program = command.split(' ').next().unwrap();
            if !PROGRAMS.contains(&program) {
                continue;
            }
            if program == "install" {
                installs += 1;
                install(command, host.path(), &binary);
                continue;
            }
            let known = ELSEWHERE.iter().find(|(known, ..)| *known == command);
            let (_, file, says) =
                known.unwrap_or_else(|| panic!("{name}: no test runs: {command}"));
            let there = fs::read_to_string(root.join(file)).unwrap();
            assert!(there.contains(says), "{file} does not say {says:?} any more: {command}");
        }
    }
    assert_eq!(installs, 3);
    for file in
        ["usr/bin/trytlsd", "etc/trytlsd/trytlsd.toml", "etc/systemd/system/trytlsd.service"]
    {
        assert!(host.path().join(file).is_file(), "{file}");
    }
}

/// Runs a command that installs files, into a folder that stands for the host.
fn install(command: &str, host: &std::path::Path, binary: &std::path::Path) {
    let host = format!(" {}/", host.display());
    let command = command
        .replace(" /", &host)
        .replace("target/release/trytlsd", &binary.display().to_string());
    let ran = std::process::Command::new("sh")
        .args(["-euc", &command])
        .current_dir(need::repository())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{command}: {ran:?}");
}

/// The config that the page about fleets shows can be used as it stands.
#[test]
fn the_config_of_a_fleet_can_be_used() {
    let page = fs::read_to_string(need::repository().join("docs/fleet.md")).unwrap();
    let block = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let rig = Rig::new().unwrap();
    rig.write("fleet.toml", block).unwrap();
    let ran = rig.trytlsd(&["check-config", "--config", "fleet.toml", "--json"]).unwrap();
    let checked: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let keys = checked["keys"].as_array().unwrap();
    let target = keys.iter().find(|row| row["key"] == "[access] target").unwrap();
    assert_eq!(target["value"], "\"ldap\"");
    // Nothing that only a file has is missed.
    assert!(!ran.stdout.contains("makemap is"), "{}", ran.stdout);
}

#[test]
fn every_make_target_is_there() {
    let makefile = fs::read_to_string(need::repository().join("Makefile")).unwrap();
    let mut seen = 0;
    for (name, text) in docs() {
        let inline = spans(&text);
        for command in blocks(&text).map(str::to_owned).chain(inline) {
            let Some(target) = command.strip_prefix("make ") else { continue };
            let Some(target) = target.split_whitespace().next() else { continue };
            if target.starts_with('-') {
                continue; // Of another Makefile (make -C /etc/mail).
            }
            seen += 1;
            assert!(makefile.contains(&format!("\n{target}:")), "{name}: make {target}");
        }
    }
    assert!(seen > 3);
}
