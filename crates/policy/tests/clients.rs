//! Clients of ours: who counts, what holds, what is written, and what others do to it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use maillog::event::{Cause, CauseKind, Client, What};
use policy::approval::Approval;
use policy::clients::{Became, Client as Known, ClientKey, ClientNews};
use policy::fact::Answer;
use policy::host::Host;
use policy::input::{Input, Look, MapState, Proof, Request};
use policy::never::NeverList;
use policy::rules::{Receiving, Rules};
use policy::state::State;
use story::{Story, admin, entry};

const ADDRESS: &str = "192.0.2.50";
const ACTIVE: [&str; 4] = [
    "client 192.0.2.50: candidate 3 in 6h",
    "+ Srv_Features:192.0.2.50\tS until true",
    "client 192.0.2.50: active Srv_Features:192.0.2.50",
    "prove client 192.0.2.50 cl1.ptr.test",
];

fn rules() -> Rules {
    Rules { receiving: Some(Receiving::default()), ..Rules::default() }
}

fn client(address: &str) -> Client<'static> {
    let name = Some("cl1.ptr.test".into());
    Client { name, address: address.parse().unwrap(), may_be_forged: false }
}

fn fails_with(story: &mut Story, address: &str, kind: CauseKind, reason: &'static str) {
    story.event(What::ClientFailed(client(address), Cause { kind, reason: reason.into() }));
}

fn fails(story: &mut Story, address: &str) {
    fails_with(story, address, CauseKind::Handshake, "wrong version number");
}

/// Three broken handshakes, the last so many minutes after the first.
fn three(story: &mut Story, address: &str, span: i64) {
    fails(story, address);
    story.wait(span / 2);
    fails(story, address);
    story.wait(span - span / 2);
    fails(story, address);
}

fn active() -> Story {
    let mut story = Story::new(rules());
    three(&mut story, ADDRESS, 360);
    story.expect(&ACTIVE);
    story
}

#[test]
fn a_stranger_must_try_for_hours() {
    let mut story = Story::new(rules());
    three(&mut story, ADDRESS, 350);
    story.expect(&[]).wait(10);
    fails(&mut story, ADDRESS);
    story.expect(&["client 192.0.2.50: candidate 4 in 6h", ACTIVE[1], ACTIVE[2], ACTIVE[3]]);
    fails(&mut story, ADDRESS);
    story.expect(&[]);
}

#[test]
fn one_that_has_delivered_needs_no_more_than_a_relay() {
    let mut story = Story::new(rules());
    story.event(What::ClientDelivered(client(ADDRESS))).wait(60);
    three(&mut story, ADDRESS, 30);
    story.expect(&["client 192.0.2.50: candidate 3 in 30m", ACTIVE[1], ACTIVE[2], ACTIVE[3]]);
}

#[test]
fn who_speaks_http_never_counts() {
    let mut story = Story::new(rules());
    for _ in 0..10 {
        fails_with(&mut story, ADDRESS, CauseKind::Handshake, "http request");
        fails_with(&mut story, ADDRESS, CauseKind::Handshake, "https proxy request");
        story.wait(60);
    }
    story.expect(&[]);
    assert!(story.state.clients().get(ADDRESS.parse().unwrap()).is_none());
}

#[test]
fn off_means_that_nothing_is_known() {
    let mut story = Story::new(Rules::default());
    three(&mut story, ADDRESS, 360);
    story.event(What::ClientDelivered(client(ADDRESS))).expect(&[]);
    assert!(story.state.clients().get(ADDRESS.parse().unwrap()).is_none());
}

