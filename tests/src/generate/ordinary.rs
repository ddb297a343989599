//! The lines of an ordinary day, and those of a failure, as sendmail 8.17 words them.

use super::cast::{Cast, Host};
use super::random::{Random, decimal, two_digits};

/// The MTA's program name, replaced by that of the spec.
pub(super) const MTA: &str = "sm-mta";

/// The program name of the queue runner, where the MTA has Debian's name.
pub(super) const RUNNER: &str = "sm-que";

/// How OpenSSL words why a handshake broke.
const REASONS: [&str; 7] = [
    "sslv3 alert handshake failure",
    "dh key too small",
    "unsupported protocol",
    "wrong version number",
    "tlsv1 alert internal error",
    "unexpected eof while reading",
    "legacy sigalg disallowed or unsupported",
];

const CIPHERS: [(&str, &str, &str); 4] = [
    ("TLSv1.3", "TLS_AES_256_GCM_SHA384", "256/256"),
    ("TLSv1.3", "TLS_AES_128_GCM_SHA256", "128/128"),
    ("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384", "256/256"),
    ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", "128/128"),
];

/// The digits of the first part of a queue id.
const DIGITS: &[u8; 60] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx";

/// What a line is put together from.
pub(super) trait Piece {
    fn put(self, out: &mut Vec<u8>);
}

