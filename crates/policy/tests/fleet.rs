//! A fleet whose MTAs share one map, told as a story: what one of them sees alone turns TLS off for nobody.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use std::num::NonZeroU16;

use maillog::relay::Relay;
use policy::fleet;
use policy::guard::{Guard, Says, judge};
use policy::halt::HaltKind;
use policy::host::Host;
use policy::input::{Input, Proof, Request};
use policy::never::NeverList;
use policy::remedy::RelayRemedy;
use policy::rules::{Life, Receiving, Rules};
use policy::state::State;
use story::fleet::{Fleet, rules};
use story::{MX, reload};

const KEY: &str = "192.0.2.1";
const DAY: i64 = 24;
const WAITS: &str = "held mx.example.org: 2 MTAs of the fleet must say that Try_TLS:192.0.2.1 is needed: none does so far";

/// Three MTAs, and an entry that the first two wanted.
fn active() -> Fleet {
    let mut fleet = Fleet::new(3);
    fleet.fails(&[0, 1]).pass(30);
    assert_eq!(fleet.active(), [KEY; 3]);
    fleet.forget();
    fleet
}

fn finds(fleet: &mut Fleet, found: [&'static str; 3]) {
    for (mta, found) in fleet.mtas.iter_mut().zip(found) {
        mta.finds = found;
    }
}

/// The operator of one MTA puts the relay on its never-list.
fn never(fleet: &mut Fleet, mta: usize) {
    let never = NeverList(vec![MX.parse().unwrap()]);
    fleet.mtas[mta].story.state.set_rules(Rules { never, ..rules(mta) });
}

/// One stuck attempt every two hours at each of these.
fn goes_on_failing<'a>(fleet: &'a mut Fleet, mtas: &[usize], hours: i64) -> &'a mut Fleet {
    for _ in 0..hours / 2 {
        for mta in mtas {
            fleet.at(*mta, |story| story.stuck(MX, KEY));
        }
        fleet.hours(2);
    }
    fleet
}

mod an_entry_is_made {
    use super::*;

    #[test]
    fn when_two_of_three_agree_and_all_have_it() {
        let mut fleet = Fleet::new(3);
        fleet.fails(&[0]);
        assert_eq!(fleet.says(0), "broken 192.0.2.1");
        assert_eq!(fleet.decided(0), [WAITS]);
        fleet.fails(&[1]).pass(10);
        assert_eq!(fleet.entries(), KEY);
        assert_eq!(fleet.active(), [KEY; 3]);
        assert!(fleet.written.iter().all(|by| !by.starts_with("mx3")), "{:?}", fleet.written);
        assert_eq!(fleet.decided(2), ["joined mx.example.org: 192.0.2.1"]);
        fleet.pass(10);
        assert!(fleet.directory.rows.is_empty(), "nothing is at issue any more");
    }

    /// Whatever its operator approves of, and however long it goes on.
    #[test]
    fn never_for_one_alone() {
        let mut fleet = Fleet::new(3);
        fleet.fails(&[0]).approve(0);
        assert!(fleet.decided(0).contains(&"approved mx.example.org: ann".to_owned()));
        goes_on_failing(&mut fleet, &[0], 3 * DAY).approve(0);
        goes_on_failing(&mut fleet, &[0], 3 * DAY);
        assert_eq!((fleet.entries(), fleet.written.len()), (String::new(), 0));
        assert_eq!(fleet.says(0), "broken 192.0.2.1");
        // When it fails no more its row goes, a day after the last attempt.
        fleet.hours(DAY);
        assert_eq!(fleet.says(0), "");
    }

    #[test]
    fn for_one_alone_if_the_config_says_so() {
        let one = |mut rules: Rules| {
            rules.fleet.as_mut().unwrap().quorum = NonZeroU16::MIN;
            rules
        };
        let mut fleet = Fleet::with(3, one);
        fleet.fails(&[0]).pass(30);
        assert_eq!(fleet.active(), [KEY; 3]);
    }

