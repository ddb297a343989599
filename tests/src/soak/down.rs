//! Lines that are written while the daemon does not run, over no, one and two rotations, packed or not, by number or by
//! date: all must be read at the next start, once.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::cast::{Kind, Member};
use super::stage::{SHOWN_AT_ONCE, Stage};
use super::{Args, Figure, progress};
use crate::generate::random::Random;

/// How rotated files are named.
#[derive(Clone, Copy)]
enum Names {
    Numbers,
    Dates,
}

pub(super) fn run(args: &Args) -> Result<Vec<Figure>> {
    let mut random = Random::new(args.seed);
    let mut figures = Vec::new();
    for rotations in 0..=2 {
        for packed in [false, true] {
            for (names, word) in [(Names::Numbers, "numbers"), (Names::Dates, "dates")] {
                let one = rotations == 0 && (packed || matches!(names, Names::Dates));
                if one {
                    continue;
                }
                let packing = if packed { "packed" } else { "plain" };
                let what = match rotations {
                    0 => "written while down, no rotation".to_owned(),
                    n => format!("written while down, {n} rotations, {packing}, by {word}"),
                };
                progress(format_args!("{what}"));
                let (mut found, mut of, mut twice) = (0, 0, 0);
                for _ in 0..args.rounds {
                    let round = one_round(rotations, packed, names, &mut random)?;
                    (found, of, twice) = (found + round.0, of + round.1, twice + round.2);
                }
                figures.push(Figure::count(what.clone(), found, of, of));
                figures.push(Figure::none(format!("{what}: shown twice"), twice));
            }
        }
    }
    Ok(figures)
}

/// Lines found, lines written, lines found twice.
fn one_round(
    rotations: u32,
    packed: bool,
    names: Names,
    random: &mut Random,
) -> Result<(u32, u32, usize)> {
    let stage = Stage::new(false, SHOWN_AT_ONCE)?;
    let mut members = Vec::new();
    let mut write = |random: &mut Random| -> Result<()> {
        for _ in 0..=random.below(5) {
            let member = Member::new(members.len(), Kind::Broken);
            stage.append("mail.log", &member.failure())?;
            members.push(member);
        }
        Ok(())
    };
    let mut daemon = stage.start()?;
    write(random)?;
    let mut shown = Vec::new();
    // So that it has a place in this file; what it has read by then is chance.
    sleep(Duration::from_millis(random.below(300).into()));
    shown.extend(daemon.said().iter().filter(|said| said.proposed).map(|said| said.line.clone()));
    stage.kill(daemon)?;
    write(random)?;
    for rotation in 0..rotations {
        rotate(&stage, rotation, packed, names)?;
        write(random)?;
    }
    let mut daemon = stage.start()?;
    let quiet = Duration::from_millis(100);
    for _ in 0..100 {
        let all = members.iter().all(|m| {
            let entry = m.entry();
            shown.contains(&entry) || daemon.said().iter().any(|said| said.line == entry)
        });
        if all {
            break;
        }
        sleep(quiet);
    }
    sleep(quiet);
    let again: Vec<String> =
        daemon.said().iter().filter(|said| said.proposed).map(|said| said.line.clone()).collect();
    ensure!(daemon.stop()?.success(), "the daemon ended badly");
    let times = |member: &Member| {
        let entry = member.entry();
        shown.iter().chain(&again).filter(|line| **line == entry).count()
    };
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let found = members.iter().filter(|member| times(member) > 0).count();
    // A line that was shown just before the kill may be shown again: the commit that says so came too late. Twice in one
    // life it must not be.
    let twice = members
        .iter()
        .filter(|m| again.iter().filter(|line| **line == m.entry()).count() > 1)
        .count();
    Ok((number(found), number(members.len()), twice))
}

fn rotate(stage: &Stage, rotation: u32, packed: bool, names: Names) -> Result<()> {
    let (first, second) = match names {
        Names::Numbers => ("mail.log.1".to_owned(), "mail.log.2".to_owned()),
        Names::Dates => (format!("mail.log-2026112{rotation}"), String::new()),
    };
    if let Names::Numbers = names {
        stage.rename("mail.log.1.gz", "mail.log.2.gz")?;
        stage.rename(&first, &second)?;
    }
    stage.rename("mail.log", &first)?;
    if packed {
        stage.pack(&first)?;
    }
    stage.write("mail.log", b"")
}
