//! The prover against a sendmail that prints what the real one printed, or does worse. The real one is asked in the
//! end-to-end tests.

#![expect(clippy::expect_used, reason = "a test may fail")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sendmail::prove::{Mta, Proof, Target, prove};

/// A program that runs this shell text.
fn fake(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("sendmail");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o755)
        .open(&path)
        .expect("script");
    write!(file, "#!/bin/sh\n{script}\n").expect("write");
    path
}

fn targets() -> Vec<Target> {
    [("mx.broken.example", Some("192.0.2.99")), ("[ipv6:2001:db8::1]", Some("2001:db8::1"))]
        .map(|(name, address)| {
            Target::new(name, address.map(|a| a.parse().expect("address"))).expect("plain")
        })
        .to_vec()
}

/// One fake at a time: a child that another test starts while a script is being written would hold the script open for
/// writing, and the kernel starts no such file (ETXTBSY).
static ONE: Mutex<()> = Mutex::new(());

fn ask(script: &str, timeout: Duration) -> Vec<Proof> {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = tempfile::tempdir().expect("folder");
    let program = fake(folder.path(), script);
    prove(&Mta { program: &program, cf: Path::new("/etc/mail/my.cf"), timeout }, &targets())
}

const LONG: Duration = Duration::from_secs(30);

fn why(script: &str, timeout: Duration) -> String {
    match ask(script, timeout).as_slice() {
        [Proof::NoAnswer { why }, Proof::NoAnswer { why: other }] if why == other => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run() {
    let answers = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/bt-answers.txt");
    let proofs = ask(&format!("cat > /dev/null; cat '{answers}'"), LONG);
    assert_eq!(proofs, [Proof::Matches, Proof::Matches]);
}

#[test]
fn what_it_is_asked() {
    let folder = tempfile::tempdir().expect("folder");
    let log = folder.path().join("log");
    ask(&format!("{{ echo \"$@\"; cat; }} > '{}'", log.display()), LONG);
    assert_eq!(
        fs::read_to_string(&log).expect("log"),
        "-C /etc/mail/my.cf -bt\n\
         .D{server_name}mx.broken.example\n.D{server_addr}192.0.2.99\ntry_tls mx.broken.example\n\
         .D{server_name}[ipv6:2001:db8::1]\n.D{server_addr}IPv6:2001:db8:0:0:0:0:0:1\n\
         try_tls [ipv6:2001:db8::1]\n"
    );
}

#[test]
fn no_answer_is_no_failure() {
    assert_eq!(why("exit 0", LONG), "no answer to be found in its output; exit status: 0");
    assert_eq!(
        why("echo broken >&2; exit 71", LONG),
        "no answer to be found in its output; broken"
    );
    assert_eq!(why("cat >/dev/null; echo Oops", LONG), "Oops");
    let killed = why("kill -9 $$", LONG);
    assert!(killed.contains("signal: 9"), "{killed}");
    let start = Instant::now();
    let hung = why("exec sleep 60", Duration::from_millis(200));
    assert!(hung.contains("did not end within 0.2 s and was killed (it waits 60 s"), "{hung}");
    assert!(start.elapsed() < Duration::from_secs(3));
    let none = Mta { program: Path::new("/nonexistent"), cf: Path::new("x"), timeout: LONG };
    assert!(matches!(&*prove(&none, &targets()), [Proof::NoAnswer { why }, _]
        if why.starts_with("cannot start /nonexistent: ")));
}

#[test]
fn nothing_to_ask() {
    let none = Mta { program: Path::new("/nonexistent"), cf: Path::new("x"), timeout: LONG };
    assert_eq!(prove(&none, &[]), []);
}