    #[test]
    fn key_by_key() {
        let mut fleet = Fleet::new(3);
        for _ in 0..3 {
            fleet.at(0, |story| story.stuck(MX, "192.0.2.1").stuck(MX, "192.0.2.2"));
            fleet.at(1, |story| story.stuck(MX, "192.0.2.2").stuck(MX, "192.0.2.3"));
            fleet.pass(30);
        }
        fleet.pass(30);
        assert_eq!(fleet.entries(), "192.0.2.2");
        assert_eq!(
            (fleet.says(0), fleet.says(1)),
            ("broken 192.0.2.1".into(), "broken 192.0.2.3".into())
        );
        fleet.at(1, |story| story.stuck(MX, "192.0.2.1")).pass(20);
        assert_eq!(fleet.active(), ["192.0.2.2 192.0.2.1"; 3]);
    }

    /// The others are given some minutes, for they may not have looked yet.
    #[test]
    fn not_before_the_others_could_object() {
        let mut fleet = Fleet::new(3);
        fleet.at(2, |story| story.success(MX));
        for _ in 0..3 {
            fleet.pass(30);
            fleet.at(0, |story| story.stuck(MX, KEY)).at(1, |story| story.stuck(MX, KEY));
        }
        fleet.look(0).look(1).look(0).look(1);
        assert_eq!((fleet.says(0), fleet.says(1)), ("broken 192.0.2.1".into(), fleet.says(0)));
        assert_eq!(fleet.entries(), "");
        fleet.pass(30);
        assert_eq!((fleet.entries(), fleet.says(2)), (String::new(), "works".into()));
    }

    /// What it has said it takes back.
    #[test]
    fn not_with_one_whose_guard_speaks_by_now() {
        let mut fleet = Fleet::new(3);
        fleet.fails(&[0]);
        never(&mut fleet, 0);
        fleet.at(0, |story| story.stuck(MX, KEY)).pass(5);
        assert_eq!(fleet.says(0), "");
    }

    /// Nor does one that had agreed before go on by what it saw then.
    #[test]
    fn not_by_a_look_that_is_not_fresh() {
        let mut fleet = Fleet::new(3);
        fleet.fails(&[0]);
        for _ in 0..3 {
            fleet.pass(15).at(1, |story| story.stuck(MX, KEY));
        }
        fleet.look(1).mtas[0].dead = true;
        fleet.look(1).mtas[1].cut_off = true;
        fleet.pass(15).at(1, |story| story.stuck(MX, KEY));
        let hold = fleet.state(1).record(MX).unwrap().hold().unwrap();
        assert_eq!(hold.guard(), Some(Guard::Fleet), "{hold}");
    }

    #[test]
    fn not_by_a_vote_whose_mta_has_died() {
        let mut fleet = Fleet::new(3);
        fleet.fails(&[0]).mtas[0].dead = true;
        fleet.pass(60).fails(&[1]).hours(2);
        assert_eq!(fleet.entries(), "");
        assert_eq!(fleet.says(1), "broken 192.0.2.1");
        // While it lives the row is written again and again.
        fleet.fails(&[2]).pass(30);
        assert_eq!(fleet.entries(), KEY);
    }

    #[test]
    fn not_while_everything_is_held_there() {
        for kind in [HaltKind::Paused, HaltKind::Disarmed] {
            let mut fleet = Fleet::new(3);
            fleet.fails(&[0]).halt(0, kind).pass(5);
            assert_eq!(fleet.says(0), "", "{kind:?}");
            fleet.fails(&[1]).pass(30);
            assert_eq!(fleet.entries(), "");
            fleet.at(0, |story| story.input(Input::Request(Request::GoOn))).pass(30);
            assert_eq!(fleet.active(), [KEY; 3]);
        }
    }

    #[test]
    fn not_with_one_whose_fault_is_its_own() {
        let mut fleet = Fleet::new(3);
        fleet.fails(&[0]);
        for relay in 0..20 {
            fleet.at(0, |story| story.stuck(&format!("mx{relay}.example.net"), "192.0.2.9"));
        }
        assert_eq!(fleet.state(0).alarms().len(), 1);
        assert_eq!(fleet.pass(5).says(0), "");
        assert_eq!(fleet.fails(&[1]).pass(30).entries(), "");
    }

