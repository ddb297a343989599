//! Entries that let sendmail fall back (`[entry] remedy = "fallback"`), told as a story: they heal by themselves, so what
//! the log says while they act is neither evidence nor a success, and they go when nothing broke for a week.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use maillog::event::{Attempt, Cause, CauseKind, Fault, What};
use maillog::relay::Relay;
use maillog::reply::Reply;
use policy::host::Host;
use policy::input::{Input, MapState, Request};
use policy::remedy::RelayRemedy;
use policy::rules::Rules;
use story::{MX, Story, admin, look, reload, three};

const DAY: i64 = 24 * 60;
/// Between two ticks, in minutes.
const TICK: i64 = 30;
const ENTRY: &str = "TLS_Clt_features:192.0.2.1";

fn rules() -> Rules {
    Rules { remedy: RelayRemedy::Fallback, ..Rules::default() }
}

/// A relay with such an entry for its address.
fn fallen_back() -> Story {
    let mut story = Story::new(rules());
    three(&mut story).ptr("192.0.2.1", "");
    story.told.clear();
    story
}

/// Enough for an entry, if nothing holds it.
fn thrice(story: &mut Story) {
    for _ in 0..3 {
        story.wait(15).stuck(MX, "192.0.2.1");
    }
}

fn attempt(relay: &str) -> Attempt<'static> {
    let relay = Relay::parse(relay.as_bytes()).unwrap().into_owned();
    let cause = Some(Cause { kind: CauseKind::Handshake, reason: "it broke".into() });
    Attempt { relay, fault: Fault::Software, code: 454, cause }
}

/// A handshake breaks and the mail goes in clear, as sendmail logs it.
fn falls_back(story: &mut Story, relay: &str) {
    story.event(What::Attempt(attempt(relay)));
    story.event(What::Sent(attempt(relay)));
}

/// Days pass; each probe that is wanted finds that. What else was told, with the day.
fn days(story: &mut Story, days: i64, found: &str) -> Vec<String> {
    let mut told = Vec::new();
    for ticks in 0..days * DAY / TICK {
        story.wait(TICK).input(Input::Tick);
        while let Some(at) = story.told.iter().position(|line| line.starts_with("probe ")) {
            story.told.remove(at);
            story.probed(MX, found);
        }
        let day = ticks * TICK / DAY;
        let other = story.told.drain(..).filter(|line| !line.starts_with("probed "));
        told.extend(other.map(|line| format!("day {day}: {line}")));
    }
    told
}

/// The life of the entry: uses, and deliveries after them.
fn life(story: &Story) -> (u32, u32, u32, u32) {
    let life = story.state.record(MX).unwrap().life().unwrap();
    (life.hits, life.sent, life.deferred, life.until)
}

#[test]
fn the_entry_has_its_own_tag_and_no_end() {
    let mut story = Story::new(rules());
    three(&mut story).told.clear();
    story.ptr("192.0.2.1", "").expect(&[
        &format!("edit +{ENTRY} -"),
        &format!("active {MX}: {ENTRY}"),
        &format!("prove {MX}"),
    ]);
    assert_eq!(life(&story), (0, 0, 0, u32::MAX));
    // The key is chosen as for Try_TLS: sendmail looks both up in the same order.
    let mut story = Story::new(rules());
    three(&mut story).told.clear();
    story.ptr("192.0.2.1", MX);
    assert_eq!(story.told[0], "edit +TLS_Clt_features:mx.example.org -");
    let record = reload(&story.state).record(MX).unwrap().active().to_vec();
    assert_eq!(record[0].line(), "TLS_Clt_features:mx.example.org\tflags=C");
}

