//! `kill -9` at any moment: what was acknowledged is there, nothing is half there, nothing is counted twice.
//!
//! The test runs its own program as a daemon would be: it opens the ledger, goes on from what it holds, and commits in a
//! loop, a place with the counters that belong to it; it says so after each commit. After the kill the ledger is opened
//! again, and then the next daemon.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod rig;

use std::env;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use ledger::{Batch, Limits, Loaded};
use rig::{Rig, at_place, happening, now, one_test, put, relay, success};

const LEDGER: &str = "LEDGER_TEST_KILLED";

/// How often it is killed.
const KILLS: u64 = 200;

/// Relays that the counts are spread over.
const RELAYS: usize = 7;

/// Commits from the next number on, for ever.
#[test]
fn commits_until_killed() {
    let Some(path) = env::var_os(LEDGER) else { return };
    // Few rows, so that the purge is at work all the time.
    let limits = Limits { rows: 100, ..Limits::default() };
    let (ledger, loaded) = ledger::open_with(Path::new(&path), now(), limits).unwrap();
    let (mut n, mut counts) = counted(&loaded);
    let mut out = std::io::stdout();
    loop {
        n += 1;
        counts[n % RELAYS] += 1;
        let seen = i64::try_from(n).unwrap();
        let mut change = relay(&format!("mx{}", n % RELAYS), seen, &counts[n % RELAYS].to_string());
        change.stays = true;
        let batch = Batch {
            pending: vec![("/var/log/mail.log".into(), n.to_string() + &"x".repeat(n % 9000))],
            relays: vec![change],
            successes: (0..3)
                .map(|i| (format!("s{}", (n + i) % 300), Some(success(seen))))
                .collect(),
            notes: vec![("third".into(), (n % 3 == 2).then(|| n.to_string()))],
            history: vec![happening(now(), None, &n.to_string())],
            ..at_place(&n.to_string())
        };
        ledger.commit(batch).wait().unwrap();
        writeln!(out, "committed {n}").unwrap();
    }
}

/// The number that the place says, and the counts of the relays. All rows are in step.
fn counted(loaded: &Loaded) -> (usize, [usize; RELAYS]) {
    let n: usize = loaded.places.first().map_or(0, |(_, place)| place.parse().unwrap());
    let mut counts = [0; RELAYS];
    for (relay, record) in &loaded.relays {
        counts[relay.strip_prefix("mx").unwrap().parse::<usize>().unwrap()] =
            record.parse().unwrap();
    }
    let expect: Vec<usize> =
        (0..RELAYS).map(|r| (1..=n).filter(|n| n % RELAYS == r).count()).collect();
    assert_eq!(counts[..], expect, "the place is {n}");
    let pending = loaded.pending.first().map_or("0", |(_, pending)| pending.trim_end_matches('x'));
    assert_eq!(pending, n.to_string());
    let notes: Vec<_> = loaded.notes.iter().map(|(_, note)| note.clone()).collect();
    let expect: Vec<_> = (n % 3 == 2).then(|| n.to_string()).into_iter().collect();
    assert_eq!(notes, expect, "the place is {n}");
    (n, counts)
}

fn start(path: &Path) -> Child {
    let this = env::current_exe().unwrap();
    one_test(this.to_str().unwrap(), &[], "commits_until_killed")
        .env(LEDGER, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the child within so many milliseconds.
fn kill_within(child: &mut Child, ms: u64, random: u64) {
    sleep(Duration::from_micros(random % (ms * 1000)));
    child.kill().unwrap();
    // One that failed by itself is no test.
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn killed_while_it_begins_anew() {
    let garbage = b"garbage, garbage, garbage, garbage";
    let random = RandomState::new();
    for kill in 0..60 {
        let rig = Rig::new();
        let broken = kill % 2 == 1;
        if broken {
            put(&rig.path(), garbage);
        }
        kill_within(&mut start(&rig.path()), 15, random.hash_one(kill));
        let loaded = rig.load();
        counted(&loaded);
        // Set aside by the one that was killed or by this one, and by one only.
        let names = rig.names().into_iter().filter(|name| name.contains("broken"));
        let aside: Vec<_> = names.map(|name| std::fs::read(rig.file(&name)).unwrap()).collect();
        assert!(aside.iter().eq(broken.then_some(garbage.as_slice()).iter()), "{aside:?}");
        assert!(broken || loaded.set_aside.is_none());
    }
}

#[test]
fn nothing_is_lost_and_nothing_is_half_there() {
    let rig = Rig::new();
    let random = RandomState::new();
    let (mut least, mut most, mut during_open) = (0, 0, 0);
    for kill in 0..KILLS {
        let mut child = start(&rig.path());
        // Some within the opening, most later.
        kill_within(&mut child, 60, random.hash_one(kill));
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let told = whole.lines().filter_map(|line| line.split_once("committed "));
        let told: Option<usize> = told.map(|(_, n)| n.parse().unwrap()).next_back();
        during_open += u32::from(told.is_none());
        // One commit may have been made and not told, by each that was killed.
        (least, most) = told.map_or((least, most + 1), |told| (told, told + 1));
        // Every other time the next daemon finds what the kill has left, without an opening in between.
        if kill % 2 == 0 {
            let (ledger, loaded) = rig.open();
            assert_eq!(loaded.set_aside, None);
            let (n, _) = counted(&loaded);
            assert!((least..=most).contains(&n), "at least {least} were told, not {n}");
            (least, most) = (n, n);
            let history = ledger.history(None, now(), 1000).wait().unwrap();
            let expect = (1 + n.saturating_sub(100)..=n).map(|n| n.to_string());
            assert!(history.into_iter().map(|h| h.detail).eq(expect), "the place is {n}");
            ledger.close().wait().unwrap();
        }
    }
    rig.load();
    assert_eq!(rig.names(), ["ledger.db", "ledger.db.lock"]);
    // Past the capture of the test harness: a figure.
    let said = writeln!(
        std::io::stderr(),
        "{KILLS} kills, {during_open} of them before the first commit; {least} commits; 0 lost"
    );
    said.unwrap();
    assert!(least > 20, "too few commits for a test: {least}");
}
