//! A fleet, whatever comes first: stuck mail and successes, looks, lost writes, dead and killed MTAs, replicas that lag,
//! operators. No entry is ever written that not two MTAs have just wanted; and once all is well again nothing is under way,
//! hearts and directory say the same, and what was said by an operator sticks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod story;

use std::collections::BTreeSet;

use policy::guard::Guard;
use policy::halt::HaltKind;
use policy::input::{Input, Request};
use proptest::prelude::*;
use story::MX;
use story::fleet::Fleet;

const MTAS: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Turn {
    /// Mail is stuck at the MTA, at this address.
    Stuck(usize, u8),
    /// At all of them, three times over half an hour.
    AllFail,
    /// TLS works there.
    Works(usize),
    /// So many times five minutes pass.
    Minutes(i64),
    Hours(i64),
    /// What its probes find from now on.
    Finds(usize, &'static str),
    /// It stops, or goes on.
    Dies(usize),
    Lives(usize),
    /// It cannot reach the directory, or can again.
    CutOff(usize),
    Connected(usize),
    /// It reads from a replica that stands still for five minutes.
    Lags(usize),
    /// What it wants done from now on is lost, until it is killed.
    Freezes(usize),
    Killed(usize),
    /// An operator's words.
    Lift(usize),
    Approve(usize),
    Halt(usize),
    GoOn(usize),
    DryRun(usize),
    Armed(usize),
}

struct World {
    fleet: Fleet,
    /// Where an operator lifted it and has not approved of it since; until which minute.
    lifted: [i64; MTAS],
}

impl World {
    fn take(&mut self, turn: Turn) {
        let fleet = &mut self.fleet;
        let alive = |mta: usize| !fleet.mtas[mta].dead;
        match turn {
            Turn::Stuck(mta, host) => {
                fleet.at(mta, |story| story.stuck(MX, &format!("192.0.2.{host}")));
            }
            Turn::AllFail => {
                fleet.fails(&[0, 1, 2]);
            }
            Turn::Works(mta) => {
                fleet.at(mta, |story| story.success(MX));
            }
            Turn::Minutes(fives) => {
                fleet.pass(fives * 5);
            }
            Turn::Hours(hours) => {
                fleet.hours(hours);
            }
            Turn::Finds(mta, found) => fleet.mtas[mta].finds = found,
            Turn::Dies(mta) => fleet.mtas[mta].dead = true,
            Turn::Lives(mta) => self.lives(mta),
            Turn::CutOff(mta) => fleet.mtas[mta].cut_off = true,
            Turn::Connected(mta) => fleet.mtas[mta].cut_off = false,
            Turn::Lags(mta) => {
                fleet.mtas[mta].replica = Some(fleet.directory.clone());
                fleet.pass(5).mtas[mta].replica = None;
            }
            Turn::Freezes(mta) => fleet.mtas[mta].frozen = true,
            Turn::Killed(mta) => {
                fleet.kill(mta);
            }
            Turn::Lift(mta) if alive(mta) => {
                self.lifted[mta] = fleet.minute + 5 * 24 * 60;
                fleet.lift(mta);
            }
            Turn::Approve(mta) if alive(mta) => {
                self.lifted[mta] = 0;
                fleet.approve(mta);
            }
            Turn::Halt(mta) => {
                fleet.halt(mta, HaltKind::Paused);
            }
            Turn::GoOn(mta) => self.go_on(mta),
            Turn::DryRun(mta) => {
                fleet.dry_run(mta);
            }
            Turn::Armed(mta) => self.arm(mta),
            Turn::Lift(_) | Turn::Approve(_) => {}
        }
    }

    /// One that was dead begins anew, with its ledger.
    fn lives(&mut self, mta: usize) {
        if std::mem::take(&mut self.fleet.mtas[mta].dead) {
            self.fleet.kill(mta);
        }
    }

    fn arm(&mut self, mta: usize) {
        self.fleet.mtas[mta].story.dry_run = false;
        self.fleet.at(mta, |story| story.input(Input::Request(Request::Arm)));
    }

    fn go_on(&mut self, mta: usize) {
        self.fleet.at(mta, |story| story.input(Input::Request(Request::GoOn)));
    }

    /// All are there, armed and connected, peers are broken for all, and some minutes pass.
    fn settle(&mut self) {
        for mta in 0..MTAS {
            self.lives(mta);
            self.fleet.mtas[mta].cut_off = false;
            self.fleet.mtas[mta].finds = "broken";
            if self.fleet.mtas[mta].frozen {
                self.fleet.kill(mta);
            }
            self.go_on(mta);
            self.arm(mta);
        }
        self.fleet.pass(60);
    }
}

fn turn() -> impl Strategy<Value = Turn> {
    let mta = || 0..MTAS;
    let found = prop_oneof![Just("broken"), Just("good"), Just("unreached")];
    prop_oneof![
        6 => (mta(), 1..3u8).prop_map(|(mta, host)| Turn::Stuck(mta, host)),
        3 => Just(Turn::AllFail),
        1 => mta().prop_map(Turn::Works),
        6 => (1..8i64).prop_map(Turn::Minutes),
        1 => (1..30i64).prop_map(Turn::Hours),
        2 => (mta(), found).prop_map(|(mta, found)| Turn::Finds(mta, found)),
        1 => mta().prop_map(Turn::Dies),
        1 => mta().prop_map(Turn::Lives),
        1 => mta().prop_map(Turn::CutOff),
        1 => mta().prop_map(Turn::Connected),
        1 => mta().prop_map(Turn::Lags),
        1 => mta().prop_map(Turn::Freezes),
        2 => mta().prop_map(Turn::Killed),
        1 => mta().prop_map(Turn::Lift),
        1 => mta().prop_map(Turn::Approve),
        1 => mta().prop_map(Turn::Halt),
        1 => mta().prop_map(Turn::GoOn),
        1 => mta().prop_map(Turn::DryRun),
        1 => mta().prop_map(Turn::Armed),
    ]
}

fn keys(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(ToOwned::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn hearts_and_directory_agree_whatever_comes_first(turns in prop::collection::vec(turn(), 1..60)) {
        let mut world = World { fleet: Fleet::new(MTAS), lifted: [0; MTAS] };
        for turn in turns {
            world.take(turn);
        }
        world.settle();
        let World { fleet, lifted } = &mut world;
        prop_assert!(fleet.unwanted.is_empty(), "{:?}", fleet.unwanted);

        let entries = keys(&fleet.entries());
        for (mta, active) in fleet.active().iter().enumerate() {
            prop_assert_eq!(&keys(active), &entries, "mx{} and the directory", mta + 1);
        }
        let sticks = lifted.iter().any(|until| *until > fleet.minute);
        prop_assert!(!sticks || entries.is_empty(), "lifted, and there is {:?}", entries);

        for (mta, until) in lifted.iter().enumerate() {
            let hold = fleet.state(mta).record(MX).and_then(|record| record.hold());
            let waits = hold.is_some_and(|hold| hold.guard() == Some(Guard::Fleet));
            let said = fleet.says(mta);
            prop_assert!(!waits || !said.is_empty(), "mx{} waits and does not say so", mta + 1);
            prop_assert_eq!(*until > fleet.minute, said == "lifted", "mx{} says {:?}", mta + 1, said);
        }
        let said: Vec<String> = (0..MTAS).map(|mta| fleet.says(mta)).collect();
        let objects = |said: &String| ["works", "forbids", "lifted"].contains(&&**said);
        for key in ["192.0.2.1", "192.0.2.2"] {
            let wanted = said.iter().filter(|said| said.starts_with("broken") && said.contains(key));
            let agreed = wanted.count() >= 2 && !said.iter().any(objects);
            prop_assert!(!agreed || entries.contains(key), "{said:?} and no {key}");
        }

        // Nothing is under way: another look at the same moment brings nothing about.
        let rows = fleet.directory.rows.len();
        fleet.forget();
        for mta in 0..MTAS {
            fleet.look(mta);
            let told = fleet.decided(mta);
            prop_assert!(told.is_empty(), "{told:?}");
        }
        prop_assert_eq!((rows, keys(&fleet.entries())), (fleet.directory.rows.len(), entries));
    }
}
