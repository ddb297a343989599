//! sendmail itself is asked whether it would go on in clear with a relay after a broken handshake.
//!
//! Its ruleset `tls_clt_features` gets name and address as two arguments, which cannot be typed at `-bt`. So the two rulesets
//! are run that it calls in its turn, the stock `D` (name, parents) and then `A` (address, prefixes), with its own tag:
//! `D <mx.example.org> <?> <! TLS_Clt_Features> <>`. They return the value of the first entry that hits, `< flags=C > < >`,
//! or `< ? > < >`, and call themselves for each parent (measured on sendmail 8.17.1.9). Whether the ruleset itself is there is
//! asked first, once; without ``FEATURE(`tls_session_features')`` sendmail says `Undefined ruleset tls_clt_features`.
//!
//! Not seen so: rules of an admin's own in `LOCAL_RULESETS` that replace the stock ones.

use super::{Mta, Proof, Target, printable, run, squeezed, trace, without_prompt};

/// The value that lets sendmail fall back, and no more than that.
const VALUE: &[u8] = b"flags=C";

/// What sendmail says where the feature is not built in.
const UNDEFINED: &[u8] = b"Undefined ruleset tls_clt_features";

/// One question: which target, which ruleset, which key.
struct Question {
    target: usize,
    ruleset: &'static str,
    key: String,
}

/// Asks about all relays in one run. Returns as many proofs, in the same order. Blocks for up to [`Mta::timeout`].
pub fn prove(mta: &Mta<'_>, targets: &[Target]) -> Vec<Proof> {
    if targets.is_empty() {
        return Vec::new();
    }
    let questions = questions(targets);
    let mut typed = "tls_clt_features mx.example.org\n".to_owned();
    for Question { ruleset, key, .. } in &questions {
        typed.push_str(&format!("{ruleset} <{key}> <?> <! TLS_Clt_Features> <>\n"));
    }
    let room = 2 * targets.iter().map(Target::room).sum::<usize>();
    match run(mta, &typed, room) {
        Ok((transcript, end)) => read(&transcript, targets.len(), &questions, &end),
        Err(why) => vec![Proof::NoAnswer { why }; targets.len()],
    }
}

fn questions(targets: &[Target]) -> Vec<Question> {
    let of_one = |(index, target): (usize, &Target)| {
        let by_name = Question { target: index, ruleset: "D", key: target.name.clone() };
        let address = Some(target.addr()).filter(|address| !address.is_empty());
        let by_address = address.map(|key| Question { target: index, ruleset: "A", key });
        std::iter::once(by_name).chain(by_address)
    };
    targets.iter().enumerate().flat_map(of_one).collect()
}

/// Reads a transcript. `end` says how the run ended, for those that got no answer.
fn read(transcript: &[u8], targets: usize, questions: &[Question], end: &str) -> Vec<Proof> {
    let mut answers: Vec<Option<Vec<u8>>> = vec![None; questions.len()];
    let (mut next, mut depth) = (0, 0_usize);
    let mut asked: Option<usize> = None;
    let mut has_ruleset = false;
    let mut remark: Option<String> = None;
    for line in transcript.split(|&b| b == b'\n') {
        let line = without_prompt(line);
        if line.starts_with(UNDEFINED) {
            return vec![Proof::DoesNotMatch { said: printable(line) }; targets];
        }
        match trace(line) {
            Some((b"tls_clt_features", b"returns:", _)) => has_ruleset = true,
            Some((ruleset @ (b"D" | b"A"), b"input:", text)) => {
                depth += 1;
                if depth > 1 {
                    continue; // For a parent, or a prefix.
                }
                let text = squeezed(text);
                let is_it = |question: &Question| {
                    let begin = format!("<{}><?>", question.key);
                    let head = text.get(..begin.len()).unwrap_or_default();
                    question.ruleset.as_bytes() == ruleset
                        && head.eq_ignore_ascii_case(begin.as_bytes())
                };
                let rest = questions.get(next..).unwrap_or_default();
                asked = rest.iter().position(is_it).map(|skipped| next + skipped);
                next = asked.map_or(next, |index| index + 1);
            }
            Some((b"D" | b"A", b"returns:", text)) => {
                depth = depth.saturating_sub(1);
                if depth == 0
                    && let Some(answer) = asked.take().and_then(|index| answers.get_mut(index))
                {
                    *answer = Some(squeezed(text));
                }
            }
            Some(_) => {}
            None if super::is_banner(line) => {}
            None => remark = remark.or_else(|| Some(printable(line))),
        }
    }
    let why = remark.unwrap_or_else(|| format!("no answer to be found in its output; {end}"));
    let of_one = |target: usize| {
        let own = questions.iter().zip(&answers).filter(|(question, _)| question.target == target);
        let answers = own.map(|(_, answer)| answer.as_deref());
        let proof = has_ruleset.then(|| judge(answers)).flatten();
        proof.unwrap_or_else(|| Proof::NoAnswer { why: why.clone() })
    };
    (0..targets).map(of_one).collect()
}