#[test]
fn who_gets_through_needs_nothing() {
    type Through = fn(Client<'static>) -> What<'static>;
    for through in [What::ClientDelivered as Through, What::ClientSucceeded] {
        let mut story = Story::new(rules());
        fails(&mut story, ADDRESS);
        story.wait(180);
        fails(&mut story, ADDRESS);
        story.wait(1).event(through(client(ADDRESS)));
        story.expect(&["client 192.0.2.50: cleared"]).wait(179);
        fails(&mut story, ADDRESS);
        story.expect(&[]);
    }
}

#[test]
fn one_whose_tls_worked_lately_must_fail_for_days() {
    let mut story = Story::new(rules());
    story.event(What::ClientSucceeded(client(ADDRESS))).wait(60);
    three(&mut story, ADDRESS, 360);
    let worked = "held TLS with the client worked at 2027-01-15T08:00:00Z; it must fail for 72h without a success, so far 6h";
    story
        .expect(&["client 192.0.2.50: candidate 3 in 6h", &format!("client 192.0.2.50: {worked}")]);
    for _ in 0..6 {
        story.wait(660);
        fails(&mut story, ADDRESS);
    }
    story.expect(&ACTIVE[1..]);
}

#[test]
fn resets_are_weak() {
    let mut story = Story::new(rules());
    story.event(What::ClientDelivered(client(ADDRESS))).wait(60);
    for _ in 0..3 {
        fails_with(&mut story, ADDRESS, CauseKind::Network, "unexpected eof while reading");
        story.wait(60);
    }
    let told = story.told.join("\n");
    assert!(told.contains("held only 0 of 3 attempts are more than resets"), "{told}");
}

/// What the admin, the config or the host itself says holds; each is told with the fact that it rests on.
#[test]
fn guards() {
    let check = |prepare: &dyn Fn(&mut State), address: &str, says: &str| {
        let mut story = Story::new(rules());
        prepare(&mut story.state);
        three(&mut story, address, 360);
        let told = story.told.join("\n");
        assert!(told.contains(says) && !told.contains('+'), "{says}: {told}");
    };
    let admins = |text: &'static str| move |s: &mut State| s.set_admin(Answer::Known(admin(text)));
    for line in [
        "Srv_Features:192.0.2.50 V",
        "Srv_Features:192.0.2 S",
        "Srv_Features:cl1.ptr.test s",
        "Srv_Features:ptr.test V",
        "srv_features: V",
    ] {
        let text: &'static str = Box::leak(format!("# x\n{line}\n").into_boxed_str());
        let says = format!(
            "the admin's own Srv_Features: entry covers it: line 2 of the access file says {line:?}"
        );
        check(&admins(text), ADDRESS, &says);
    }
    check(
        &admins("TLS_Clt:192.0.2.50 ENCR:112\n"),
        ADDRESS,
        "TLS is required of the client: line 1",
    );
    check(
        &|s| s.set_admin(Answer::Unknown("no right".into())),
        ADDRESS,
        "the access file is unknown: no right",
    );
    let never = |item: &'static str| {
        move |s: &mut State| {
            let never = NeverList(vec![item.parse().unwrap()]);
            s.set_rules(Rules { never, ..rules() });
        }
    };
    check(&never("192.0.2.0/24"), ADDRESS, "the never-list has 192.0.2.0/24");
    check(&never("ptr.test"), ADDRESS, "the never-list has ptr.test");
    check(&never("10.0.0.0/8"), "127.0.0.5", "127.0.0.5 is this host's own name");
    check(&never("10.0.0.0/8"), "::ffff:127.0.0.5", "127.0.0.5 is this host's own name");
    check(&never("192.0.2.0/24"), "::ffff:192.0.2.50", "the never-list has 192.0.2.0/24");
    check(&admins("Srv_Features:192.0.2 V\n"), "::ffff:192.0.2.50", "Srv_Features: entry covers");
    let own = |s: &mut State| {
        let own = Answer::Known(["cl1.ptr.test".into()].into());
        s.set_host(Host { own, ..Host::NOT_ASKED });
    };
    check(&own, ADDRESS, "cl1.ptr.test is this host's own name");
    let unknown = |s: &mut State| {
        s.set_host(Host { own: Answer::Unknown("no cf".into()), ..Host::NOT_ASKED });
    };
    check(&unknown, ADDRESS, "this host's own names are unknown: no cf");
    let full = |s: &mut State| {
        let guards = policy::rules::Guards { max_per_hour: 1, ..Default::default() };
        s.set_rules(Rules { guards, ..rules() });
        s.note_made("2027-01-15T13:30:00Z".parse().unwrap());
    };
    check(&full, ADDRESS, "1 entries were made within an hour");
    let forged = |s: &mut State| s.set_admin(Answer::Known(admin("Srv_Features:192.0.3 S\n")));
    let mut story = Story::new(rules());
    forged(&mut story.state);
    three(&mut story, ADDRESS, 360);
    story.expect(&ACTIVE);
}