#[test]
fn broken_handshakes_are_uses_and_no_evidence() {
    let mut story = fallen_back();
    for _ in 0..50 {
        falls_back(story.wait(10), MX);
    }
    // Grey-listed in clear: a deferral, and none for TLS.
    story.wait(10).stuck(MX, "192.0.2.1").expect(&[]);
    assert_eq!(life(&story), (51, 50, 1, u32::MAX));
    assert!(story.state.record(MX).unwrap().evidence.is_empty());
    assert_eq!(story.state.alarms(), []);
    // Where the entry does not act, it is evidence.
    story.wait(10).stuck(MX, "192.0.2.2");
    assert_eq!(story.told, ["ask Ptr(192.0.2.2)"]);
    story.told.clear();
    story.ptr("192.0.2.2", "");
    assert_eq!(story.told[0], "edit +TLS_Clt_features:192.0.2.2 -");
}

#[test]
fn many_of_them_are_no_fault_of_our_own() {
    let mut story = fallen_back();
    let relay = |n: i64| format!("mx.r{n}.example");
    for n in 0..40 {
        let entry = MapState::Written(
            Relay::parse(relay(n).as_bytes()).unwrap().into_owned(),
            vec![format!("TLS_Clt_features:mx.r{n}.example").parse().unwrap()],
        );
        story.wait(1).stuck(&relay(n), &format!("198.51.100.{n}"));
        story.wait(120).input(Input::Map(entry));
    }
    story.wait(600).told.clear();
    for n in 0..40 {
        falls_back(story.wait(1), &relay(n));
    }
    assert_eq!(story.state.alarms(), [], "{:?}", story.told);
}

#[test]
fn it_goes_when_nothing_broke_for_a_week() {
    let over = format!("over {MX}: {ENTRY}: Quiet");
    let told = days(&mut fallen_back(), 30, "good");
    assert!(told[0].starts_with("day 7: ") || told[0].starts_with("day 8: "), "{told:?}");
    assert!(told[0].ends_with(&over) && told.len() == 2, "{told:?}");
    // Nobody there, and nobody missed it.
    let told = days(&mut fallen_back(), 30, "unreached");
    assert!(told[0].ends_with(&format!("over {MX}: {ENTRY}: Unreachable")), "{told:?}");
    // A probe, or sendmail, finds it broken: it stays, however long, and is never renewed.
    assert_eq!(days(&mut fallen_back(), 100, "not-tls"), [""; 0]);
    let mut story = fallen_back();
    for _ in 0..20 {
        assert_eq!(days(&mut story, 5, "good"), [""; 0]);
        falls_back(&mut story, MX);
    }
    // After it went one stuck attempt brings it back.
    days(&mut story, 10, "good");
    assert!(story.state.record(MX).unwrap().active().is_empty());
    story.wait(60).stuck(MX, "192.0.2.1");
    assert_eq!(story.told[0], format!("candidate {MX}: 1 in 0s"));
}

#[test]
fn the_admins_own_features_hold_it() {
    for (line, held) in [
        ("TLS_Clt_features:mx.example.org flags=R\n", "TLS_Clt_features: entry"),
        ("TLS_Clt_features:example.org cipherlist=DEFAULT\n", "TLS_Clt_features: entry"),
        ("TLS_Clt_features:192.0.2 flags=C\n", "TLS_Clt_features: entry"),
        ("Try_TLS:example.org YES\n", "the admin's own entry covers it"),
        ("TLS_Srv:example.org VERIFY\n", "TLS is required of it"),
    ] {
        let mut story = Story::new(rules());
        let mut found = look(&[], false, false, &[]);
        found.admins = admin(line);
        story.input(Input::Map(MapState::Seen(found)));
        thrice(&mut story);
        let last = story.told.last().unwrap();
        assert!(last.starts_with("held") && last.contains(held), "{line} {:?}", story.told);
        // To turn TLS off is no matter of those options.
        story.state.set_rules(Rules::default());
        story.told.clear();
        story.wait(60).stuck(MX, "192.0.2.1");
        let asks = story.told.iter().any(|line| line.starts_with("ask "));
        assert_eq!(asks, line.starts_with("TLS_Clt"), "{line} {:?}", story.told);
    }
}