    #[test]
    fn by_an_approval_that_is_one_vote() {
        let mut fleet = Fleet::new(3);
        fleet.at(1, |story| story.success(MX)).hours(DAY + 1);
        fleet.fails(&[0, 1]).pass(30);
        assert_eq!(fleet.entries(), "", "TLS with it worked lately on mx2");
        fleet.approve(1).pass(30);
        assert_eq!(fleet.active(), [KEY; 3]);
    }

    /// Neither by what the directory said long ago, nor by what it cannot be told.
    #[test]
    fn not_while_the_directory_cannot_be_reached() {
        let mut fleet = Fleet::new(3);
        fleet.fails(&[0]);
        fleet.mtas[1].cut_off = true;
        fleet.fails(&[1]).hours(1);
        assert_eq!((fleet.says(1), fleet.entries()), (String::new(), String::new()));
        // Nothing is forgotten meanwhile.
        fleet.mtas[1].cut_off = false;
        fleet.pass(30);
        assert_eq!(fleet.active(), [KEY; 3]);
    }

    #[test]
    fn though_one_is_killed_between_its_vote_and_the_entry() {
        let mut fleet = Fleet::new(3);
        fleet.fails(&[0]);
        fleet.mtas[0].frozen = true;
        fleet.fails(&[1]).mtas[1].dead = true;
        fleet.kill(0).pass(30);
        assert_eq!(fleet.entries(), KEY);
    }
}

mod another_mta_objects {
    use super::*;

    #[test]
    fn while_tls_worked_there_within_the_window() {
        let mut fleet = Fleet::new(3);
        fleet.at(2, |story| story.success(MX)).fails(&[0, 1]).pass(30);
        assert_eq!(fleet.says(2), "works");
        let objects = "held mx.example.org: another MTA of the fleet objects: TLS with it worked lately on mx3";
        assert_eq!(fleet.decided(0), [WAITS, objects]);
        goes_on_failing(&mut fleet, &[0, 1], DAY - 2);
        assert_eq!(fleet.entries(), "");
        goes_on_failing(&mut fleet, &[0, 1], 4);
        assert_eq!((fleet.entries(), fleet.says(2)), (KEY.into(), String::new()));
    }

    #[test]
    fn but_not_once_it_fails_there_too() {
        let mut fleet = Fleet::new(3);
        fleet.at(2, |story| story.success(MX)).fails(&[0, 1]).pass(30);
        fleet.at(2, |story| story.stuck(MX, KEY)).pass(30);
        assert_eq!((fleet.says(2), fleet.entries()), (String::new(), KEY.into()));
    }

    /// An entry by address acts on every relay there.
    #[test]
    fn if_tls_worked_with_another_relay_at_the_address() {
        let mut fleet = Fleet::new(3);
        let other = "other.example.net";
        fleet.at(2, |story| story.stuck(other, KEY).success(other)).fails(&[0, 1]).pass(30);
        assert_eq!((fleet.says(2), fleet.entries()), ("works".into(), String::new()));
    }

    #[test]
    fn if_its_own_operator_wants_none() {
        let mut fleet = Fleet::new(3);
        never(&mut fleet, 2);
        fleet.fails(&[0, 1]).pass(30);
        assert_eq!((fleet.says(2), fleet.entries()), ("forbids".into(), String::new()));
    }

    /// Mail to whom it requires TLS would bounce, with an entry for an address that it reaches too.
    #[test]
    fn if_its_mail_to_another_relay_there_would_bounce() {
        let mut fleet = Fleet::new(3);
        fleet.admins = "TLS_Rcpt:secret.example\tVERIFY\n";
        fleet.mtas.iter_mut().for_each(|mta| mta.story.to = vec!["u@example.com"]);
        fleet.at(2, |story| {
            story.to = vec!["u@secret.example"];
            story.stuck("other.example.net", KEY)
        });
        fleet.fails(&[0, 1]).pass(30);
        assert_eq!((fleet.says(2), fleet.entries()), ("forbids".into(), String::new()));
    }

