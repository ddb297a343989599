//! trytlsd at each of three MTAs.

use std::time::Duration;

use tests::fleet::{CA, CLUSTER, Fleet, PASSWORD_FILE, bind_dn, servers};
use tests::mta::Mta;
use tests::peers::{Channel, Mode, Peer, Ptr};
use tests::slapd::BASE;
use tests::trytlsd::Trytlsd;
use tests::wait;

use super::SOON;

/// The entry for the peer that the stories break.
const ENTRY: &str = "Try_TLS:peer.mx.test NO";

/// One attempt is enough for a vote, and all else is quick: the directory is looked at each second, an agreement stands after
/// three, and peers are probed every other second.
fn config(number: usize) -> String {
    let [one, two] = servers();
    format!(
        "dry_run = false\n[policy]\nfailures = 1\nmin_span = \"0s\"\nnever = []\nprobe = false\n\
         [guards]\nweak_min_span = \"0s\"\nburst_relays = 0\nburst_share = 0\n\
         [entry]\nprobe_every = \"2s\"\n\
         [access]\ntarget = \"ldap\"\nlook_every = \"1s\"\n\
         [ldap]\nurls = [\"{one}\", \"{two}\"]\nbase = \"{BASE}\"\nbind_dn = \"{}\"\n\
         password_file = \"{PASSWORD_FILE}\"\nca_file = \"{CA}\"\ncluster = \"{CLUSTER}\"\n\
         [fleet]\nsettle = \"3s\"\nvote_ttl = \"30s\"\n",
        bind_dn(number)
    )
}

/// Three MTAs with a peer.
fn fleet(name: &str, mode: Mode) -> Option<Fleet> {
    let peer = Peer::new("peer", "127.0.0.11", mode).ptr(Ptr::Mx);
    Fleet::start_or_skip(name, 3, &[peer], &Mta::default())
}

/// trytlsd at each of them.
fn all(fleet: &Fleet) -> Vec<Trytlsd<'_>> {
    (1..=3).map(|number| fleet.run_trytlsd(number, &config(number)).unwrap()).collect()
}