/// What the answers for name and address mean, in that order: the first entry that hits counts. None if one is missing.
fn judge<'a>(answers: impl Iterator<Item = Option<&'a [u8]>>) -> Option<Proof> {
    for answer in answers {
        let answer = answer?;
        let value = answer.strip_prefix(b"<").unwrap_or(answer);
        let value = value.split(|&b| b == b'>').next().unwrap_or_default();
        return Some(match value {
            b"?" => continue,
            VALUE => Proof::Matches,
            _ if answer.windows(4).any(|part| part == b"TMPF") => {
                Proof::NoAnswer { why: printable(answer) }
            }
            value => Proof::DoesNotMatch {
                said: format!("TLS_Clt_features gives {:?}", printable(value)),
            },
        });
    }
    Some(Proof::DoesNotMatch { said: "no TLS_Clt_features: entry is found".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What sendmail 8.17.1.9 printed whose map had `TLS_Clt_features:` entries (flags=C) for four.mx.test, 127.0.0.12 and
    /// IPv6:fd00:1ab:0:0:0:0:0:11.
    const REAL: &str = "> tls_clt_features   input: mx . example . org
tls_clt_feat_acc   input: mx . example . org
tls_clt_feat_acc returns: mx . example . org
tls_clt_features returns: \"\"
> D                  input: < four . mx . test > < ? > < ! TLS_Clt_Features > < >
D                returns: < flags=C > < >
> D                  input: < a . b . example > < ? > < ! TLS_Clt_Features > < >
D                  input: < b . example > < ? > < ! TLS_Clt_Features > < >
D                  input: < example > < ? > < ! TLS_Clt_Features > < >
D                returns: < ? > < >
D                returns: < ? > < >
D                returns: < ? > < >
> A                  input: < 127 . 0 . 0 . 12 > < ? > < ! TLS_Clt_Features > < >
A                returns: < flags=C > < >
> D                  input: < [ ipv6 : fd00 : 1ab : : 11 ] > < ? > < ! TLS_Clt_Features > < >
D                returns: < ? > < >
> A                  input: < IPv6 : fd00 : 1ab : 0 : 0 : 0 : 0 : 0 : 11 > < ? > < ! TLS_Clt_Features > < >
A                returns: < flags=C > < >
> ";

    fn targets() -> [Target; 3] {
        let target = |name, address: Option<&str>| {
            Target::new(name, address.map(|a| a.parse().expect("address"))).expect("plain")
        };
        [
            target("four.mx.test", None),
            target("a.b.example", Some("127.0.0.12")),
            target("[ipv6:fd00:1ab::11]", Some("fd00:1ab::11")),
        ]
    }

    #[test]
    fn transcripts() {
        let check = |transcript: &str, expect: [&str; 3]| {
            let questions = questions(&targets());
            let proofs = read(transcript.as_bytes(), 3, &questions, "exit status: 0");
            let words = proofs.iter().map(|proof| match proof {
                Proof::Matches => "matches".to_owned(),
                Proof::DoesNotMatch { said } => format!("no: {said}"),
                Proof::NoAnswer { why } => format!("none: {why}"),
            });
            assert_eq!(words.collect::<Vec<_>>(), expect, "{transcript}");
        };
        check(REAL, ["matches"; 3]);
        // The first entry that hits counts, whatever it says.
        let other = REAL.replacen("< flags=C >", "< flags=c >", 1);
        check(&other, ["no: TLS_Clt_features gives \"flags=c\"", "matches", "matches"]);
        let none = REAL.replace("< flags=C >", "< ? >");
        check(&none, ["no: no TLS_Clt_features: entry is found"; 3]);
        // The map cannot be opened: that says nothing of the entry.
        let failed = REAL.replace("< flags=C > < >", "< < TMPF > > < >");
        check(&failed, ["none: <<TMPF>><>"; 3]);
        let (cut, _) = REAL.split_once("> D                  input: < a").expect("is there");
        let silent = "none: no answer to be found in its output; exit status: 0";
        check(cut, ["matches", silent, silent]);
        check("", [silent; 3]);
        check(
            &format!("> Undefined ruleset tls_clt_features\n{REAL}"),
            ["no: Undefined ruleset tls_clt_features"; 3],
        );
    }
}
