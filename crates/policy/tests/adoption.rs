//! Lines that the admin wrote by hand, adopted: probed and told like ours, and taken out only on a word.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use maillog::event::{End, Freed, TryTls, What};
use maillog::relay::Relay;
use policy::adoption::Word;
use policy::fact::Answer;
use policy::input::{Input, Look, MapState, Request};
use policy::life::Probed;
use policy::never::NeverList;
use policy::rules::Rules;
use policy::state::State;
use story::{MX, Story, admin, look, three};

const DAY: i64 = 24 * 60;
const LINE: &str = "line 2 of the access file says \"Try_TLS:mx.example.org NO\"";
const ACCESS: &str = "# by hand\nTry_TLS:mx.example.org NO\n";
const PROBE: &str = "probe mx.example.org []";

fn relay(name: &str) -> Relay<'static> {
    Relay::parse(name.as_bytes()).unwrap().into_owned()
}

/// The file as others left it, without entries of ours.
fn file(text: &str) -> Look {
    Look { rest_changed: true, admins: admin(text), ..look(&[], false, true, &[]) }
}

/// A story with this access file.
fn with(access: &str) -> Story {
    let mut story = Story::new(Rules::default());
    story.input(Input::Map(MapState::Loaded(file(access)))).expect(&[]);
    story
}

fn adopt(story: &mut Story, name: &str) {
    let at = u32::try_from(story.now().as_second()).unwrap();
    let word = Word { who: "alice".into(), at, reason: "ticket 1".into() };
    story.input(Input::Request(Request::Adopt(relay(name), word)));
}

fn lift(story: &mut Story, name: &str) {
    story.input(Input::Request(Request::Lift(relay(name), None)));
}

fn adopted() -> Story {
    let mut story = with(ACCESS);
    adopt(&mut story, MX);
    story.expect(&[&format!("adoption mx.example.org: adopted by alice: {LINE}")]);
    story
}

/// Saved as the ledger does, and restored.
fn reload(story: &mut Story) {
    let saved = story.state.adoptions().iter();
    let saved = saved.map(|(relay, adopted)| {
        let text = serde_json::to_string(adopted).unwrap();
        (relay.into(), serde_json::from_str(&text).unwrap())
    });
    let saved: Vec<_> = saved.collect();
    story.state = State::restored(Rules::default(), [], []).with_adoptions(saved);
}

#[test]
fn that_the_peer_is_mended_is_told_once_and_the_line_stays() {
    let mut story = adopted();
    let first = story.until_probe(PROBE);
    assert!((DAY * 9 / 10..=DAY * 11 / 10 + 1).contains(&first), "{first}");
    story.probed(MX, "good").expect(&["probed mx.example.org: good"]);
    story.until_probe(PROBE);
    let mended = format!("adoption mx.example.org: mended: {LINE}");
    story.probed(MX, "good").expect(&["probed mx.example.org: good", &mended]);
    // Day after day, and no more each hour.
    for _ in 0..60 {
        assert!(story.until_probe(PROBE) > DAY / 2);
        story.probed(MX, "good").expect(&["probed mx.example.org: good"]);
    }
    assert!(story.state.adoptions().get(MX).is_some());
    // It breaks, and is mended once more.
    story.until_probe(PROBE);
    story.probed(MX, "not-tls").expect(&["probed mx.example.org: not-tls"]);
    story.until_probe(PROBE);
    story.probed(MX, "good").told.clear();
    story.until_probe(PROBE);
    story.probed(MX, "good").expect(&["probed mx.example.org: good", &mended]);
}

#[test]
fn what_stays_broken_is_neither_renewed_nor_dropped() {
    let mut story = adopted();
    let mut days = 0;
    for n in 0.. {
        days += story.until_probe(PROBE);
        let found = if n % 2 == 0 { "not-tls" } else { "unreached" };
        story.probed(MX, found).expect(&[&format!("probed mx.example.org: {found}")]);
        if days > 90 * DAY {
            break;
        }
    }
    let adopted = story.state.adoptions().get(MX).unwrap();
    assert_eq!((adopted.life.until, adopted.life.hits), (u32::MAX, 0));
    assert!(matches!(adopted.life.last, Some((_, Probed::Broken { .. } | Probed::Unreached))));
}

#[test]
fn its_use_is_counted() {
    let used = |relay_name: &str, address: &str| {
        let address = (!address.is_empty()).then(|| address.parse().unwrap());
        What::TryTls(TryTls { relay: relay(relay_name), address })
    };
    let mut story = adopted();
    story.wait(5).event(used(MX, "192.0.2.1")).event(used("mx2.example.org", "192.0.2.1"));
    let freed = Freed { relay: relay(MX), queue_id: "6AN00000000001".into(), end: End::Sent };
    story.event(What::Freed(freed)).expect(&[]);
    let life = story.state.adoptions().get(MX).unwrap().life.clone();
    assert_eq!((life.hits, life.sent, i64::from(life.used)), (1, 1, story.now().as_second()));
    // By address it acts on whatever is there.
    let mut story = with("Try_TLS:192.0.2.1 NO\n");
    adopt(&mut story, "[192.0.2.1]");
    story.event(used(MX, "192.0.2.1")).event(used(MX, "192.0.2.2"));
    assert_eq!(story.state.adoptions().get("[192.0.2.1]").unwrap().life.hits, 1);
}

