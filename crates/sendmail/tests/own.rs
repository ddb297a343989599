//! The host's own names, asked of programs that are no sendmail, and of the real one in the bed's root.

#![expect(clippy::expect_used, reason = "a test may fail")]

use std::env;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sendmail::own::{Own, ask};
use sendmail::prove::Mta;

const LONG: Duration = Duration::from_secs(60);

/// One script at a time: a child that another test starts while it is being written would hold it open (ETXTBSY).
static ONE: Mutex<()> = Mutex::new(());

/// Asks a program that runs this shell text.
fn answer(script: &str, timeout: Duration) -> Result<Own, String> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("folder");
    let program = folder.path().join("sendmail");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o755).open(&program).expect("script");
    write!(file, "#!/bin/sh\n{script}\n").expect("write");
    drop(file);
    ask(&Mta { program: &program, cf: Path::new("/etc/mail/sendmail.cf"), timeout })
}

fn why(script: &str, timeout: Duration) -> String {
    answer(script, timeout).expect_err("no answer")
}

#[test]
fn what_is_no_answer() {
    assert_eq!(why("exit 0", LONG), "sendmail -bt ended before it had answered");
    assert_eq!(why("echo broken >&2; exit 71", LONG), "broken");
    assert_eq!(why("exit 71", LONG), "exit status: 71");
    let hung = why("exec sleep 60", Duration::from_millis(200));
    assert!(hung.contains("did not end within 0.2 s and was killed"), "{hung}");
    let none = Mta { program: Path::new("/nonexistent"), cf: Path::new("x"), timeout: LONG };
    assert!(ask(&none).expect_err("none").starts_with("cannot start /nonexistent: "));
    // Without an end.
    let flood = why("echo '> a'; echo '> a'; yes | head -c 3000000; printf '> '", LONG);
    assert!(flood.starts_with("sendmail -bt "), "{flood}");
}

#[test]
fn what_it_is_asked() {
    let answers = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/bt-own.txt");
    let script = format!(
        "[ \"$*\" = '-C /etc/mail/sendmail.cf -bt' ] && [ \"$(cat)\" = '$j\n$=w' ] && cat '{answers}'"
    );
    let own = answer(&script, LONG).expect("answers");
    assert_eq!(own.names().collect::<Vec<_>>(), ["lab", "lab.example.test", "localhost"]);
}

#[test]
fn the_real_one() {
    let is_root = rustix::process::geteuid().is_root();
    let root = env::var_os("TESTBED_ROOT").map(PathBuf::from).filter(|_| is_root);
    let Some(root) = root else {
        let said = "skipped: the_real_one: it needs root, and TESTBED_ROOT (tests/bed/with bed)";
        writeln!(io::stderr(), "{said}").expect("stderr");
        // Tests of this crate are given the bed only where root runs them.
        let must = is_root && env::var("CI").as_deref() == Ok("true");
        assert!(!must, "CI=true, and it was to be skipped");
        return;
    };
    let script = format!(
        "exec unshare -u -n -- sh -c 'hostname lab.example.test; ip link set lo up
         exec chroot \"$0\" /usr/sbin/sendmail \"$@\"' '{}' \"$@\"",
        root.display()
    );
    let own = answer(&script, LONG).expect("answers");
    assert!(own.contains("lab.example.test") && own.contains("localhost"), "{own:?}");
    assert!(!own.contains("127.0.0.1") && !own.contains("mx.example.org"), "{own:?}");
}