    #[test]
    fn if_its_sendmail_has_warned_of_dane() {
        let mut fleet = active();
        fleet.at(2, |story| story.dane_warning(MX)).kill(2);
        assert_eq!(fleet.entries(), "", "it goes at once, and for all");
        fleet.pass(10).fails(&[0, 1]).pass(30);
        assert_eq!((fleet.says(2), fleet.entries()), ("forbids".into(), String::new()));
    }

    #[test]
    fn in_dry_run_it_does_not() {
        let mut fleet = Fleet::new(3);
        fleet.at(2, |story| story.success(MX)).dry_run(2).fails(&[0, 1]).pass(30);
        assert_eq!((fleet.says(2), fleet.entries()), (String::new(), KEY.into()));
    }
}

mod an_entry_ends {
    use super::*;

    #[test]
    fn when_two_find_the_peer_mended_whatever_the_third_finds() {
        let mut fleet = active();
        finds(&mut fleet, ["good", "broken", "broken"]);
        fleet.hours(3 * DAY);
        assert_eq!((fleet.says(0), fleet.entries()), ("mended 192.0.2.1".into(), KEY.into()));
        finds(&mut fleet, ["good", "good", "broken"]);
        fleet.hours(3 * DAY);
        assert_eq!((fleet.entries(), fleet.active()), (String::new(), vec![String::new(); 3]));
        for mta in 0..3 {
            let over = fleet.decided(mta);
            let ends = |how| over == [format!("over mx.example.org: 192.0.2.1: {how}")];
            assert!(ends("Mended") || ends("Fleet"), "{over:?}");
            let story = &fleet.mtas[mta].story;
            assert!(fleet.state(mta).record(MX).unwrap().probation(story.now()).is_some());
        }
        assert!(fleet.directory.rows.is_empty());
    }

    /// The others need not wait for their own turn.
    #[test]
    fn soon_after_the_first_has_found_it_mended() {
        let mut fleet = Fleet::new(3);
        let probe_every = jiff::SignedDuration::from_hours(4 * DAY);
        let life = Life { probe_every, ..rules(1).life };
        fleet.mtas[1].story.state.set_rules(Rules { life, ..rules(1) });
        fleet.fails(&[0, 1]).pass(30).mtas[2].dead = true;
        finds(&mut fleet, ["good"; 3]);
        fleet.hours(30);
        assert_eq!(fleet.entries(), "");
    }

    #[test]
    fn and_returns_by_one_attempt_at_each_of_two() {
        let mut fleet = active();
        finds(&mut fleet, ["good"; 3]);
        fleet.hours(3 * DAY);
        assert_eq!(fleet.entries(), "");
        fleet.at(0, |story| story.stuck(MX, KEY)).pass(30);
        assert_eq!(fleet.entries(), "");
        fleet.at(2, |story| story.stuck(MX, KEY)).pass(30);
        assert_eq!(fleet.active(), [KEY; 3]);
    }

    #[test]
    fn with_its_time_unless_two_find_it_broken_then() {
        let mut fleet = active();
        finds(&mut fleet, ["broken", "unreached", "unreached"]);
        used(&mut fleet, 4);
        assert_eq!(fleet.active(), [KEY; 3]);
        used(&mut fleet, 2);
        assert_eq!(fleet.entries(), "");
        let last = fleet.decided(0);
        assert_eq!(last.last().unwrap(), "over mx.example.org: 192.0.2.1: NotRenewed");
    }

