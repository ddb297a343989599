//! Random `kill -9`, while events stream, the log rotates and the map is rewritten.
//!
//! After each kill the access file and the map are looked at as they lie: each must be whole. After the next start they
//! must belong together. Between a kill and a start lines are written and the log is rotated as before. In the end the
//! daemon is left in peace, and every relay must have what it should.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::cast::{Cast, Wrong};
use super::stage::{Stage, sound};
use super::{Args, Figure, complain, progress};
use crate::generate::random::Random;

const CONFIG: &str = "dry_run = false\n\
    [policy]\nprobe = false\nfailures = 3\nmin_span = \"0s\"\nmax_relays = 100000\n\
    [guards]\nweak_min_span = \"0s\"\ntrusted_for = \"0s\"\nmax_entries = 0\nmax_per_hour = 0\nburst_relays = 0\nburst_share = 0.0\n";

/// Rotated logs that are kept.
const KEPT: u32 = 60;

/// How long the last lines may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A process lives for so many milliseconds at most: some do not get through their start.
const LIFE: u32 = 600;

pub(super) fn run(args: &Args) -> Result<Vec<Figure>> {
    let mut random = Random::new(args.seed);
    let mut stage = Stage::new(true, CONFIG)?;
    let mut cast = Cast::default();
    for number in 0..args.kills {
        progress(format_args!("kill {number} of {}", args.kills));
        let daemon = stage.begin()?;
        let life = Duration::from_millis(random.below(LIFE).into());
        stream(&stage, &mut cast, &mut random, life)?;
        stage.kill(daemon)?;
        let damage = stage.damage()?;
        sound(&mut stage, damage.map(|damage| format!("after kill {number}: {damage}")))?;
        if random.below(3) == 0 {
            let pause = Duration::from_millis(random.below(40).into());
            stream(&stage, &mut cast, &mut random, pause)?;
        }
        if number % 20 == 19 {
            let damage = belongs(&stage)?;
            sound(
                &mut stage,
                damage.map(|d| format!("after the start that followed kill {number}: {d}")),
            )?;
        }
    }
    let mut daemon = stage.start()?;
    while let Some(lines) = cast.finish(&mut random) {
        stage.append("mail.log", &lines.concat())?;
    }
    let end = Instant::now() + LIMIT;
    let mut wrong = cast.wrong(&stage)?;
    while !wrong.lost.is_empty() && Instant::now() < end {
        sleep(Duration::from_millis(250));
        wrong = cast.wrong(&stage)?;
    }
    daemon.stop()?;
    let wrong = cast.wrong(&stage)?;
    let damage = match stage.damage()? {
        None if !stage.belongs()? => Some("the map does not belong to the text".to_owned()),
        damage => damage,
    };
    sound(&mut stage, damage)?;
    tell(&mut stage, &wrong);
    let what = format!("{} kill -9, {} relays, {}", args.kills, cast.members.len(), stage.map());
    Ok(vec![
        Figure::none(format!("{what}: lost"), wrong.lost.len()),
        Figure::none(format!("{what}: counted twice"), wrong.again.len()),
        Figure::none(format!("{what}: entries twice"), wrong.twice.len()),
    ])
}

/// Writes lines for so long, and rotates now and then, also between the two lines of a failure.
fn stream(stage: &Stage, cast: &mut Cast, random: &mut Random, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        for line in cast.next(random) {
            stage.append("mail.log", &line)?;
            if random.below(300) == 0 {
                rotate(stage, random)?;
            }
        }
        if Instant::now() >= end {
            return Ok(());
        }
        sleep(Duration::from_micros(random.below(8000).into()));
    }
}

/// As logrotate does: by renaming, what is older packed. What is kept is more than is written while no process lives long
/// enough to read it.
fn rotate(stage: &Stage, random: &mut Random) -> Result<()> {
    for number in (2..KEPT).rev() {
        let (from, to) = (format!("mail.log.{number}.gz"), format!("mail.log.{}.gz", number + 1));
        stage.rename(&from, &to)?;
    }
    stage.rename("mail.log.1", "mail.log.2")?;
    stage.rename("mail.log", "mail.log.1")?;
    if random.below(2) == 0 {
        stage.write("mail.log", b"")?;
    }
    stage.pack("mail.log.2")
}

/// Starts it once more and leaves it in peace. What is wrong then, if anything is.
fn belongs(stage: &Stage) -> Result<Option<String>> {
    let daemon = stage.start()?;
    let end = Instant::now() + LIMIT;
    while !stage.belongs()? {
        if Instant::now() >= end {
            return Ok(Some("the map does not belong to the text".to_owned()));
        }
        sleep(Duration::from_millis(50));
    }
    stage.kill(daemon)?;
    Ok(None)
}

/// Says what is wrong, and keeps the folder then.
fn tell(stage: &mut Stage, wrong: &Wrong) {
    let all: Vec<&String> = wrong.lost.iter().chain(&wrong.again).chain(&wrong.twice).collect();
    for one in all.iter().take(20) {
        complain(format_args!("{one}"));
    }
    if !all.is_empty() {
        complain(format_args!("kept: {}", stage.keep().display()));
    }
}