/// Known clients that fail together: it is our certificate, and no client's fault.
#[test]
fn many_at_once_are_our_own_fault() {
    let mut story = Story::new(rules());
    for n in 1..=6 {
        story.event(What::ClientDelivered(client(&format!("192.0.2.{n}"))));
    }
    story.wait(60);
    for _ in 0..3 {
        for n in 1..=6 {
            fails(&mut story, &format!("192.0.2.{n}"));
        }
        story.wait(20);
    }
    let told = std::mem::take(&mut story.told).join("\n");
    assert!(
        told.contains("held the fault seems to be ours: within an hour 6 of 6 known"),
        "{told}"
    );
    assert!(!told.contains('+'), "{told}");
    // Strangers fail all day, and say nothing of us.
    let mut story = Story::new(rules());
    for n in 1..=30 {
        fails(&mut story, &format!("192.0.2.{n}"));
    }
    story.event(What::ClientDelivered(client("192.0.2.99"))).wait(1);
    three(&mut story, "192.0.2.99", 30);
    let told = story.told.join("\n");
    assert!(told.contains("active Srv_Features:192.0.2.99"), "{told}");
}

#[test]
fn keys() {
    let check =
        |name: &'static str, may_be_forged: bool, address: &str, key: ClientKey, expect: &str| {
            let receiving = Some(Receiving { key, ..Receiving::default() });
            let mut story = Story::new(Rules { receiving, ..Rules::default() });
            for _ in 0..3 {
                let address = address.parse().unwrap();
                let client = Client { name: Some(name.into()), address, may_be_forged };
                let cause = Cause { kind: CauseKind::Handshake, reason: "x".into() };
                story.event(What::ClientFailed(client, cause)).wait(180);
            }
            let told = story.told.join("\n");
            assert!(told.contains(&format!("+ Srv_Features:{expect}\tS")), "{expect}: {told}");
        };
    use ClientKey::{Address, Name};
    check("cl1.ptr.test", false, ADDRESS, Address, ADDRESS);
    check("CL1.ptr.test", false, ADDRESS, Name, "cl1.ptr.test");
    check("cl1.ptr.test", true, ADDRESS, Name, ADDRESS);
    check("ptr.test", false, ADDRESS, Name, ADDRESS);
    check("a b.ptr.test", false, ADDRESS, Name, ADDRESS);
    check("[192.0.2.9]", false, ADDRESS, Name, ADDRESS);
    check("cl1.ptr.test", false, "fd00:1ab::41", Address, "IPv6:fd00:1ab:0:0:0:0:0:41");
    check("cl1.ptr.test", false, "::ffff:192.0.2.50", Address, ADDRESS);
}

#[test]
fn its_time_ends_and_tls_is_offered_again() {
    let mut story = active();
    story.wait(30 * 24 * 60 - 1).input(Input::Tick).expect(&[]);
    let expired = "client 192.0.2.50: expired Srv_Features:192.0.2.50";
    story.wait(1).input(Input::Tick).expect(&[expired, "- Srv_Features:192.0.2.50"]);
    story.wait(1).input(Input::Tick).expect(&[]);
    three(&mut story, ADDRESS, 360);
    story.expect(&ACTIVE);
}

#[test]
fn what_cannot_be_taken_out_is_asked_for_again() {
    let mut story = active();
    story.map_fails = true;
    story.wait(30 * 24 * 60).input(Input::Tick);
    story.wait(1).input(Input::Tick);
    story.map_fails = false;
    story.wait(1).input(Input::Tick).wait(1).input(Input::Tick);
    let out = "- Srv_Features:192.0.2.50";
    story.expect(&["client 192.0.2.50: expired Srv_Features:192.0.2.50", out, out, out]);
}

fn look(ours: &[&str], block: bool, rest_changed: bool, admins: &str) -> Look {
    let ours = ours.iter().map(|key| entry(key)).collect();
    Look { ours, block, rest_changed, admins: admin(admins) }
}

