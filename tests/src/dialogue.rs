//! Putting a message into the bed's sendmail by SMTP (RFC 5321), as a mail program would.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// The address that the bed's sendmail listens on.
const MTA: &str = "127.0.0.1:25";

/// Hand over one message for all the recipients; gives its queue id. To be called inside the bed's
/// network.
pub(crate) fn inject(recipients: &[&str]) -> Result<String> {
    let mut stream = TcpStream::connect(MTA).context("connect to the bed's sendmail")?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    expect(&mut stream, '2')?;
    let mut ask = |line: &str, class: char| {
        stream.write_all(format!("{line}\r\n").as_bytes())?;
        expect(&mut stream, class).with_context(|| format!("after {line:?}"))
    };
    ask("EHLO injector.example.test", '2')?;
    ask("MAIL FROM:<sender@lab.example.test>", '2')?;
    for recipient in recipients {
        ask(&format!("RCPT TO:<{recipient}>"), '2')?;
    }
    ask("DATA", '3')?;
    let said = ask("Subject: a test\r\n\r\nhello\r\n.", '2')?;
    ask("QUIT", '2')?;
    // "250 2.0.0 6ANAoc0D000211 Message accepted for delivery"
    let id = said.split_whitespace().nth(2).with_context(|| format!("no queue id in {said:?}"))?;
    Ok(id.to_owned())
}

/// A whole reply whose code begins with `class`; gives its text.
fn expect(stream: &mut TcpStream, class: char) -> Result<String> {
    let mut reply = String::new();
    loop {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).context("read sendmail's reply")?;
        ensure!(count > 0, "sendmail hung up after {reply:?}");
        reply.push_str(&String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()));
        // The last line of a reply has a blank after its code.
        let last = reply.trim_end().rsplit('\n').next().unwrap_or_default();
        if reply.ends_with('\n') && last.as_bytes().get(3) != Some(&b'-') {
            break;
        }
    }
    ensure!(reply.starts_with(class), "sendmail said {:?}", reply.trim_end());
    Ok(reply)
}
