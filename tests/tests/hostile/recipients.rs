//! Mail that must not go in clear, hidden among other mail.

use crate::case::{Case, broken_to};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut n = 0;
    let mut to = |name: &str, to: &str| {
        n += 1;
        let address = format!("203.0.113.{}", 100 + n);
        (Case::new(name, broken_to(&format!("mx.r{n}.test"), &address, to)), address)
    };
    for (name, recipients) in [
        ("TLS is required for the recipient's domain", "<u@strict.test>"),
        ("for one of several", "<a@x.test>,<b@y.test>,<c@strict.test>"),
        ("for one below the domain", "<u@sub.strict.test>"),
        ("in capitals", "<U@STRICT.TEST>"),
        ("with a quoted local part", "<\"a,<b@x.test>\"@strict.test>"),
        ("for another user of the domain", "<u@some.test>"),
        ("for that user", "<Boss@Some.test>"),
        ("with a detail", "<boss+x@some.test>"),
        ("without brackets", "u@strict.test"),
        ("by a route", "<@relay.test:u@strict.test>"),
    ] {
        cases.push(to(name, recipients).0);
    }
    let many: Vec<String> = (0..70).map(|n| format!("<u@many{n}.test>")).collect();
    cases.push(to("more domains than are remembered", &many.join(",")).0);
    let (case, address) =
        to("TLS is required for a like-named domain", "<u@notstrict.test>,<u@strict.test.example>");
    cases.push(case.honest(&address));
    cases
}