#[test]
fn what_others_do_to_the_entry() {
    const OURS: &str = "Srv_Features:192.0.2.50";
    let seen = |story: &mut Story, look| {
        story.input(Input::Map(MapState::Seen(look)));
    };
    let mut story = active();
    seen(&mut story, look(&[OURS], true, true, ""));
    story.expect(&[]);
    seen(&mut story, look(&[], true, false, ""));
    story.expect(&["client 192.0.2.50: lifted Srv_Features:192.0.2.50 for 30 days"]);
    three(&mut story, ADDRESS, 360);
    story.expect(&[]);

    let mut story = active();
    seen(&mut story, look(&[OURS], true, true, "Srv_Features:192.0.2.50 V\n"));
    story.expect(&[
        "client 192.0.2.50: replaced Srv_Features:192.0.2.50",
        "- Srv_Features:192.0.2.50",
    ]);

    let mut story = active();
    seen(&mut story, look(&[], false, true, ""));
    let back = "client 192.0.2.50: put back Srv_Features:192.0.2.50";
    let wiped = "client 192.0.2.50: wiped Srv_Features:192.0.2.50";
    let put_back = [wiped, ACTIVE[1], back, ACTIVE[3]];
    story.expect(&put_back);

    // Wiped away again at once: it waits, as the relays' do.
    seen(&mut story, look(&[], false, true, ""));
    story.expect(&put_back[..1]).tick(50).expect(&[]).tick(20).expect(&put_back[1..]);
}

#[test]
fn what_cannot_be_put_back_is_tried_again() {
    let mut story = active();
    story.map_fails = true;
    story.input(Input::Map(MapState::Seen(look(&[], false, true, ""))));
    story.expect(&["client 192.0.2.50: wiped Srv_Features:192.0.2.50", ACTIVE[1]]);
    story.tick(1).expect(&[ACTIVE[1]]);
    story.map_fails = false;
    let back = "client 192.0.2.50: put back Srv_Features:192.0.2.50";
    story.tick(1).expect(&[ACTIVE[1], back, ACTIVE[3]]);

    // What the admin wrote meanwhile speaks against it.
    story.wait(600);
    let against = look(&[], false, true, "Srv_Features:192.0.2 V\n");
    story.input(Input::Map(MapState::Seen(against)));
    story.expect(&[
        "client 192.0.2.50: wiped Srv_Features:192.0.2.50",
        "client 192.0.2.50: held the admin's own Srv_Features: entry covers it: line 1 of the access file says \"Srv_Features:192.0.2 V\"",
    ]);
    story.tick(2).expect(&[]);
}

#[test]
fn what_could_not_be_written_is_tried_again() {
    let mut story = Story::new(rules());
    story.map_fails = true;
    three(&mut story, ADDRESS, 360);
    let held = "client 192.0.2.50: held the map could not be changed: disk full";
    story.expect(&[ACTIVE[0], ACTIVE[1], held]).tick(1).expect(&[ACTIVE[1]]);
    story.map_fails = false;
    story.tick(1).expect(&ACTIVE[1..]);
}

/// The file was changed by others while the entry was on its way: the guards are asked again.
#[test]
fn what_was_overtaken_is_weighed_anew() {
    let mut story = Story::new(rules());
    story.map_overtaken = true;
    three(&mut story, ADDRESS, 360);
    story.expect(&[ACTIVE[0], ACTIVE[1], ACTIVE[0], ACTIVE[1], ACTIVE[2], ACTIVE[3]]);
}

/// Not offered STARTTLS, the client could deliver nothing once TLS is required of it.
#[test]
fn what_the_admin_requires_by_now_withdraws_it() {
    let mut story = active();
    let required = look(&["Srv_Features:192.0.2.50"], true, true, "TLS_Clt:192.0.2 ENCR\n");
    story.input(Input::Map(MapState::Seen(required)));
    story.expect(&[
        "client 192.0.2.50: withdrawn Srv_Features:192.0.2.50: TLS is required of the client: line 1 of the access file says \"TLS_Clt:192.0.2 ENCR\"",
        "- Srv_Features:192.0.2.50",
    ]);
    three(&mut story, ADDRESS, 360);
    story.expect(&[]);
}

/// An entry of a client is nothing to a relay at the same address, and the other way round.
#[test]
fn the_two_sides_do_not_meet() {
    let mut story = active();
    let both = look(&["Srv_Features:192.0.2.50", "192.0.2.50"], true, false, "");
    story.input(Input::Map(MapState::Loaded(both))).expect(&[]);
    let only_try_tls = look(&["192.0.2.50"], true, false, "");
    story.input(Input::Map(MapState::Seen(only_try_tls)));
    story.expect(&["client 192.0.2.50: lifted Srv_Features:192.0.2.50 for 30 days"]);
}

