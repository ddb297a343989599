//! One SMTP conversation of a peer, in the mode that the peer has when the connection comes in.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use openssl::ssl::{NameType, SslStream};
use rustix::net::sockopt::set_socket_linger;

use crate::certificate::{Ability, acceptor};
use crate::peers::{Channel, Mode, Step, What};

/// How long a peer waits for the other side before it hangs up.
const PATIENCE: Duration = Duration::from_secs(90);

/// The longest line taken: far above RFC 5321's 1000 bytes, so that nobody fills the memory.
const LONGEST: usize = 64 * 1024;

/// A connection in clear or over TLS.
enum Link {
    Clear(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

impl Read for Link {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// The conversation so far.
struct Session<'peer> {
    name: &'peer str,
    link: Link,
    /// Bytes read and not yet taken as a line.
    unread: Vec<u8>,
    recipients: Vec<String>,
    report: &'peer dyn Fn(What),
}

/// Serve one connection of the peer `name` to its end; what happens is told to `report`.
///
/// # Errors
/// Where the other side goes away in mid-conversation; of no interest to a test.
pub(crate) fn serve(
    name: &str,
    mode: &Mode,
    stream: TcpStream,
    report: &dyn Fn(What),
) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    report(What::Connected);
    let mut session = Session {
        name,
        link: Link::Clear(stream),
        unread: Vec::new(),
        recipients: Vec::new(),
        report,
    };
    if let Mode::Greeting(greeting) = mode {
        return session.say(greeting);
    }
    if session.breaks_off(mode, Step::Banner, "220")? {
        return Ok(());
    }
    session.say(&format!("220 {name}.mx.test ESMTP{}", noise(mode)))?;
    while let Some(line) = session.line()? {
        report(What::Line(session.channel(), line.clone()));
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let step = match (verb.as_str(), session.clear().is_some()) {
            ("EHLO", true) => Some(Step::Ehlo),
            ("EHLO", false) => Some(Step::EhloOverTls),
            ("STARTTLS", _) => Some(Step::StartTls),
            _ => None,
        };
        if let Some(step) = step
            && session.breaks_off(mode, step, "250")?
        {
            return Ok(());
        }
        match verb.as_str() {
            "EHLO" if session.clear().is_some() && *mode != Mode::Plain => {
                let noise = noise(mode);
                let more = if *mode == Mode::OffersLate { 60 } else { 0 };
                let more: String = (0..more).map(|n| format!("250-X-{n}\r\n")).collect();
                session.say(&format!(
                    "250-{name}.mx.test{noise}\r\n{more}250-STARTTLS{noise}\r\n250 8BITMIME"
                ))?;
            }
            "EHLO" => session.say(&format!("250-{name}.mx.test\r\n250 8BITMIME"))?,
            "STARTTLS" => match start_tls(session, mode)? {
                Some(next) => session = next,
                None => return Ok(()),
            },
            "RCPT" => {
                session.recipients.push(address(&line));
                session.say("250 2.1.5 ok")?;
            }
            "MAIL" | "RSET" => {
                session.recipients.clear();
                session.say("250 2.1.0 ok")?;
            }
            "NOOP" | "HELO" => session.say("250 2.0.0 ok")?,
            "DATA" => session.data()?,
            "QUIT" => return session.say("221 2.0.0 bye"),
            _ => session.say("500 5.5.1 what?")?,
        }
    }
    Ok(())
}

/// The answer to STARTTLS; `None` when the connection is over.
fn start_tls<'peer>(mut session: Session<'peer>, mode: &Mode) -> Result<Option<Session<'peer>>> {
    (session.report)(What::StartTls);
    if let Mode::Reply(reply) = mode {
        session.say(reply)?;
        return Ok(Some(session));
    }
    let more = if *mode == Mode::Injects { "\r\n250-evil.test\r\n250 AUTH PLAIN" } else { "" };
    session.say(&format!("220 2.0.0 Ready to start TLS{more}"))?;
    let Link::Clear(mut stream) = session.link else { bail!("STARTTLS over TLS") };
    // The client's hello has come, unread: what is then done does not depend on who is quicker.
    stream.peek(&mut [0])?;
    let ability = match mode {
        Mode::Garbage | Mode::PlainError | Mode::OffersLate => {
            let text: &[u8] = if *mode != Mode::PlainError {
                b"\x00\x13garbage garbage\x01\xfe\xff\x00\x13garbage garbage\x01\xfe\xff"
            } else {
                b"500 5.5.1 Command unrecognized\r\n"
            };
            let mut hello = [0; 4096];
            let _hello = stream.read(&mut hello)?;
            stream.write_all(text)?;
            // No more will come: else sendmail waits 20 s for an answer to its QUIT.
            stream.shutdown(Shutdown::Write)?;
            wait_for_end(&mut stream);
            return Ok(None);
        }
        Mode::Close => {
            // Closed with the hello unread: the client sees a reset or the end, as with a crashed peer.
            return Ok(None);
        }
        Mode::Reset => {
            set_socket_linger(&stream, Some(Duration::ZERO))?;
            return Ok(None);
        }
        Mode::Hang => {
            wait_for_end(&mut stream);
            return Ok(None);
        }
        Mode::Tls10 => Ability::Tls10,
        Mode::NoCipher => Ability::NoCommonCipher,
        Mode::WantsCertificate => Ability::WantsCertificate,
        Mode::TrustsNobody => Ability::TrustsNobody,
        Mode::WeakDh => Ability::WeakDh,
        Mode::WeakRsa => Ability::WeakRsa,
        Mode::Sha1 => Ability::Sha1,
        Mode::Shows(likeness) => Ability::Shows(*likeness),
        Mode::Tls13Intolerant if offers_tls13(&stream)? => return Ok(None),
        _ => Ability::Modern,
    };
    let name = session.name;
    let stream = acceptor(ability, name)?.accept(stream).context("the TLS handshake")?;
    if let Some(asked) = stream.ssl().servername(NameType::HOST_NAME) {
        (session.report)(What::ServerName(asked.to_owned()));
    }
    (session.report)(What::Handshake(stream.ssl().version_str()));
    if *mode == Mode::DropAfterHandshake {
        return Ok(None);
    }
    session.link = Link::Tls(Box::new(stream));
    session.unread.clear();
    Ok(Some(session))
}

