//! Faults on purpose: kills and signals in the middle of each step of an update, a makemap that hangs, no room, a folder
//! that cannot be written, a clock that jumps. Whatever it is, nothing is lost, nothing is done twice, and the daemon
//! goes on when it is over.

// Failure points are in such builds only.
#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use rustix::process::Signal;
use tests::bed::{Bed, MAILLOG};
use tests::dns::{DnsServer, Zone};
use tests::lines::failure;
use tests::makemap::Makemap;
use tests::need;
use tests::rig::{ACCESS, Rig, Running};
use tests::trytlsd::Trytlsd;
use tests::wait;

const SOON: Duration = Duration::from_secs(20);

/// What failed for the map's sake is tried again every minute.
const RETRIED: Duration = Duration::from_secs(90);

const ARMED: &str = "dry_run = false\n[policy]\nfailures = 3\nmin_span = \"0s\"\n[guards]\nweak_min_span = \"0s\"\ntrusted_for = \"0s\"\nburst_relays = 0\nburst_share = 0\nmax_entries = 0\nmax_per_hour = 0\n";
const ENTRY: &str = "Try_TLS:192.0.2.1\tNO";
const ACTIVE: &str = "INFO active relay=mx.example.org";

/// A rig with a real map, and the name server that it asks.
fn rig(makemap: &str) -> (Rig, DnsServer) {
    let dns = DnsServer::start(Zone::new()).unwrap();
    let rig = Rig::new().unwrap();
    rig.config(ARMED).unwrap();
    let more = format!(
        "[access]\ntype = \"hash\"\nrebuild = \"replace\"\ntimeout = \"3s\"\nmakemap = {makemap:?}\n\
         [dns]\nservers = [\"{}\"]\n",
        dns.address()
    );
    rig.drop_in("more.toml", &more).unwrap();
    rig.write("mail.log", "").unwrap();
    (rig, dns)
}

/// Three failures of one relay.
fn fail(rig: &Rig) {
    for _ in 0..3 {
        rig.append("mail.log", failure("mx.example.org", "192.0.2.1")).unwrap();
    }
}

/// The entry is there once, the admin's lines are as they were, and the map says the same.
fn is_whole(rig: &Rig, makemap: &Makemap) {
    let text = rig.read("access");
    assert!(text.starts_with(ACCESS), "{text}");
    assert_eq!(text.matches(ENTRY).count(), 1, "{text}");
    let map = makemap.dump(rig.folder()).unwrap();
    assert_eq!(map.len(), 3, "{map:?}");
    assert!(map.iter().any(|line| line.eq_ignore_ascii_case(ENTRY)), "{map:?}");
}

fn makemap(test: &str) -> Option<Makemap> {
    let found = Makemap::find();
    if found.is_none() {
        need::skip(test, "there is no makemap, and none could be unpacked");
    }
    found
}

/// The daemon with a failure point, to the end of what it does: killed there, or the entry is active.
fn run_into(rig: &Rig, fault: &str) -> Running {
    rig.run_env(&[("TRYTLSD_FAIL", fault)]).unwrap()
}

#[test]
fn a_kill_at_each_step_of_an_update() {
    let Some(makemap) = makemap("a_kill_at_each_step_of_an_update") else { return };
    let mut killed = BTreeSet::new();
    for point in map_store::POINTS {
        let (rig, _dns) = rig(makemap.path.to_str().unwrap());
        makemap.build(rig.folder()).unwrap();
        let mut running = run_into(&rig, &format!("{point}=kill"));
        fail(&rig);
        let ended = wait::until(SOON, "an entry or a death", || {
            let ended = running.ended().map(|status| status.signal() == Some(9));
            ended.or_else(|| running.stderr().contains(ACTIVE).then_some(false))
        });
        if ended.unwrap() {
            killed.insert(point);
        }
        drop(running);
        let mut running = rig.run().unwrap();
        // Said by the first or by the second, where it was not committed before the kill.
        wait::until(SOON, point, || rig.read("access").contains(ENTRY).then_some(())).unwrap();
        running.wait_says("following").unwrap();
        assert_eq!(running.stop().unwrap(), Some(0));
        is_whole(&rig, &makemap);
        let left = fs::read_dir(rig.folder()).unwrap().flatten();
        let left = left.filter(|e| e.file_name().to_string_lossy().starts_with(".trytlsd"));
        assert_eq!(left.count(), 0, "{point}");
    }
    // The others are on the ways of failing, of other kinds of rebuilding, and of what was left by a kill.
    assert!(killed.len() >= 10, "{killed:?}");
}