#[test]
fn dry_run_shows_it_and_arming_writes_it() {
    let mut story = Story::new(rules());
    story.dry_run = true;
    three(&mut story, ADDRESS, 360);
    story.expect(&[ACTIVE[0], ACTIVE[1], "client 192.0.2.50: proposed Srv_Features:192.0.2.50"]);
    story.dry_run = false;
    story.input(Input::Request(Request::Arm)).expect(&ACTIVE);
}

#[test]
fn a_proof_that_refutes_takes_it_out() {
    let mut story = active();
    let proof = Proof::Refuted("OK".into());
    story.input(Input::Client(ClientNews::Proof(ADDRESS.parse().unwrap(), proof)));
    story.expect(&[
        r#"client 192.0.2.50: proof Refuted("OK")"#,
        "client 192.0.2.50: held sendmail was asked and does not act on the entry: OK",
        "- Srv_Features:192.0.2.50",
    ]);
    three(&mut story, ADDRESS, 360);
    story.expect(&[]);
}

/// sendmail was asked about an entry that somebody has taken out since: what it says is no news.
#[test]
fn a_proof_that_comes_late_says_nothing() {
    let mut story = active();
    story.input(Input::Map(MapState::Seen(look(&[], true, false, ""))));
    story.expect(&["client 192.0.2.50: lifted Srv_Features:192.0.2.50 for 30 days"]);
    let proof = Proof::Refuted("OK".into());
    story.input(Input::Client(ClientNews::Proof(ADDRESS.parse().unwrap(), proof))).expect(&[]);
    story.wait(31 * 24 * 60).input(Input::Tick);
    three(&mut story, ADDRESS, 360);
    story.expect(&ACTIVE);
}

/// An order to take out that was given twice is answered twice; the second answer says nothing of the entry that is on its
/// way by then.
#[test]
fn a_removal_that_is_answered_late_says_nothing() {
    let address = ADDRESS.parse().unwrap();
    let became = |became| Input::Client(ClientNews::Map(address, became));
    let mut story = Story::new(rules());
    story.clients_wait = true;
    three(&mut story, ADDRESS, 360);
    story.expect(&ACTIVE[..2]).input(became(Became::Removed)).input(became(Became::Written));
    story.expect(&ACTIVE[2..]);
}

/// Two clients of one confirmed name: one entry serves both, and what was taken out by hand comes back for neither.
#[test]
fn an_entry_by_name_is_one_clients_own() {
    const OTHER: &str = "192.0.2.51";
    let receiving = Some(Receiving { key: ClientKey::Name, ..Receiving::default() });
    let mut story = Story::new(Rules { receiving, ..Rules::default() });
    for wait in [180, 180, 0] {
        fails(&mut story, ADDRESS);
        fails(&mut story, OTHER);
        story.wait(wait);
    }
    let told = std::mem::take(&mut story.told).join("\n");
    assert_eq!(told.matches("+ Srv_Features:cl1.ptr.test\tS").count(), 1, "{told}");
    story.input(Input::Map(MapState::Seen(look(&[], true, false, ""))));
    story.expect(&["client 192.0.2.50: lifted Srv_Features:cl1.ptr.test for 30 days"]);
    three(&mut story, OTHER, 360);
    let told = story.told.join("\n");
    assert!(!told.contains('+'), "{told}");
}

/// At the start the file is the truth, as for relays: an entry that somebody put back is one that ends; and one that is in
/// it for another client has its owner.
#[test]
fn what_the_file_has_at_the_start_is_in_force() {
    let mut story = active();
    story.input(Input::Map(MapState::Seen(look(&[], true, false, ""))));
    story.expect(&["client 192.0.2.50: lifted Srv_Features:192.0.2.50 for 30 days"]);
    let mut block = look(&["Srv_Features:192.0.2.50"], true, true, "");
    block.ours[0].relay = ADDRESS.into();
    story.input(Input::Map(MapState::Loaded(block)));
    story.expect(&[]).input(Input::Map(MapState::Seen(look(&[], true, false, ""))));
    story.expect(&["client 192.0.2.50: lifted Srv_Features:192.0.2.50 for 30 days"]);

    let mut story = active();
    let mut block = look(&["Srv_Features:192.0.2.50"], true, false, "");
    block.ours[0].relay = "192.0.2.51".into();
    story.input(Input::Map(MapState::Loaded(block))).expect(&[]);
    assert!(story.state.clients().get("192.0.2.51".parse().unwrap()).is_none());
}