/// Whether the hello that waits to be read has the extension supported_versions with TLS 1.3 first (RFC 8446, section
/// 4.2.1).
fn offers_tls13(stream: &TcpStream) -> Result<bool> {
    let mut hello = [0; 4096];
    let count = stream.peek(&mut hello)?;
    let hello = hello.get(..count).unwrap_or_default();
    Ok(hello.windows(7).any(|bytes| matches!(bytes, [0, 0x2b, 0, _, _, 3, 4])))
}

/// What a peer that is no good text adds to its lines.
fn noise(mode: &Mode) -> &'static str {
    if *mode == Mode::Noisy { " \0\x1b[31m\x07\u{202e}" } else { "" }
}

/// Read and forget until the other side hangs up or patience ends.
fn wait_for_end(stream: &mut impl Read) {
    let mut heap = [0; 4096];
    while matches!(stream.read(&mut heap), Ok(1..)) {}
}

impl Session<'_> {
    /// Breaks the conversation off, if it is this step at which the peer does so.
    fn breaks_off(&mut self, mode: &Mode, step: Step, code: &str) -> Result<bool> {
        match mode {
            Mode::HangAt(at) if *at == step => wait_for_end(&mut self.link),
            Mode::CloseAt(at) if *at == step => {}
            // Ends when the other side has gone.
            Mode::Endless(at) if *at == step => loop {
                self.say(&format!("{code}-more"))?;
            },
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn channel(&self) -> Channel {
        if self.clear().is_some() { Channel::Clear } else { Channel::Tls }
    }

    fn clear(&self) -> Option<&TcpStream> {
        match &self.link {
            Link::Clear(stream) => Some(stream),
            Link::Tls(_) => None,
        }
    }

    fn say(&mut self, reply: &str) -> Result<()> {
        self.link.write_all(format!("{reply}\r\n").as_bytes())?;
        Ok(self.link.flush()?)
    }

    /// The next line without its end; `None` when the other side has hung up.
    fn line(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            if self.unread.len() > LONGEST {
                bail!("a line of more than {LONGEST} bytes");
            }
            let mut bytes = [0; 4096];
            let count = self.link.read(&mut bytes)?;
            if count == 0 {
                return Ok(None);
            }
            self.unread.extend_from_slice(bytes.get(..count).unwrap_or_default());
        }
    }

    fn data(&mut self) -> Result<()> {
        self.say("354 go on")?;
        loop {
            match self.line()? {
                None => bail!("hung up in mid-message"),
                Some(line) if line == "." => break,
                Some(_) => {}
            }
        }
        let over = self.channel();
        let recipients = std::mem::take(&mut self.recipients);
        (self.report)(What::Message { over, recipients });
        self.say(match over {
            Channel::Clear => "250 2.0.0 accepted in clear",
            Channel::Tls => "250 2.0.0 accepted over TLS",
        })
    }
}

/// What stands between the angle brackets of a RCPT line.
fn address(line: &str) -> String {
    line.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}