impl Piece for &str {
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Piece for &String {
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Piece for u32 {
    fn put(self, out: &mut Vec<u8>) {
        decimal(out, self);
    }
}

/// A number of two digits, as in a time.
pub(super) struct Two(pub(super) u32);

impl Piece for Two {
    fn put(self, out: &mut Vec<u8>) {
        two_digits(out, self.0);
    }
}

/// Appends pieces to a line.
macro_rules! join {
    ($out:expr; $($piece:expr),+ $(,)?) => {
        { $( $crate::generate::ordinary::Piece::put($piece, $out); )+ }
    };
}
pub(super) use join;

/// A queue id of 14 characters: the time and a sequence, then the process that took the message.
pub(super) fn queue_id(out: &mut Vec<u8>, random: &mut Random, pid: u32) {
    let bits = random.next_u64();
    out.extend_from_slice(b"4A");
    for (shift, range) in [(0, 31), (8, 24), (16, 60), (24, 60), (32, 60), (40, 60)] {
        out.push(DIGITS[((bits >> shift) % range) as usize]);
    }
    for power in [100_000, 10_000, 1000, 100, 10, 1] {
        out.push(b'0' + (pid / power % 10) as u8);
    }
}

/// Writes the text of an ordinary line and gives the program's name; nothing where the lot falls on
/// a handshake that succeeds, which is two lines.
pub(super) fn write(
    out: &mut Vec<u8>,
    cast: &Cast,
    random: &mut Random,
    pid: u32,
) -> Option<&'static str> {
    out.clear();
    let lot = random.below(89);
    let Host { name, address, .. } = cast.host(random);
    let recipient = cast.recipient(random);
    let number = random.below(4096);
    match lot {
        0..15 => {
            queue_id(out, random, pid);
            let id = cast.message_id(random);
            join!(out; ": from=<", cast.recipient(random), ">, size=", 1000 + number * 37,
                ", class=0, nrcpts=1, msgid=<", id, ">, bodytype=8BITMIME, proto=ESMTPS, ",
                "daemon=MTA-v4, relay=", name, " [", address, "]");
        }
        15..18 => sent(out, cast, random, pid),
        18..26 => {
            queue_id(out, random, pid);
            join!(out; ": to=<", recipient, ">, delay=00:00:", Two(number % 60),
                ", xdelay=00:00:00, mailer=local, pri=", 30_000 + number,
                ", relay=local, dsn=2.0.0, stat=Sent");
        }
        26..37 => return None,
        37..49 => {
            let (version, cipher, bits) = *random.one_of(&CIPHERS);
            join!(out; "STARTTLS=server, relay=", name, " [", address, "], version=", version,
                ", verify=NOT, cipher=", cipher, ", bits=", bits);
        }
        49..55 => {
            join!(out; "ruleset=check_relay, arg1=", name, ", arg2=", address, ", relay=", name,
            " [", address, "] (may be forged), reject=550 5.7.1 Rejected: ", address,
            " listed at dnsbl.example")
        }
        55..61 => {
            queue_id(out, random, pid);
            join!(out; ": ruleset=check_rcpt, arg1=<", recipient, ">, relay=", name, " [", address,
                "], reject=550 5.7.1 <", recipient, ">... Relaying denied. IP name lookup failed [",
                address, "]");
        }
        61..65 => {
            queue_id(out, random, pid);
            join!(out; ": <", recipient, ">... User unknown");
        }
        65..69 => {
            queue_id(out, random, pid);
            join!(out; ": ", name, " [", address,
                "] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA-v4");
        }
        69..71 => {
            queue_id(out, random, pid);
            join!(out; ": lost input channel from ", name, " [", address, "] to MTA-v4 after rcpt");
        }
        71..73 => join!(out; "STARTTLS=server, error: accept failed=-1, reason=",
            *random.one_of(&REASONS), ", SSL_error=1, errno=0, retry=-1, relay=", name, " [", address,
            "]"),
        73..75 => {
            join!(out; "AUTH failure (LOGIN): user not found (-20) SASL(-13): user not found: ",
            "checkpass failed, user=", cast.user(random), ", relay=[", address, "]")
        }
        75..77 => {
            queue_id(out, random, pid);
            join!(out; ": to=<", recipient, ">, delay=", number % 5, "+", Two(number % 24),
                ":12:07, xdelay=00:00:30, mailer=esmtp, pri=", 900_000 + number * 10, ", relay=", name,
                ". [", address, "], dsn=4.0.0, stat=Deferred: Connection timed out with ", name, ".");
        }
        77..79 => {
            queue_id(out, random, pid);
            join!(out; ": to=<", recipient, ">, delay=00:00:02, xdelay=00:00:01, mailer=esmtp, pri=",
                120_000 + number, ", relay=", name, ". [", address, "], dsn=5.1.1, reply=550 5.1.1 <",
                recipient, ">: no such mailbox here, stat=User unknown");
        }
        79..84 => {
            queue_id(out, random, pid);
            join!(out; ": DKIM-Signature field added (s=mail, d=", &cast.host(random).domain, ")");
            return Some("opendkim");
        }
        _ => {
            queue_id(out, random, pid);
            let domain = &cast.host(random).domain;
            join!(out; ": Milter insert (1): header: Authentication-Results: ", name,
                "; dkim=pass (2048-bit key; unprotected) header.d=", domain, " header.i=@", domain);
        }
    }
    Some(MTA)
}

/// The line of a handshake that succeeds, and the delivery line that follows.
pub(super) fn success(
    out: &mut Vec<u8>,
    delivery: &mut Vec<u8>,
    cast: &Cast,
    random: &mut Random,
    pid: u32,
) {
    let host = cast.host(random);
    let (version, cipher, bits) = *random.one_of(&CIPHERS);
    let verify = *random.one_of(&["OK", "FAIL", "FAIL", "NO"]);
    join!(out; "STARTTLS=client, relay=", &host.name, "., version=", version, ", verify=", verify,
        ", cipher=", cipher, ", bits=", bits);
    taken(delivery, cast, random, host, pid);
}

/// A delivery line of a message that any host took.
pub(super) fn sent(out: &mut Vec<u8>, cast: &Cast, random: &mut Random, pid: u32) {
    let host = cast.host(random);
    taken(out, cast, random, host, pid);
}

fn taken(out: &mut Vec<u8>, cast: &Cast, random: &mut Random, host: &Host, pid: u32) {
    queue_id(out, random, pid);
    let number = random.below(4096);
    let recipient = cast.recipient(random);
    let id = cast.message_id(random);
    join!(out; ": to=<", recipient, ">, ctladdr=<", cast.recipient(random), "> (", 1000 + number % 50,
        "/", 1000 + number % 50, "), delay=00:00:", Two(number % 60), ", xdelay=00:00:",
        Two(number % 20), ", mailer=esmtp, pri=", 120_000 + number, ", relay=", &host.name, ". [",
        &host.address, "], dsn=2.0.0, stat=Sent (Ok: queued as ", id.get(..11).unwrap_or(id), ")");
}

/// Why a handshake broke.
pub(super) fn cause(out: &mut Vec<u8>, random: &mut Random) {
    join!(out; "STARTTLS=client, error: connect failed=-1, reason=", *random.one_of(&REASONS),
        ", SSL_error=1, errno=0, retry=-1");
}

/// The line that is a failure.
pub(super) fn ruleset(out: &mut Vec<u8>, relay: &str, code: u16) {
    join!(out; "ruleset=tls_server, arg1=SOFTWARE, relay=", relay, ", reject=", u32::from(code),
        " 4.7.0 TLS handshake failed.");
}

/// The delivery line of a message that is stuck.
pub(super) fn stuck(
    out: &mut Vec<u8>,
    cast: &Cast,
    random: &mut Random,
    relay: &Host,
    code: u16,
    pid: u32,
) {
    queue_id(out, random, pid);
    let number = random.below(4096);
    let (user, sender) = (cast.user(random), cast.recipient(random));
    join!(out; ": to=<", user, "@", &relay.domain, ">, ctladdr=<", sender,
        "> (1001/1001), delay=00:0", number % 10, ":01, xdelay=00:00:01, mailer=esmtp, pri=",
        120_000 + number, ", relay=", &relay.name, ". [", &relay.address,
        "], dsn=4.7.0, stat=Deferred: ", u32::from(code), " 4.7.0 TLS handshake failed.");
}