    #[test]
    fn not_while_two_find_it_broken_at_the_end_of_its_time() {
        let mut fleet = active();
        finds(&mut fleet, ["broken", "broken", "unreached"]);
        used(&mut fleet, 6);
        assert_eq!(fleet.active(), [KEY; 3]);
        let ends: Vec<u32> =
            (0..3).map(|mta| fleet.state(mta).record(MX).unwrap().life().unwrap().until).collect();
        assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
        for mta in 0..3 {
            let told = fleet.decided(mta);
            let renewed = |told: &String| {
                told == "renewed mx.example.org: 192.0.2.1 for 5 days"
                    || told == "renewed mx.example.org: 192.0.2.1 for 4 days"
            };
            assert_eq!(told.iter().filter(|told| renewed(told)).count(), 1, "{told:?}");
        }
        assert!(fleet.directory.rows.is_empty());
    }

    #[test]
    fn not_for_want_of_use_by_two_of_them() {
        let unused_after = jiff::SignedDuration::from_hours(2 * DAY);
        let mut fleet =
            Fleet::with(3, |rules| Rules { life: Life { unused_after, ..rules.life }, ..rules });
        fleet.fails(&[0, 1]).pass(30);
        for _ in 0..3 {
            fleet.at(0, |story| story.uses(MX)).hours(DAY);
        }
        assert_eq!(fleet.active(), [KEY; 3]);
        // Nobody renews what nobody uses. It goes a week after its time, for one of them might have.
        fleet.hours(8 * DAY);
        assert_eq!(fleet.active(), [KEY; 3]);
        fleet.hours(2 * DAY);
        assert_eq!(fleet.entries(), "");
    }

    #[test]
    fn by_an_operator_who_disarms_one_and_is_not_fought_over() {
        let mut fleet = active();
        fleet.halt(0, HaltKind::Disarmed);
        assert_eq!(fleet.entries(), "");
        fleet.fails(&[1, 2]).pass(30);
        assert_eq!(fleet.active(), [KEY; 3], "the others go on without it");
        fleet.kill(0).pass(30);
        assert_eq!(fleet.active(), [KEY; 3]);
    }

    /// Rows die while nobody reaches the directory. That is no reason to end anything.
    #[test]
    fn not_for_want_of_votes_while_the_directory_was_away() {
        let mut fleet = active();
        used(&mut fleet, 4);
        fleet.mtas.iter_mut().for_each(|mta| mta.cut_off = true);
        used(&mut fleet, 2);
        for mta in 0..3 {
            fleet.mtas[mta].cut_off = false;
            fleet.look(mta).look(mta);
        }
        fleet.hours(2);
        assert_eq!(fleet.active(), [KEY; 3]);
        assert!(fleet.decided(0).iter().all(|told| !told.starts_with("over")));
    }

    /// That may be its own fault, and the entry is for others too.
    #[test]
    fn not_because_one_sendmail_does_not_find_it() {
        let mut fleet = active();
        let relay = || Relay::parse(MX.as_bytes()).unwrap().into_owned();
        let refuted = || Input::Proof(relay(), Proof::Refuted("it still tries TLS".into()));
        fleet.at(2, |story| story.input(refuted())).pass(10);
        assert_eq!(fleet.active(), [KEY; 3]);
    }

    #[test]
    fn not_because_one_sendmail_cannot_fall_back() {
        let mut fleet = Fleet::with(3, |rules| Rules { remedy: RelayRemedy::Fallback, ..rules });
        fleet.fails(&[0, 1]).pass(30);
        let no_fallback = Some("no such feature".into());
        fleet.mtas[2].story.state.set_host(Host { no_fallback, ..Host::NOT_ASKED });
        fleet.pass(10);
        assert_eq!(fleet.active(), ["TLS_Clt_features:192.0.2.1"; 3]);
    }

    /// Sendmail uses it each day, everywhere.
    fn used(fleet: &mut Fleet, days: i64) {
        for _ in 0..days {
            for mta in 0..3 {
                fleet.at(mta, |story| story.uses(MX));
            }
            fleet.hours(DAY);
        }
    }
}

mod an_operator_lifts {
    use super::*;