#[test]
fn what_cannot_be_adopted_is_refused_with_the_reason() {
    let check = |access: &str, name: &str, expect: &str| {
        let mut story = with(access);
        adopt(&mut story, name);
        let told = story.told.join("\n");
        assert!(told.starts_with(&format!("adoption {name}: refused: ")), "{told}");
        assert!(told.contains(expect), "{access:?}: {told}");
        assert!(story.state.adoptions().get(name).is_none());
    };
    check("", MX, "finds no Try_TLS: line of yours for it");
    check("Try_TLS:mx2.example.org NO\n", MX, "finds no Try_TLS: line");
    check("TLS_Srv:mx.example.org ENCR\n", MX, "finds no Try_TLS: line");
    check("Try_TLS:mx.example.org YES\n", MX, "with that sendmail tries TLS");
    check("Try_TLS:example.org NO\n", MX, "all below that domain");
    check("Try_TLS:192.0.2 NO\n", "[192.0.2.1]", "all of that network");
    check("Try_TLS: NO\n", MX, "every host");
    check("Try_TLS:example.org NO\nTry_TLS:a.example.org NO\n", "example.org", "some below");
    check("Try_TLS:[192.0.2.1] NO\n", "[192.0.2.1]", "is not written as trytlsd writes a key");
}

#[test]
fn a_line_is_adopted_once_and_an_entry_of_ours_is_not() {
    let mut story = adopted();
    adopt(&mut story, MX);
    let already = "and that is adopted already, for mx.example.org";
    story.expect(&[&format!("adoption mx.example.org: refused: {LINE}, {already}")]);

    // Of two lines for one relay the first that was adopted is.
    let mut story = with("Try_TLS:192.0.2.1 NO\n");
    adopt(&mut story, "[192.0.2.1]");
    let both = "Try_TLS:[192.0.2.1] NO\nTry_TLS:192.0.2.1 NO\n";
    story.input(Input::Map(MapState::Seen(file(both)))).told.clear();
    adopt(&mut story, "[192.0.2.1]");
    assert!(story.told[0].contains("refused: "), "{story}");
    assert!(story.state.adoptions().get("[192.0.2.1]").is_some());

    let mut story = story::active();
    story.input(Input::Map(MapState::Seen(look(&["192.0.2.1"], true, false, &[])))).told.clear();
    adopt(&mut story, MX);
    story.expect(&["adoption mx.example.org: refused: its entry is trytlsd's own: it is probed already, and goes by itself"]);
}

#[test]
fn an_address_where_it_failed_finds_the_line() {
    let mut story = with("");
    three(&mut story);
    let text = "Try_TLS:192.0.2.1 NO\n";
    story.input(Input::Map(MapState::Seen(file(text)))).told.clear();
    adopt(&mut story, MX);
    let line = "line 1 of the access file says \"Try_TLS:192.0.2.1 NO\"";
    story.expect(&[&format!("adoption mx.example.org: adopted by alice: {line}")]);
    for _ in 0..3 * DAY {
        story.tick(1);
        if story.told.iter().any(|told| told == "probe mx.example.org [192.0.2.1]") {
            return;
        }
    }
    panic!("{story}");
}

#[test]
fn it_ends_with_the_line() {
    for (text, expect) in [
        ("# by hand\n", "gone \"Try_TLS:mx.example.org NO\""),
        (
            "Try_TLS:mx.example.org NO # mine\n",
            "changed: line 1 of the access file says \"Try_TLS:mx.example.org NO # mine\"",
        ),
    ] {
        let mut story = adopted();
        // Where it stands does not matter.
        story.input(Input::Map(MapState::Seen(file("Try_TLS:mx.example.org NO\nx y\n"))));
        story.expect(&[]).input(Input::Map(MapState::Seen(file(text))));
        story.expect(&[&format!("adoption mx.example.org: {expect}")]);
        story.tick(3 * DAY).expect(&[]);
        let changed = story.state.unsaved().adoptions;
        assert_eq!(changed, [(MX.into(), None)]);
    }
}

#[test]
fn it_ends_on_a_word_and_the_line_stays() {
    let mut story = adopted();
    story.input(Input::Request(Request::EndAdoption(relay(MX))));
    story.expect(&[&format!("adoption mx.example.org: ended: {LINE}")]);
    story.input(Input::Request(Request::EndAdoption(relay(MX))));
    story.expect(&["adoption mx.example.org: refused: no line is adopted for it"]);
}