#[test]
fn a_requirement_takes_it_out() {
    let mut story = fallen_back();
    story.to = vec!["u@strict.example"];
    let mut found = look(&[ENTRY], true, false, &[]);
    found.admins = admin("TLS_Rcpt:strict.example PERM+VERIFY\n");
    story.input(Input::Map(MapState::Seen(found))).expect(&[]);
    // The requirement of a recipient of whom nothing was known: seen with his first message.
    story.stuck(MX, "192.0.2.1");
    assert!(story.told[1].starts_with(&format!("withdrawn {MX}: {ENTRY}: mail to strict.example")));
    assert_eq!(story.told[2], format!("edit + -{ENTRY}"));
}

#[test]
fn words_are_not_mended_by_it() {
    let mut story = Story::new(rules());
    for _ in 0..5 {
        let (relay, recipients) = (Relay::parse(MX.as_bytes()).unwrap(), Default::default());
        let (by, address) = ("GroupWise".into(), "192.0.2.1".parse().ok());
        let reply = Reply { relay, address, by, counts: true, recipients };
        story.wait(60).event(What::Reply(Box::new(reply)));
    }
    story.expect(&[&format!(
        "held {MX}: it said in words that its STARTTLS is broken; sendmail falls back only after a broken handshake"
    )]);
}

#[test]
fn entries_of_the_other_kind_stand_until_they_end() {
    let mut story = fallen_back();
    story.state.set_rules(Rules::default());
    // It keeps its kind and its life, and a further address gets the same.
    falls_back(story.wait(10), MX);
    assert_eq!(life(&story), (1, 1, 0, u32::MAX));
    story.wait(10).stuck(MX, "192.0.2.2").ptr("192.0.2.2", "");
    assert_eq!(story.told[1], "edit +TLS_Clt_features:192.0.2.2 -");
    // Taken out by hand, it is the very entry that is missed, not one of the other kind for the same key.
    story.told.clear();
    let ours = look(&["192.0.2.1", "192.0.2.2"], true, false, &[]);
    story.input(Input::Map(MapState::Seen(ours)));
    assert!(story.told[0].starts_with(&format!("lifted {MX}: {ENTRY}")), "{:?}", story.told);
    // The next one is of the new kind.
    let mut story = Story::new(Rules::default());
    three(&mut story).ptr("192.0.2.1", "");
    story.state.set_rules(rules());
    story.wait(10).told.clear();
    story.stuck(MX, "192.0.2.2").ptr("192.0.2.2", "");
    assert_eq!(story.told[1], "edit +192.0.2.2 -");
}

#[test]
fn where_sendmail_cannot_fall_back_it_is_held_and_what_stands_goes() {
    let cannot = || Host { no_fallback: Some("no such feature".into()), ..Host::NOT_ASKED };
    let mut story = Story::new(rules());
    story.state.set_host(cannot());
    thrice(&mut story);
    let why = "held mx.example.org: sendmail cannot fall back for one relay: no such feature";
    assert_eq!(story.told.last().unwrap(), why);

    let mut story = fallen_back();
    story.state.set_host(cannot());
    story.state.set_rules(Rules::default());
    story
        .tick(1)
        .expect(&[&format!("over {MX}: {ENTRY}: NoFallback"), &format!("edit + -{ENTRY}")]);
    story.wait(60).stuck(MX, "192.0.2.1").ptr("192.0.2.1", "");
    assert!(story.told.contains(&"edit +192.0.2.1 -".to_owned()), "{:?}", story.told);
}

#[test]
fn dry_run_shows_it_and_arming_writes_what_the_rules_say_then() {
    let mut story = Story::new(rules());
    story.dry_run = true;
    three(&mut story).ptr("192.0.2.1", "");
    assert_eq!(story.told.last().unwrap(), &format!("proposed {MX}: {ENTRY}"));
    (story.dry_run, story.told) = (false, vec![]);
    story.state.set_rules(Rules::default());
    story.input(Input::Request(Request::Arm)).ptr("192.0.2.1", "");
    assert!(story.told.contains(&"edit +192.0.2.1 -".to_owned()), "{:?}", story.told);
}