/// An entry of ours is found before the admin's for the whole net, and would stand in the way of what he wants of it.
#[test]
fn an_admins_later_line_for_the_net_withdraws_it() {
    let mut story = active();
    let later = look(&["Srv_Features:192.0.2.50"], true, true, "Srv_Features:192.0.2 A\n");
    story.input(Input::Map(MapState::Seen(later)));
    story.expect(&[
        "client 192.0.2.50: withdrawn Srv_Features:192.0.2.50: the admin's own Srv_Features: entry covers it: line 1 of the access file says \"Srv_Features:192.0.2 A\"",
        "- Srv_Features:192.0.2.50",
    ]);
}

/// Saved, restored, read on.
#[test]
fn over_a_restart() {
    let mut story = Story::new(rules());
    story.state = State::restored(rules(), [], []);
    story.input(Input::Map(MapState::Loaded(look(&[], false, false, ""))));
    three(&mut story, ADDRESS, 360);
    story.expect(&[]); // Not judged while what was written before the start is read.
    let saved = story.state.unsaved().clients;
    let text = serde_json::to_string(saved[0].1.as_ref().unwrap()).unwrap();
    let known: Known = serde_json::from_str(&text).unwrap();
    story.state = State::restored(rules(), [], []).with_clients([(ADDRESS.into(), known)]);
    assert!(story.state.unsaved().clients.is_empty());
    story.input(Input::Map(MapState::Loaded(look(&[], false, false, ""))));
    story.input(Input::Request(Request::Resume)).expect(&ACTIVE);
    let known = story.state.unsaved().clients.remove(0).1.unwrap();
    let known: Known = serde_json::from_str(&serde_json::to_string(&known).unwrap()).unwrap();
    assert!(known.stays());
    story.state = State::restored(rules(), [], []).with_clients([(ADDRESS.into(), known)]);
    story.input(Input::Map(MapState::Loaded(look(&["Srv_Features:192.0.2.50"], true, false, ""))));
    story.expect(&[]).wait(30 * 24 * 60).input(Input::Tick);
    story.expect(&[
        "client 192.0.2.50: expired Srv_Features:192.0.2.50",
        "- Srv_Features:192.0.2.50",
    ]);
}

/// Strangers come and go; the table is bounded, and what has an entry stays.
#[test]
fn a_flood_of_strangers_is_bounded() {
    let receiving = Some(Receiving { max_clients: 100, ..Receiving::default() });
    let mut story = Story::new(Rules { receiving, ..Rules::default() });
    three(&mut story, ADDRESS, 360);
    for n in 0..2000 {
        story.wait(1);
        fails(&mut story, &format!("10.0.{}.{}", n / 250, n % 250));
    }
    let clients = story.state.clients();
    assert!(clients.get(ADDRESS.parse().unwrap()).is_some());
    let left = (0..2000).filter(|n| {
        clients.get(format!("10.0.{}.{}", n / 250, n % 250).parse().unwrap()).is_some()
    });
    assert!(left.count() <= 101);
}

fn word(at: i64) -> Approval {
    let at = u32::try_from(at).unwrap();
    Approval { until: at + 30 * 86_400, at, who: "alice".into(), reason: "ticket 1".into() }
}

fn approve(story: &mut Story) {
    let word = word(story.now().as_second());
    story.input(Input::Request(Request::ApproveClient(ADDRESS.parse().unwrap(), word)));
}

fn lift(story: &mut Story, days: Option<u32>) {
    let now = u32::try_from(story.now().as_second()).unwrap();
    let until = days.map(|days| now + days * 86_400);
    story.input(Input::Request(Request::LiftClient(ADDRESS.parse().unwrap(), until)));
}

#[test]
fn an_approval_overrules_what_may_be_overruled() {
    let mut story = Story::new(rules());
    story.event(What::ClientSucceeded(client(ADDRESS))).wait(60);
    three(&mut story, ADDRESS, 360);
    story.told.clear();
    approve(&mut story);
    story.expect(&["client 192.0.2.50: approved alice", ACTIVE[1], ACTIVE[2], ACTIVE[3]]);
}

#[test]
fn an_approved_client_must_still_fail_and_the_approval_ends() {
    let mut story = Story::new(rules());
    approve(&mut story);
    story.expect(&["client 192.0.2.50: approved alice"]);
    let known = |story: &Story| story.state.clients().get(ADDRESS.parse().unwrap()).cloned();
    assert!(known(&story).unwrap().approval(story.now()).is_some());
    story.wait(31 * 24 * 60).input(Input::Tick).expect(&[]);
    assert!(!known(&story).unwrap().stays());
}