/// SIGHUP and SIGTERM while the map is being changed: the change is finished, the end is clean.
#[test]
fn signals_in_the_middle_of_an_update() {
    let Some(makemap) = makemap("signals_in_the_middle_of_an_update") else { return };
    for point in ["text-prepared", "map-built", "text-replaced", "map-replaced"] {
        let (rig, _dns) = rig(makemap.path.to_str().unwrap());
        makemap.build(rig.folder()).unwrap();
        let mut running = run_into(&rig, &format!("{point}=pause:1000"));
        fail(&rig);
        running.wait_says("candidate relay=mx.example.org").unwrap();
        std::thread::sleep(Duration::from_millis(300));
        running.signal(Signal::HUP).unwrap();
        running.wait_says("read the config again").unwrap();
        assert_eq!(running.stop().unwrap(), Some(0), "{point}");
        is_whole(&rig, &makemap);
        let mut running = rig.run().unwrap();
        running.wait_says(ACTIVE).unwrap();
        assert_eq!(running.stop().unwrap(), Some(0));
        is_whole(&rig, &makemap);
    }
}

/// The daemon is killed while makemap hangs, and ended while it does.
#[test]
fn an_end_while_makemap_hangs() {
    let Some(real) = makemap("an_end_while_makemap_hangs") else { return };
    for signal in [Signal::KILL, Signal::TERM] {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("makemap");
        let (rig, _dns) = rig(script.to_str().unwrap());
        real.build(rig.folder()).unwrap();
        rig.write("wrapper", "").unwrap();
        let text = format!(
            "#!/bin/sh\nif [ -e {0}/hang ]; then touch {0}/hangs; exec sleep 60; fi\nexec {1} \"$@\"\n",
            folder.path().display(),
            real.path.display()
        );
        put(&script, &text);
        let mut running = rig.run().unwrap();
        put(&folder.path().join("hang"), "");
        fail(&rig);
        let hangs = folder.path().join("hangs");
        wait::until(SOON, "makemap to hang", || hangs.exists().then_some(())).unwrap();
        running.signal(signal).unwrap();
        running.wait_end(SOON).unwrap();
        assert_eq!(rig.read("access"), ACCESS);
        fs::remove_file(folder.path().join("hang")).unwrap();
        let mut running = rig.run().unwrap();
        running.wait_says(ACTIVE).unwrap();
        assert_eq!(running.stop().unwrap(), Some(0));
        is_whole(&rig, &real);
    }
}

/// The map is mended at the start, and makemap hangs: that does not hold up the end.
#[test]
fn an_end_while_the_start_mends_the_map() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("makemap");
    let hangs = folder.path().join("hangs");
    put(&script, &format!("#!/bin/sh\ntouch {}\nexec sleep 60\n", hangs.display()));
    let (rig, _dns) = rig(script.to_str().unwrap());
    rig.drop_in("patience.toml", "[access]\ntimeout = \"60s\"\n").unwrap();
    let mut running = rig.run_env(&[]).unwrap();
    wait::until(SOON, "makemap to hang", || hangs.exists().then_some(())).unwrap();
    running.signal(Signal::TERM).unwrap();
    assert_eq!(running.wait_end(SOON).unwrap().code(), Some(0));
    assert_eq!(rig.read("access"), ACCESS);
}