#[test]
fn lift_takes_out_that_line_and_the_relay_gets_no_entry() {
    let mut story = adopted();
    lift(&mut story, MX);
    story.expect(&[
        &format!("adoption mx.example.org: taking out: {LINE}"),
        "lifted mx.example.org:  for 30 days",
        "take out \"Try_TLS:mx.example.org NO\"",
        "adoption mx.example.org: lifted \"Try_TLS:mx.example.org NO\"",
    ]);
    story.input(Input::Map(MapState::Seen(file("# by hand\n"))));
    for _ in 0..5 {
        story.wait(30).stuck(MX, "192.0.2.1");
    }
    story.expect(&[]);
}

#[test]
fn a_line_that_is_not_adopted_is_touched_by_nobody() {
    let mut story = with(ACCESS);
    lift(&mut story, MX);
    let advice = "have it adopted (trytlsd adopt) and lift it then, or take it out yourself";
    story.expect(&[&format!("adoption mx.example.org: refused: it has no entry of trytlsd's, and {LINE}, which is yours and stays; {advice}")]);
    let mut story = with("Try_TLS:example.org NO\n");
    lift(&mut story, MX);
    assert!(story.told[0].ends_with("which is yours and stays; take it out yourself"), "{story}");
    // To hold is another thing: it says what is to be made, and touches no line of the admin's.
    let until = u32::try_from(story.now().as_second()).unwrap() + 2 * 86_400;
    for mut story in [with(ACCESS), adopted()] {
        story.input(Input::Request(Request::Lift(relay(MX), Some(until))));
        story.expect(&["lifted mx.example.org:  for 2 days"]);
    }
}

#[test]
fn dry_run_adopts_and_shows_what_a_lift_would_do() {
    let mut story = adopted();
    story.dry_run = true;
    lift(&mut story, MX);
    assert_eq!(
        story.told[2..],
        [
            "take out \"Try_TLS:mx.example.org NO\"",
            &format!("adoption mx.example.org: withheld: {LINE}"),
        ]
    );
    story.told.clear();
    story.tick(5).expect(&[]);
    assert!(!story.state.adoptions().get(MX).unwrap().lifting);
}

#[test]
fn what_could_not_be_taken_out_is_tried_again_and_told_once() {
    let mut story = adopted();
    story.map_fails = true;
    lift(&mut story, MX);
    assert!(story.told.contains(&"adoption mx.example.org: stays: disk full".to_owned()));
    story.told.clear();
    let again = "take out \"Try_TLS:mx.example.org NO\"";
    story.tick(1).expect(&[again]).tick(1).expect(&[again]);
    story.map_fails = false;
    story.tick(1);
    story.expect(&[again, "adoption mx.example.org: lifted \"Try_TLS:mx.example.org NO\""]);
}

#[test]
fn all_of_it_survives_a_restart() {
    let mut story = adopted();
    story.until_probe(PROBE);
    story.probed(MX, "good").told.clear();
    let before = story.state.adoptions().get(MX).unwrap().clone();
    reload(&mut story);
    assert_eq!(story.state.adoptions().get(MX), Some(&before));
    story.input(Input::Map(MapState::Loaded(file(ACCESS))));
    story.input(Input::Request(Request::Resume)).expect(&[]);
    story.until_probe(PROBE);
    story.probed(MX, "good");
    let mended = format!("adoption mx.example.org: mended: {LINE}");
    story.expect(&["probed mx.example.org: good", &mended]);

    // A kill while the line is being taken out: the file says what became of it.
    story.map_is_slow = true;
    lift(&mut story, MX);
    story.told.clear();
    reload(&mut story);
    story.map_is_slow = false;
    let lifted = "adoption mx.example.org: lifted \"Try_TLS:mx.example.org NO\"";
    let mut other = Story::new(Rules::default());
    other.state = story.state.clone();
    other.input(Input::Map(MapState::Loaded(file("")))).expect(&[lifted]);
    story.input(Input::Map(MapState::Loaded(file(ACCESS))));
    story.expect(&["take out \"Try_TLS:mx.example.org NO\"", lifted]);
}

#[test]
fn nobody_knocks_at_the_never_list() {
    let mut story = adopted();
    let never = NeverList(vec!["example.org".parse().unwrap()]);
    story.state.set_rules(Rules { never, ..Rules::default() });
    story.tick(3 * DAY).expect(&[]);
}

#[test]
fn a_clock_that_is_set_back_puts_no_probe_off() {
    let mut story = adopted();
    story.tick(5).wait(-400 * DAY).input(Input::Tick);
    assert!(story.until_probe(PROBE) < 2 * DAY);
}

#[test]
fn an_unknown_access_file_is_no_file_without_lines() {
    let mut story = Story::new(Rules::default());
    story.state.set_admin(Answer::Unknown("no rights".into()));
    adopt(&mut story, MX);
    story.expect(&["adoption mx.example.org: refused: the access file is unknown: no rights"]);
}