    #[test]
    fn on_one_mta_and_it_sticks_on_all() {
        let mut fleet = active();
        fleet.lift(1).pass(10);
        assert_eq!((fleet.entries(), fleet.says(1)), (String::new(), "lifted".into()));
        for mta in 0..3 {
            let lifted = fleet.decided(mta);
            assert!(lifted.iter().any(|told| told.starts_with("lifted")), "{lifted:?}");
        }
        // Though the MTA dies that he spoke to, and the others are started anew.
        fleet.mtas[1].dead = true;
        fleet.hours(2).kill(0).kill(2);
        assert_eq!(fleet.directory.rows.len(), 1, "its row is dead");
        goes_on_failing(&mut fleet, &[0, 2], 4 * DAY);
        assert_eq!(fleet.entries(), "");
        goes_on_failing(&mut fleet, &[0, 2], 2 * DAY);
        assert_eq!(fleet.entries(), KEY);
    }

    /// What is approved elsewhere has no effect until he takes his own word back.
    #[test]
    fn and_only_there_it_can_be_undone() {
        let mut fleet = active();
        fleet.lift(1).pass(5).approve(0).approve(2).fails(&[0, 2]).pass(30).forget();
        assert_eq!(fleet.entries(), "");
        let hold = fleet.state(0).record(MX).unwrap().hold().unwrap().to_string();
        assert_eq!(hold, "another MTA of the fleet objects: an operator lifted it on mx2");
        fleet.approve(1).pass(30);
        assert_eq!(fleet.active(), [KEY; 3]);
    }

    /// What the others make before they hear of it goes again.
    #[test]
    fn before_there_is_an_entry() {
        let mut fleet = Fleet::new(3);
        fleet.mtas[2].cut_off = true;
        fleet.lift(2).fails(&[0, 1]).pass(30);
        assert_eq!(fleet.entries(), KEY);
        fleet.mtas[2].cut_off = false;
        fleet.look(2);
        assert_eq!((fleet.entries(), fleet.says(2)), (String::new(), "lifted".into()));
        assert!(!fleet.decided(2).iter().any(|told| told.starts_with("joined")));
    }

    #[test]
    fn while_the_directory_cannot_be_reached_and_it_is_made_good() {
        let mut fleet = active();
        fleet.mtas[1].cut_off = true;
        fleet.lift(1).hours(3).kill(1).hours(3);
        assert_eq!(fleet.entries(), KEY);
        fleet.mtas[1].cut_off = false;
        fleet.pass(30);
        assert_eq!((fleet.entries(), fleet.says(1)), (String::new(), "lifted".into()));
    }
}

mod a_member_in_dry_run {
    use super::*;

    #[test]
    fn shows_what_it_would_say_and_is_not_counted() {
        let mut fleet = Fleet::new(3);
        fleet.dry_run(1).fails(&[0, 1]).pass(30);
        assert_eq!((fleet.entries(), fleet.says(1)), (String::new(), String::new()));
        let hold = fleet.state(1).record(MX).unwrap().hold().unwrap().to_string();
        assert_eq!(
            hold,
            "2 MTAs of the fleet must say that Try_TLS:192.0.2.1 is needed: 1 does so far"
        );
        fleet.fails(&[2]).pass(30);
        assert_eq!(fleet.active(), [KEY; 3], "sendmail there reads the same map");
    }

    #[test]
    fn ends_nothing_and_tells_nothing_twice() {
        let mut fleet = active();
        fleet.dry_run(2);
        finds(&mut fleet, ["broken", "broken", "good"]);
        fleet.hours(4 * DAY).lift(2).hours(2);
        assert_eq!((fleet.entries(), fleet.says(2)), (KEY.into(), String::new()));
        assert_eq!(fleet.decided(2), ["lifted mx.example.org: 192.0.2.1 for 5 days"]);

        let mut fleet = active();
        fleet.dry_run(2);
        never(&mut fleet, 2);
        fleet.hours(2);
        let why = "the never-list has mx.example.org";
        assert_eq!(
            fleet.decided(2),
            [
                format!("held mx.example.org: {why}"),
                format!("withdrawn mx.example.org: 192.0.2.1: {why}")
            ]
        );
        assert_eq!(fleet.entries(), KEY);
    }