/// Waits until these are the entries of the fleet.
fn wait_entries(fleet: &Fleet, expect: &[&str], daemons: &[Trytlsd<'_>]) {
    let there = || (fleet.entries().ok()? == expect).then_some(());
    wait::until(SOON, &format!("{expect:?}"), there).unwrap_or_else(|error| {
        let said: String = daemons.iter().map(|daemon| daemon.stderr() + "\n---\n").collect();
        panic!("{error:#}\nentries {:?}\nvotes {:#?}\n{said}", fleet.entries(), fleet.votes())
    });
}

/// A peer breaks for all: after the quorum one entry appears, and all deliver in clear without a rebuild. It is repaired: the
/// entry goes, and all use TLS again.
#[test]
fn a_peer_breaks_for_all_and_is_repaired() {
    let Some(fleet) = fleet("a_peer_breaks_for_all_and_is_repaired", Mode::Tls) else { return };
    let daemons = all(&fleet);
    fleet.breaks("peer").unwrap();

    // One MTA alone changes nothing.
    fleet.mta(1).send(&["u@peer.rcpt.test"]).unwrap();
    wait::until(SOON, "a vote", || (!fleet.votes().ok()?.is_empty()).then_some(())).unwrap();
    assert_eq!(fleet.entries().unwrap(), Vec::<String>::new());

    for number in [2, 3] {
        fleet.mta(number).send(&["u@peer.rcpt.test"]).unwrap();
    }
    wait_entries(&fleet, &[ENTRY], &daemons);
    fleet.wait_accepted(SOON, "peer", Channel::Clear, 1).unwrap();

    fleet.mends("peer").unwrap();
    wait_entries(&fleet, &[], &daemons);
    fleet.send("peer").unwrap();
    fleet.wait_accepted(SOON, "peer", Channel::Tls, 1).unwrap();
    fleet.settle().unwrap();
}

/// sendmail of one MTA alone breaks its own TLS: its trytlsd asks for an entry, and nobody agrees; nothing is ever written, and
/// the others use TLS all the while.
#[test]
fn a_fault_of_one_mta_alone_turns_nothing_off() {
    let Some(fleet) = fleet("a_fault_of_one_mta_alone_turns_nothing_off", Mode::Tls) else {
        return;
    };
    let daemons = all(&fleet);
    // It has never met the peer: no guard of its own speaks.
    for number in [2, 3] {
        fleet.mta(number).send(&["u@peer.rcpt.test"]).unwrap();
        fleet.mta(number).wait_accepted(SOON, "peer", Channel::Tls, 1).unwrap();
    }
    fleet.break_openssl(1).unwrap();
    for _ in 0..3 {
        fleet.mta(1).send(&["u@peer.rcpt.test"]).unwrap();
    }
    // It says what it sees, and the others that TLS works for them.
    let says = |mta: &str, part: &str| {
        let votes = fleet.votes().ok()?;
        votes.iter().any(|vote| vote.starts_with(mta) && vote.contains(part)).then_some(())
    };
    for (mta, part) in [("mta1", "says=broken"), ("mta2", "says=works"), ("mta3", "says=works")] {
        wait::until(SOON, &format!("{mta}: {part}"), || says(mta, part)).unwrap_or_else(|error| {
            let said: String = daemons.iter().map(|daemon| daemon.stderr() + "\n---\n").collect();
            panic!("{error:#}\n{:#?}\n{said}\n{}", fleet.votes(), fleet.mta(1).log())
        });
    }
    // An operator there is told what it waits for, and who objects.
    let shown = |args: &[&str]| {
        let output = tests::trytlsd::output(fleet.mta(1), args).unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let explained = shown(&["explain", "--no-dns", "peer.mx.test"]);
    assert!(explained.contains("fleet"), "{explained}");
    for words in ["mta1.example.org", "broken, needs Try_TLS:peer.mx.test", "TLS works with it"] {
        let listed = || shown(&["list", "--fleet"]);
        wait::until(SOON, words, || listed().contains(words).then_some(()))
            .unwrap_or_else(|error| panic!("{error:#}\n{}", listed()));
    }
    // A dry run beside the armed daemon has its name, and takes nothing of what it says away.
    let mut dry = Trytlsd::start(fleet.mta(1), &["run", "--dry-run"]).unwrap();
    dry.wait_says(SOON, "the directory answers").unwrap();
    // Much longer than an agreement takes.
    std::thread::sleep(Duration::from_secs(15));
    assert_eq!(says("mta1", "says=broken"), Some(()), "{:#?}", fleet.votes());
    dry.stop().unwrap();
    assert_eq!(fleet.entries().unwrap(), Vec::<String>::new());

    fleet.mend_openssl(1).unwrap();
    fleet.mta(1).wait_accepted(SOON, "peer", Channel::Tls, 3).unwrap();
    wait::until(SOON, "nothing said any more", || fleet.votes().ok()?.is_empty().then_some(()))
        .unwrap_or_else(|error| panic!("{error:#}\n{:#?}", fleet.votes()));
    assert_eq!(fleet.entries().unwrap(), Vec::<String>::new());
}

/// A directory server is killed in the middle of an agreement, and the other goes on; then both are gone for a while, and
/// nothing is lost: what was seen meanwhile is settled after their return.
#[test]
fn a_directory_server_is_killed_in_the_middle() {
    let Some(fleet) = fleet("a_directory_server_is_killed_in_the_middle", Mode::Garbage) else {
        return;
    };
    let mut daemons = all(&fleet);
    fleet.send("peer").unwrap();
    wait::until(SOON, "a vote", || (!fleet.votes().ok()?.is_empty()).then_some(())).unwrap();
    fleet.kill_directory(1).unwrap();
    wait_entries(&fleet, &[ENTRY], &daemons);
    fleet.wait_accepted(SOON, "peer", Channel::Clear, 1).unwrap();
    fleet.start_directory(1).unwrap();
    fleet.settle().unwrap();

    // Both are gone: the log is read on, and it is said that the directory is out of reach.
    for number in [1, 2] {
        fleet.kill_directory(number).unwrap();
    }
    for daemon in &mut daemons {
        daemon.wait_says(SOON, "it is tried again").unwrap();
    }
    fleet.mends("peer").unwrap();
    std::thread::sleep(Duration::from_secs(5));
    for number in [1, 2] {
        fleet.start_directory(number).unwrap();
    }
    // What probes found meanwhile is said now, and agreed on.
    wait_entries(&fleet, &[], &daemons);
    fleet.settle().unwrap();
    fleet.send("peer").unwrap();
    fleet.wait_accepted(SOON, "peer", Channel::Tls, 1).unwrap();
}

/// What the admin requires in the directory holds everywhere, an entry of his counts as in a file, and an operator's word on one
/// MTA sticks on all.
#[test]
fn the_admin_and_an_operator_are_heard_everywhere() {
    let name = "the_admin_and_an_operator_are_heard_everywhere";
    let Some(fleet) = fleet(name, Mode::Garbage) else { return };
    fleet
        .admin_writes(&format!("sendmailMTACluster: {CLUSTER}"), "TLS_Srv:peer.mx.test", "ENCR:112")
        .unwrap();
    let mut daemons = all(&fleet);
    fleet.send("peer").unwrap();
    for daemon in &mut daemons {
        daemon.wait_says(SOON, "held relay=peer.mx.test").unwrap();
        let why = "an entry in the directory says \"tls_srv:peer.mx.test\\tENCR:112\"";
        assert!(daemon.stderr().contains(why), "{}", daemon.stderr());
    }
    let shown = |number: usize, args: &[&str]| {
        let output = tests::trytlsd::output(fleet.mta(number), args).unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let doctor = shown(1, &["doctor", "--no-dns"]);
    for words in ["the access map is in LDAP", "the directory answers to mta1.example.org"] {
        assert!(doctor.contains(words), "{words}: {doctor}");
    }
    assert!(!doctor.contains("makemap is"), "nothing of a file: {doctor}");
    assert_eq!(fleet.entries().unwrap(), Vec::<String>::new());

    // He changes his mind.
    let dn = format!("dn: cn=TLS_Srv:peer.mx.test of {CLUSTER},{BASE}\nchangetype: delete\n\n");
    fleet.server(1).ldapmodify(&dn).unwrap();
    wait_entries(&fleet, &[ENTRY], &daemons);

    let lifted = shown(2, &["lift", "peer.mx.test"]);
    wait_entries(&fleet, &[], &daemons);
    let says = || {
        let votes = fleet.votes().ok()?;
        votes
            .iter()
            .any(|vote| vote.starts_with("mta2") && vote.contains("says=lifted"))
            .then_some(())
    };
    wait::until(SOON, "the operator's word", says)
        .unwrap_or_else(|error| panic!("{error:#}\n{lifted}\n{:#?}", fleet.votes()));
    fleet.send("peer").unwrap();
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(fleet.entries().unwrap(), Vec::<String>::new());
}