#[expect(clippy::disallowed_methods, reason = "files that nobody reads meanwhile")]
fn put(path: &std::path::Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Three failures in the bed's log.
fn fail_in(bed: &Bed, relay: &str, address: &str) {
    bed.namespace().write("/run/more", failure(relay, address).repeat(3)).unwrap();
    bed.sh(&format!("cat /run/more >>{MAILLOG}")).unwrap();
}

/// The bed, with a small file system of its own over the folder.
fn small(test: &str, folder: &str) -> Option<Bed> {
    let bed = Bed::new().start_or_skip(test)?;
    bed.sh(&format!("mkdir -p {folder} && mount -t tmpfs -o size=12m,mode=755 tmpfs {folder}"))
        .unwrap();
    Some(bed)
}

/// Relays that fail while the ledger's file system is full.
const FAILING: std::ops::RangeInclusive<u8> = 1..=40;

/// Fills the ledger's file system, and has relays fail, until the daemon says that it cannot go on.
fn fill_up(bed: &Bed, trytlsd: &mut Trytlsd<'_>) {
    bed.sh("dd if=/dev/zero of=/var/lib/trytlsd/fill bs=1k 2>/dev/null || true").unwrap();
    for n in FAILING {
        fail_in(bed, &format!("mx{n}.example.org"), &format!("192.0.2.{n}"));
    }
    trytlsd.wait_says(SOON, "no space left to write to the ledger").unwrap();
}

/// Each of them has its entry, once.
fn all_active(bed: &Bed, trytlsd: &mut Trytlsd<'_>) {
    for n in FAILING {
        trytlsd.wait_says(SOON, &format!("INFO active relay=mx{n}.example.org")).unwrap();
    }
    assert_eq!(bed.access().matches("Try_TLS:192.0.2.").count(), FAILING.count());
}

/// While the ledger takes nothing nothing is done; when it does, all that was logged meanwhile is.
#[test]
fn no_room_for_the_ledger() {
    let Some(bed) = small("no_room_for_the_ledger", "/var/lib/trytlsd") else { return };
    let mut trytlsd = Trytlsd::run(&bed, ARMED).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    fill_up(&bed, &mut trytlsd);
    bed.sh("rm /var/lib/trytlsd/fill").unwrap();
    trytlsd.wait_says(SOON, "the ledger takes commits again").unwrap();
    all_active(&bed, &mut trytlsd);
    assert!(trytlsd.stop().unwrap().success());
}

/// A ledger without room does not hold up the end.
#[test]
fn an_end_without_room_for_the_ledger() {
    let Some(bed) = small("an_end_without_room_for_the_ledger", "/var/lib/trytlsd") else { return };
    let mut trytlsd = Trytlsd::run(&bed, ARMED).unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    fill_up(&bed, &mut trytlsd);
    trytlsd.signal("TERM").unwrap();
    assert!(trytlsd.wait_end(SOON).unwrap().success());
    bed.sh("rm /var/lib/trytlsd/fill").unwrap();
    let mut trytlsd = Trytlsd::run(&bed, ARMED).unwrap();
    all_active(&bed, &mut trytlsd);
}

/// The folder of the access map is full, or becomes read-only: the file stays as it is, and it is tried again.
#[test]
fn no_room_and_no_right_for_the_map() {
    let faults = [
        ("dd if=/dev/zero of=/srv/mail/fill bs=1k 2>/dev/null || true", "rm /srv/mail/fill"),
        ("mount -o remount,ro /srv/mail", "mount -o remount,rw /srv/mail"),
    ];
    std::thread::scope(|scope| {
        for (begin, end) in faults {
            scope.spawn(move || {
                let test = "no_room_and_no_right_for_the_map";
                let Some(bed) = small(test, "/srv/mail") else { return };
                bed.sh("cp /etc/mail/access /srv/mail/ && makemap hash /srv/mail/access </srv/mail/access").unwrap();
                let access = "[access]\nfile = \"/srv/mail/access\"\nmap = \"/srv/mail/access\"\ntype = \"hash\"\n";
                let mut trytlsd = Trytlsd::run(&bed, &format!("{ARMED}{access}")).unwrap();
                trytlsd.wait_says(SOON, "following").unwrap();
                let before = bed.namespace().read("/srv/mail/access");
                bed.sh(begin).unwrap();
                fail_in(&bed, "mx.example.org", "192.0.2.1");
                trytlsd.wait_says(SOON, "the map could not be changed").unwrap();
                assert_eq!(bed.namespace().read("/srv/mail/access"), before);
                bed.sh(end).unwrap();
                trytlsd.wait_says(RETRIED, ACTIVE).unwrap();
                let after = bed.namespace().read("/srv/mail/access");
                assert_eq!(after.matches(ENTRY).count(), 1, "{after}");
                assert!(trytlsd.stop().unwrap().success());
            });
        }
    });
}

/// The clock is set forth and back. What is out of the window by the clock of the moment does not count, nor does what is
/// yet to come; nothing ends, and by the right clock all goes on.
#[test]
fn a_clock_that_jumps() {
    let test = "a_clock_that_jumps";
    let Some(bed) = Bed::new().start_or_skip(test) else { return };
    let set = |clock: &str| bed.namespace().write("/run/clock", format!("{clock}\n")).unwrap();
    let once = |relay: &str, address: &str| {
        bed.namespace().write("/run/more", failure(relay, address)).unwrap();
        bed.sh(&format!("cat /run/more >>{MAILLOG}")).unwrap();
    };
    // The log is looked at once a second in the bed: so long until a line is taken, and then committed.
    let taken = || std::thread::sleep(Duration::from_secs(3));
    set("+0");
    let mut trytlsd = Trytlsd::run_by(&bed, ARMED, "/run/clock").unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    once("mx1.example.org", "192.0.2.1");
    once("mx1.example.org", "192.0.2.1");
    once("mx2.example.org", "192.0.2.2");
    taken();
    set("+400d");
    once("mx1.example.org", "192.0.2.1");
    once("mx2.example.org", "192.0.2.2");
    taken();
    assert_eq!(bed.access().matches("Try_TLS:192.0.2.").count(), 0);
    set("+0");
    once("mx2.example.org", "192.0.2.2");
    taken();
    assert_eq!(bed.access().matches("Try_TLS:192.0.2.").count(), 0, "one to come does not count");
    set("-400d");
    once("mx2.example.org", "192.0.2.2");
    taken();
    assert_eq!(bed.access().matches("Try_TLS:192.0.2.").count(), 0);
    set("+0");
    for _ in 0..3 {
        once("mx1.example.org", "192.0.2.1");
    }
    trytlsd.wait_says(SOON, "INFO active relay=mx1.example.org").unwrap();
    assert!(!bed.access().contains("Try_TLS:192.0.2.2"));
    assert!(trytlsd.stop().unwrap().success());
    // A start by a clock that is wrong forgets nothing.
    set("+400d");
    let mut late = Trytlsd::run_by(&bed, ARMED, "/run/clock").unwrap();
    late.wait_says(SOON, "following").unwrap();
    let year = |text: String| text.split('-').next().map(str::to_owned);
    assert_ne!(year(late.stderr()), year(failure("", "")), "the clock is the right one");
    assert!(late.stop().unwrap().success());
    set("+0");
    let mut trytlsd = Trytlsd::run_by(&bed, ARMED, "/run/clock").unwrap();
    trytlsd.wait_says(SOON, "following").unwrap();
    once("mx3.example.org", "192.0.2.3");
    once("mx3.example.org", "192.0.2.3");
    once("mx3.example.org", "192.0.2.3");
    trytlsd.wait_says(SOON, "INFO active relay=mx3.example.org").unwrap();
    assert_eq!(bed.access().matches("Try_TLS:192.0.2.").count(), 2);
    assert!(trytlsd.stop().unwrap().success());
}
