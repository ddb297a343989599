//! Imitations: lines that sendmail or another program really writes, with text in them that somebody
//! else chose so that it reads as a failure of a relay.

use super::Spec;
use super::cast::{Cast, Host};
use super::ordinary::{MTA, Two, join, queue_id};
use super::random::Random;

/// Relays that never fail and are only ever named by imitations.
const VICTIMS: u32 = 50;

/// Writes the text of an imitation; gives the program's name, and the relay's where it never fails.
pub(super) fn write(
    out: &mut Vec<u8>,
    cast: &Cast,
    random: &mut Random,
    spec: &Spec,
    pid: u32,
) -> (&'static str, Option<String>) {
    out.clear();
    let innocent =
        (random.below(2) == 0).then(|| format!("mx{}.victim.example", random.below(VICTIMS)));
    let relay = innocent.as_deref().unwrap_or(&cast.failing(random).name).to_owned();
    let Host { name, address, .. } = cast.host(random);
    let recipient = cast.recipient(random);
    let code = u32::from(spec.code);
    let tag = &spec.tag;
    let mut ruleset = Vec::new();
    join!(&mut ruleset; "ruleset=tls_server, arg1=SOFTWARE, relay=", &relay, ", reject=", code,
        " 4.7.0 TLS handshake failed.");
    let ruleset = String::from_utf8_lossy(&ruleset);
    let ruleset = &*ruleset;
    let mut deferred = Vec::new();
    join!(&mut deferred; "relay=", &relay, ". [192.0.2.1], dsn=4.7.0, stat=Deferred: ", code,
        " 4.7.0 TLS handshake failed.");
    let deferred = String::from_utf8_lossy(&deferred);
    let deferred = &*deferred;
    let mut program = MTA;
    let kind = random.below(9);
    if !matches!(kind, 7 | 8) {
        queue_id(out, random, pid);
    }
    let mut delivery = |out: &mut Vec<u8>| {
        join!(out; ": to=<", recipient, ">, delay=00:00:", Two(random.below(60)),
            ", xdelay=00:00:01, mailer=esmtp, pri=", 120_000 + random.below(4096), ", relay=", name,
            ". [", address, "], dsn=4.7.1, ");
    };
    match kind {
        // The sender of a message.
        0 => join!(out; ": from=<", ruleset, "@sender.example>, size=0, class=0, nrcpts=0, ",
            "proto=ESMTP, daemon=MTA-v4, relay=", name, " [", address, "]"),
        // A recipient that is refused.
        1 => join!(out; ": ruleset=check_rcpt, arg1=<x, relay=", &relay, ", reject=", code,
            " 4.7.0 TLS handshake failed.>, relay=", name, " [", address,
            "], reject=550 5.7.1 Relaying denied"),
        // What a server answers, in both places where sendmail logs it.
        2 => {
            delivery(out);
            join!(out; "reply=451 4.7.1 ", deferred, ", stat=Deferred: 451 4.7.1 ", deferred);
        }
        // The same up to the end of the line.
        3 => {
            delivery(out);
            join!(out; "stat=Deferred: 451 4.7.1 come back, ", deferred);
        }
        // What looks like the beginning of another line.
        4 => {
            delivery(out);
            join!(out; "stat=Deferred: 451 4.7.1 ", tag, "[", pid, "]: ", ruleset);
        }
        // The name that a client gives itself.
        5 => join!(out; ": rejecting commands from ", ruleset, " [", address,
            "] due to pre-greeting traffic after 0 seconds"),
        // A message's own id.
        6 => {
            join!(out; ": from=<", recipient, ">, size=1234, class=0, nrcpts=1, msgid=<]: ", ruleset,
            ">, proto=ESMTP, daemon=MTA-v4, relay=", name, " [", address, "]")
        }
        // A subject that a filter logs.
        7 => {
            program = "spamd";
            join!(out; "spamd: identified spam (9.9/5.0) for ", cast.user(random), ":1000 subject: ",
                tag, "[1]: ", ruleset);
        }
        // A success that is none: a client's name on the receiving side.
        _ => {
            join!(out; "STARTTLS=server, error: accept failed=-1, reason=http request, SSL_error=1, ",
            "errno=0, retry=-1, relay=", &relay, ", ", ruleset, " [", address, "] (may be forged)")
        }
    }
    (program, innocent)
}
