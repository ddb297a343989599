//! Lines around each kind of rotation, while the daemon runs: none may be missed.
//!
//! Every line is a failure of a relay of its own, and one failure is enough: the dry run shows each relay once. With
//! copytruncate a line can be written between the copy and the cut: it is in no file any more, and whether anybody could
//! read it in that moment is chance. It is the only one that may be missing, and is counted apart.

use std::collections::HashMap;
use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::cast::{Kind, Member};
use super::stage::{SHOWN_AT_ONCE, Stage};
use super::{Args, Figure, complain, progress};
use crate::generate::random::Random;
use crate::local::Local;

/// How long the last lines may take: a renamed file is read on for ten seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// Rotated logs that are kept: all. Rotations come many a second here, not once a day.
const KEPT: u32 = 120;

/// How a log is rotated.
#[derive(Clone, Copy)]
enum Way {
    Rename,
    LateLines,
    Recreate,
    CopyTruncate,
}

pub(super) fn run(args: &Args) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (way, what, percent) in [
        (Way::Rename, "rename right after the line", 100),
        (Way::LateLines, "rename, a late line to the old file", 100),
        (Way::Recreate, "removed and made anew", 100),
        (Way::CopyTruncate, "copytruncate right after the line", 95),
    ] {
        progress(format_args!("{what}"));
        figures.extend(rotate(args, way, what, percent)?);
    }
    Ok(figures)
}

fn rotate(args: &Args, way: Way, what: &str, percent: u32) -> Result<Vec<Figure>> {
    let mut random = Random::new(args.seed);
    let mut stage = Stage::new(false, SHOWN_AT_ONCE)?;
    let mut daemon = stage.start()?;
    let mut lines = 0..;
    let mut next = || Member::new(lines.next().unwrap_or_default(), Kind::Broken);
    let (mut written, mut cut) = (Vec::new(), Vec::new());
    for _ in 0..args.rotations {
        let member = next();
        stage.append("mail.log", &member.failure())?;
        written.push(member);
        match way {
            Way::Rename | Way::LateLines => {
                shift(&stage)?;
                stage.rename("mail.log", "mail.log.1")?;
                if matches!(way, Way::LateLines) {
                    // syslogd has not been told yet.
                    pause(&mut random, 20);
                    let member = next();
                    stage.append("mail.log.1", &member.failure())?;
                    written.push(member);
                }
                pause(&mut random, 10);
                stage.write("mail.log", b"")?;
            }
            Way::Recreate => {
                // Removed when it has been read; before, nobody could.
                shown(&mut daemon, &written, LIMIT)?;
                stage.remove("mail.log")?;
                pause(&mut random, 10);
                stage.write("mail.log", b"")?;
            }
            Way::CopyTruncate => {
                shift(&stage)?;
                std::fs::copy(stage.path("mail.log"), stage.path("mail.log.1"))?;
                if random.below(4) == 0 {
                    let member = next();
                    stage.append("mail.log", &member.failure())?;
                    cut.push(member);
                }
                File::options().write(true).open(stage.path("mail.log"))?.set_len(0)?;
            }
        }
        pause(&mut random, 60);
    }
    let seen = shown(&mut daemon, &written, LIMIT)?;
    let count = |members: &[Member]| {
        let found = members.iter().filter(|m| seen.contains_key(&m.entry())).count();
        u32::try_from(found).unwrap_or(u32::MAX)
    };
    let total = u32::try_from(written.len()).unwrap_or(u32::MAX);
    let twice = seen.values().filter(|times| **times > 1).count();
    let mut figures = vec![
        Figure::count(what, count(&written), total, total * percent / 100),
        Figure::none(format!("{what}: shown twice"), twice),
    ];
    if let Way::CopyTruncate = way {
        let of = cut.len();
        figures.push(Figure {
            what: "copytruncate: lines between copy and cut".to_owned(),
            got: format!("{} of {of}", count(&cut)),
            wanted: "chance".to_owned(),
            met: true,
        });
    }
    if figures.iter().any(|figure| !figure.met) {
        stage.kill(daemon)?;
        complain(format_args!("kept: {}", stage.keep().display()));
    }
    Ok(figures)
}

/// Makes room for `mail.log.1`.
fn shift(stage: &Stage) -> Result<()> {
    for number in (1..KEPT).rev() {
        stage.rename(&format!("mail.log.{number}"), &format!("mail.log.{}", number + 1))?;
    }
    Ok(())
}

fn pause(random: &mut Random, most: u32) {
    sleep(Duration::from_millis(random.below(most + 1).into()));
}

/// Waits until all are shown, or for so long; which entries are, and how often.
fn shown(daemon: &mut Local, all: &[Member], limit: Duration) -> Result<HashMap<String, u32>> {
    let end = Instant::now() + limit;
    loop {
        let mut seen: HashMap<String, u32> = HashMap::new();
        for said in daemon.said().iter().filter(|said| said.proposed) {
            *seen.entry(said.line.clone()).or_default() += 1;
        }
        if all.iter().all(|m| seen.contains_key(&m.entry())) || Instant::now() >= end {
            return Ok(seen);
        }
        sleep(Duration::from_millis(5));
    }
}