    /// Though nobody else is there to renew it.
    #[test]
    fn leaves_an_entry_that_is_over() {
        let mut fleet = active();
        fleet.dry_run(2).mtas[0].dead = true;
        fleet.mtas[1].dead = true;
        fleet.hours(6 * DAY);
        assert_eq!((fleet.entries(), fleet.decided(2)), (KEY.into(), vec![]));
    }

    /// What it would have taken out, others took out, and then made again.
    #[test]
    fn follows_an_entry_that_comes_back() {
        let mut fleet = active();
        fleet.dry_run(2).lift(2).halt(0, HaltKind::Disarmed).hours(1);
        assert_eq!(fleet.entries(), "");
        fleet.at(0, |story| story.input(Input::Request(Request::GoOn))).hours(5 * DAY);
        fleet.fails(&[0, 1]).pass(30);
        assert_eq!(fleet.active(), [KEY; 3]);
    }
}

mod a_lagging_replica {
    use super::*;

    #[test]
    fn is_not_believed_just_after_an_entry_was_made() {
        let mut fleet = Fleet::new(3);
        fleet.fails(&[0, 1]).mtas[1].dead = true;
        fleet.mtas[0].replica = Some(fleet.directory.clone());
        fleet.pass(5);
        assert_eq!(fleet.written, ["mx1 192.0.2.1"]);
        fleet.look(0).look(0).mtas[0].replica = None;
        fleet.pass(30);
        let over = fleet.decided(0).iter().any(|told| told.starts_with("over"));
        assert!(!over && fleet.active()[0] == KEY);
    }

    #[test]
    fn brings_nothing_back_that_was_taken_out() {
        let mut fleet = active();
        fleet.mtas[0].replica = Some(fleet.directory.clone());
        fleet.halt(0, HaltKind::Disarmed).look(0).look(0);
        fleet.mtas[0].replica = None;
        fleet.hours(1);
        assert_eq!((fleet.entries(), fleet.active()), (String::new(), vec![String::new(); 3]));
        let told = fleet.decided(0);
        assert_eq!(told, ["disarmed by ann", "over mx.example.org: 192.0.2.1: Disarmed"]);
    }
}

/// The ledger has what waits, so that whoever asks without a look at the directory is told.
#[test]
fn what_waits_is_kept_and_explained() {
    let mut fleet = Fleet::new(3);
    fleet.fails(&[0]);
    let read: State = reload(fleet.state(0));
    let relay = Relay::parse(MX.as_bytes()).unwrap();
    let opinions = judge(&read, &relay, &read.would_ask(&relay), fleet.mtas[0].story.now());
    let last = opinions.last().unwrap();
    assert_eq!(last.guard, Guard::Fleet);
    let Says::Holds(hold) = &last.says else { panic!("{last:?}") };
    assert_eq!(
        hold.to_string(),
        "2 MTAs of the fleet must say that Try_TLS:192.0.2.1 is needed: 1 does so far"
    );
}

#[test]
fn without_a_fleet_nothing_is_said_and_nobody_asked() {
    let rules = Rules { fleet: None, ..rules(0) };
    let state = State::new(rules);
    let relay = Relay::parse(MX.as_bytes()).unwrap();
    let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let opinions = judge(&state, &relay, &state.would_ask(&relay), now);
    assert!(opinions.iter().all(|opinion| opinion.guard != Guard::Fleet));
}

/// One MTA sees a client, and there are no votes about clients.
#[test]
fn in_a_fleet_the_receiving_side_is_off() {
    let rules = Rules { receiving: Some(Receiving::default()), ..rules(0) };
    assert!(State::new(rules.clone()).rules().receiving.is_none());
    let mut state = State::new(Rules { fleet: None, ..rules.clone() });
    assert!(state.rules().receiving.is_some());
    state.set_rules(Rules { fleet: Some(fleet::Fleet::new("mx1")), ..rules });
    assert!(state.rules().receiving.is_none());
}
