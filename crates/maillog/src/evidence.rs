//! A line as it may be kept and shown as evidence: without the addresses of people.
//!
//! The log itself is read by root and a group; what is kept of it is shown to others. Of a delivery line the recipients
//! and the sender (`to=`, `ctladdr=`) are left out; the lines of rulesets and handshakes name no people. A server may
//! repeat an address in its reply, which is the last field: it is kept, for it is often the reason.
//!
//! What an attacker could try: a recipient that looks like the rest of the line. The line is read as for an event, by its
//! quotes and brackets; of one that cannot be read nothing of its message is shown.

use crate::cursor::text;
use crate::delivery;
use crate::prefix;
use crate::shape::Shape;

/// Bytes of a line that are kept.
const MOST: usize = 1000;

/// The line, without people, and without the end of a long one; what is no UTF-8 is replaced.
#[must_use]
pub fn evidence(line: &[u8]) -> String {
    let kept = |line: &[u8]| text(line.get(..MOST).unwrap_or(line)).into_owned();
    let Ok((_, message)) = prefix::split(line) else { return String::new() };
    if Shape::of(message) != Shape::Delivery {
        return kept(line);
    }
    let before = line.get(..line.len() - message.len()).unwrap_or_default();
    let told = match delivery::read(message) {
        Ok(read) => [read.queue_id, b": to=..., ", read.fields].concat(),
        Err(_) => b"a delivery line that cannot be read".to_vec(),
    };
    kept(&[before, &told].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_left_out() {
        let check = |line: &str, expect: &str| assert_eq!(evidence(line.as_bytes()), expect);
        let begin = "Nov 23 10:57:42 lab sm-mta[421]: ";
        let end = "delay=00:00:00, xdelay=00:00:00, mailer=esmtp, pri=30074, relay=mx.example. [192.0.2.1], \
            dsn=4.7.0, stat=Deferred: 454 4.7.0 TLS handshake failed.";
        let expect = format!("{begin}6ANAvgJL000419: to=..., {end}");
        for people in
            ["<u@a.test>", "<u@a.test>,v@b.test, ctladdr=<w@c.test> (8/8)", "\"a, delay=1\"@b"]
        {
            check(&format!("{begin}6ANAvgJL000419: to={people}, {end}"), &expect);
        }
        check(
            &format!("{begin}6ANAvgJL000419: to=\"open, {end}"),
            &format!("{begin}a delivery line that cannot be read"),
        );
        let ruleset = format!("{begin}ruleset=tls_server, arg1=SOFTWARE, relay=mx, reject=454 x");
        check(&ruleset, &ruleset);
        check("no prefix u@a.test", "");
        let long = format!("{ruleset}{}", "x".repeat(2000));
        assert_eq!(evidence(long.as_bytes()).len(), MOST);
    }
}
