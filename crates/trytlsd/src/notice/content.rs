//! What notices say: news, the summary of a day, a test.

use config::Config;
use jiff::Timestamp;

use super::mail::{Notice, Paper, foreign, own_name};
use super::needs::{self, Need};
use super::{NOTICE, whom};
use crate::chronicle::Chronicle;
use crate::html::{count, length, minute};
use crate::overview::Overview;

/// Things, and relays, that one notice tells in full; of more it tells the number.
const MOST: usize = 25;

/// What needs a person and began after that happening; none if nothing does any more.
pub(super) fn news(config: &Config, overview: &Overview, upto: i64) -> Option<Notice> {
    let all = needs::of(overview);
    let before = all.iter().filter(|need| need.id <= upto).count();
    let new: Vec<Need> = all.into_iter().filter(|need| need.id > upto).collect();
    if new.is_empty() {
        return None;
    }
    let mut paper = head(config, overview);
    let things = things(new.len());
    paper.say(&format!("{things} a person. It will not end by itself."));
    paper.gap();
    tell(&mut paper, &new);
    if before > 0 {
        paper.say(&format!("Told before, and as it was: {}.", count(before, "thing")));
        paper.gap();
    }
    foot(&mut paper, config);
    Some(notice(config, overview, &format!("{things} a person"), paper))
}

/// What happened since then, and how things stand; none if there is nothing to say.
pub(super) fn digest(config: &Config, overview: &Overview, since: Timestamp) -> Option<Notice> {
    let chronicle = Chronicle::of(overview, since);
    let needs = needs::of(overview);
    let relays: Vec<_> = chronicle
        .relays
        .iter()
        .filter(|row| !row.done.is_empty() || row.waiting > 0 || row.held.is_some())
        .collect();
    let of_all: Vec<_> = chronicle.of_all.iter().filter(|done| done.what != NOTICE).collect();
    let quiet = relays.is_empty() && of_all.is_empty() && needs.is_empty();
    if quiet && overview.halt.is_none() {
        return None;
    }
    let mut paper = head(config, overview);
    paper.say(&format!("Between {} and {}:", minute(chronicle.since), minute(chronicle.until)));
    paper.gap();
    for line in chronicle.sums.lines() {
        paper.item(&line);
    }
    paper.gap();
    if let Some(halt) = &overview.halt {
        paper.say(&format!("Nothing is decided at present: it is {}.", foreign(&halt.to_string())));
        paper.command("trytlsd resume");
        paper.gap();
    }
    if !needs.is_empty() {
        paper.say(&format!("{} a person:", things(needs.len())));
        paper.gap();
        tell(&mut paper, &needs);
    }
    if !relays.is_empty() {
        paper.say("Relays:");
        paper.gap();
    }
    for row in relays.iter().take(MOST) {
        let state = match (row.is_off(), row.off_for) {
            (true, seconds) => format!("TLS off for {}", length(seconds)),
            (false, 0) => row.state.to_owned(),
            (false, seconds) => format!("{}, TLS was off for {}", row.state, length(seconds)),
        };
        let waiting = match row.waiting {
            0 => String::new(),
            waiting => format!(", {} known to wait", count(waiting, "message")),
        };
        let sent = match row.sent {
            0 => String::new(),
            sent => format!(
                ", {} delivered in clear",
                count(usize::try_from(sent).unwrap_or(usize::MAX), "message")
            ),
        };
        paper.item(&format!("{}: {state}{waiting}{sent}", foreign(&row.relay)));
        if let Some(last) = row.done.last() {
            let (what, detail) = (foreign(&last.what), foreign(&last.detail));
            paper.more(&format!("{} {what}: {detail}", minute(last.at)));
        }
        if paper.is_full() {
            break;
        }
    }
    if relays.len() > MOST {
        paper.item(&format!("and {} more", relays.len() - MOST));
    }
    if !relays.is_empty() {
        paper.gap();
    }
    paper.say("All of it, and who did what:");
    paper.command("trytlsd report --since 1d");
    paper.gap();
    foot(&mut paper, config);
    let sums = &chronicle.sums;
    let subject = format!(
        "{} without TLS, {} held, {} waiting",
        count(sums.in_force, "relay"),
        sums.held,
        count(sums.waiting, "message")
    );
    Some(notice(config, overview, &subject, paper))
}

/// For an operator who wants to see whether notices come.
pub(super) fn test(config: &Config, at: Timestamp) -> Notice {
    let mut paper = Paper::default();
    paper.say(&format!(
        "This is a test, made on {} by trytlsd notice --test. Notices of what needs a person come as this one did, to {}.",
        own_name(config),
        foreign(&whom(config))
    ));
    paper.gap();
    foot(&mut paper, config);
    let subject = format!("trytlsd on {}: test", own_name(config));
    Notice { subject, text: paper.into_text(), at, number: 0 }
}

fn things(number: usize) -> String {
    format!("{} {}", count(number, "thing"), if number == 1 { "needs" } else { "need" })
}

fn notice(config: &Config, overview: &Overview, subject: &str, paper: Paper) -> Notice {
    let dry = if overview.daemon.dry_run { " (dry run)" } else { "" };
    let subject = format!("trytlsd on {}: {subject}{dry}", own_name(config));
    Notice { subject, text: paper.into_text(), at: overview.at, number: overview.newest }
}

fn head(config: &Config, overview: &Overview) -> Paper {
    let mut paper = Paper::default();
    paper.say(&format!("This is trytlsd on {}.", own_name(config)));
    if overview.daemon.dry_run {
        paper.say("It is a dry run: entries are only shown, and none is written.");
    }
    paper.gap();
    paper
}

/// Each with why, since when, and what to do.
fn tell(paper: &mut Paper, needs: &[Need]) {
    let mut told = 0;
    for need in needs.iter().take(MOST) {
        if paper.is_full() {
            break;
        }
        told += 1;
        paper.item(&need.what);
        paper.more(&format!("Why: {}.", need.why));
        paper.more(&format!("Since: {}.", minute(need.since)));
        if let Some(waits) = &need.waits {
            paper.more(&format!("Mail: {waits}."));
        }
        paper.more(&format!("What to do: {}", need.advice.says));
        for command in &need.advice.commands {
            paper.command(command);
        }
        paper.gap();
    }
    if needs.len() > told {
        paper.say(&format!("And {} more:", needs.len() - told));
        paper.command("trytlsd list");
        paper.gap();
    }
}

fn foot(paper: &mut Paper, config: &Config) {
    if let Some(listen) = &config.status.listen.0 {
        paper.say(&format!("The page, from this host: http://{}/", listen.0));
    }
    paper.say(&format!(
        "Notices come {} apart at least ([notice] every); each thing is told once{}.",
        *config.notice.every,
        if *config.notice.digest {
            ", and again in the summary of the morning while it lasts"
        } else {
            ""
        }
    ));
}