#[test]
fn an_approval_is_refused_where_the_guards_say_it_must_be() {
    let check = |set_up: &dyn Fn(&mut Story), expect: &str| {
        let mut story = Story::new(rules());
        set_up(&mut story);
        approve(&mut story);
        story.expect(&[&format!("client 192.0.2.50: refused {expect}")]);
    };
    let access = |text: &'static str| {
        move |story: &mut Story| story.state.set_admin(Answer::Known(admin(text)))
    };
    check(
        &access("Srv_Features:192.0.2 V\n"),
        "the admin's own Srv_Features: entry covers it: line 1 of the access file says \"Srv_Features:192.0.2 V\"; an entry of yours covers it, and the first match wins; change that line",
    );
    check(
        &access("TLS_Clt: ENCR\n"),
        "TLS is required of the client: line 1 of the access file says \"TLS_Clt: ENCR\"; with TLS_Clt: its mail would be refused; take that line out, or have the other side mend its TLS",
    );
    check(
        &|story| story.state.set_rules(Rules { never: never(ADDRESS), ..rules() }),
        "the never-list has 192.0.2.50/32; take it off the never-list ([policy] never) and reload",
    );
    check(
        &|story| story.state.set_rules(Rules::default()),
        "the receiving side is off; turn it on in the config ([receiving] enabled) and start trytlsd again",
    );
}

fn never(item: &str) -> NeverList {
    NeverList(vec![item.parse().unwrap()])
}

#[test]
fn lift_takes_the_entry_out_and_it_stays_out() {
    let mut story = active();
    lift(&mut story, None);
    story.expect(&[
        "client 192.0.2.50: lifted Srv_Features:192.0.2.50 for 30 days",
        "- Srv_Features:192.0.2.50",
    ]);
    three(&mut story, ADDRESS, 360);
    story.expect(&[]).wait(30 * 24 * 60).input(Input::Tick);
    three(&mut story, ADDRESS, 360);
    story.expect(&ACTIVE);
}

#[test]
fn a_hold_comes_before_there_is_an_entry_and_an_approval_ends_it() {
    let mut story = Story::new(rules());
    lift(&mut story, Some(2));
    story.expect(&["client 192.0.2.50: lifted nothing for 2 days"]);
    three(&mut story, ADDRESS, 360);
    story.expect(&[]);
    approve(&mut story);
    story.expect(&[
        "client 192.0.2.50: approved alice",
        "client 192.0.2.50: candidate 3 in 6h",
        ACTIVE[1],
        ACTIVE[2],
        ACTIVE[3],
    ]);
    // The later word stands.
    let late = word(story.now().as_second() - 60);
    lift(&mut story, None);
    story.told.clear();
    story.input(Input::Request(Request::ApproveClient(ADDRESS.parse().unwrap(), late))).expect(&[]);
}

/// What is being written when the word comes goes again; also if the process ends in between.
#[test]
fn lift_while_the_entry_is_being_written() {
    let writing = || {
        let mut story = Story::new(rules());
        story.map_fails = true;
        three(&mut story, ADDRESS, 360);
        story.told.clear();
        let known = story.state.clients().get(ADDRESS.parse().unwrap()).unwrap();
        let text = serde_json::to_string(known).unwrap();
        let text = text.replace("\"None\"", "{\"Writing\":[\"192.0.2.50\",0]}");
        story.state = State::new(rules())
            .with_clients([(ADDRESS.into(), serde_json::from_str(&text).unwrap())]);
        story.map_fails = false;
        lift(&mut story, None);
        story.expect(&["client 192.0.2.50: lifted Srv_Features:192.0.2.50 for 30 days"]);
        story
    };
    let mut story = writing();
    let written = ClientNews::Map(ADDRESS.parse().unwrap(), Became::Written);
    story.input(Input::Client(written)).expect(&["- Srv_Features:192.0.2.50"]);
    let mut story = writing();
    let ours = vec![entry("Srv_Features:192.0.2.50")];
    let look = Look { ours, block: true, ..Look::default() };
    story.input(Input::Map(MapState::Loaded(look))).expect(&["- Srv_Features:192.0.2.50"]);
}
