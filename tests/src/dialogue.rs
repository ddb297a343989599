//! What a mail program, or another mail server, says to the bed's sendmail by SMTP (RFC 5321).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// The address that the bed's sendmail listens on.
const MTA: &str = "127.0.0.1:25";

/// Hand over one message for all the recipients; gives its queue id. To be called inside the bed's
/// network.
pub(crate) fn inject(recipients: &[&str]) -> Result<String> {
    let stream = TcpStream::connect(MTA).context("connect to the bed's sendmail")?;
    Dialogue::begin(stream, "injector.example.test")?.hand_over(recipients)
}

/// A conversation past the answer to EHLO.
#[derive(Debug)]
pub(crate) struct Dialogue {
    pub(crate) stream: TcpStream,
    /// What sendmail offers.
    pub(crate) offer: String,
}

impl Dialogue {
    /// Takes the greeting and says EHLO.
    pub(crate) fn begin(stream: TcpStream, name: &str) -> Result<Self> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut dialogue = Self { stream, offer: String::new() };
        dialogue.reply('2')?;
        dialogue.offer = dialogue.ask(&format!("EHLO {name}"), '2')?;
        Ok(dialogue)
    }

    /// Hands over one message for all the recipients; gives its queue id.
    pub(crate) fn hand_over(mut self, recipients: &[&str]) -> Result<String> {
        self.ask("MAIL FROM:<sender@lab.example.test>", '2')?;
        for recipient in recipients {
            self.ask(&format!("RCPT TO:<{recipient}>"), '2')?;
        }
        self.ask("DATA", '3')?;
        let said = self.ask("Subject: a test\r\n\r\nhello\r\n.", '2')?;
        self.ask("QUIT", '2')?;
        // "250 2.0.0 6ANAoc0D000211 Message accepted for delivery"
        let id = said.split_whitespace().nth(2);
        Ok(id.with_context(|| format!("no queue id in {said:?}"))?.to_owned())
    }

    /// Says a line; gives the reply, whose code must begin with `class`.
    pub(crate) fn ask(&mut self, line: &str, class: char) -> Result<String> {
        self.stream.write_all(format!("{line}\r\n").as_bytes())?;
        self.reply(class).with_context(|| format!("after {line:?}"))
    }

    /// A whole reply whose code begins with `class`; gives its text.
    fn reply(&mut self, class: char) -> Result<String> {
        let mut reply = String::new();
        loop {
            let mut bytes = [0; 1024];
            let count = self.stream.read(&mut bytes).context("read sendmail's reply")?;
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
}
