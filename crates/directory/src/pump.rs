//! Carries messages between ldap3 and the server, one at a time, and lets only lawful ones through (see the module
//! `wire`). What ends it ends the connection: ldap3's next operation then fails, and why is kept for the words of the
//! error.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::wire::{self, Asked, Came, Malformed};

/// Bytes of one answer at most: ldap3 keeps them all until it is whole.
const MAX_ANSWER: usize = 64 << 20;

/// What is read at a time.
const CHUNK: usize = 16 * 1024;

/// Why a connection ended, once it has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended(Arc<Mutex<Option<Box<str>>>>);

impl Ended {
    /// In words, if it has.
    pub(crate) fn why(&self) -> Option<Box<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Carries messages until one side ends; `near` is ldap3's.
pub(crate) async fn pump<S>(far: S, near: UnixStream, ended: Ended)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let why = match carry(far, near).await {
        Ok(()) => "the server closed the connection".into(),
        Err(error) => error.to_string().into(),
    };
    *ended.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
}

async fn carry<S>(mut far: S, mut near: UnixStream) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut asked: Option<Asked> = None;
    let mut answered = 0;
    let (mut from_far, mut from_near) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            read = more(&mut far, &mut from_far) => {
                if !read? {
                    return Ok(());
                }
                while let Some(message) = first(&mut from_far)? {
                    answered += message.len();
                    if answered > MAX_ANSWER {
                        return Err(garbled(Malformed("an answer of more than 64 MiB")));
                    }
                    if wire::response(&message, asked).map_err(garbled)? == Came::End {
                        asked = None;
                    }
                    near.write_all(&message).await?;
                }
            }
            read = more(&mut near, &mut from_near) => {
                if !read? {
                    return far.shutdown().await;
                }
                while let Some(message) = first(&mut from_near)? {
                    asked = wire::request(&message).map_err(garbled)?.or(asked);
                    answered = 0;
                    far.write_all(&message).await?;
                }
                far.flush().await?;
            }
        }
    }
}

/// Reads one message, and nothing after it: TLS begins there.
pub(crate) async fn read_one<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let left = match wire::length(&message).map_err(garbled)? {
            Some(length) if length == message.len() => return Ok(message),
            Some(length) => length - message.len(),
            None => 1,
        };
        let before = message.len();
        message.resize(before + left.min(CHUNK), 0);
        let read = stream.read(message.get_mut(before..).unwrap_or_default()).await?;
        message.truncate(before + read);
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Whether there was more. Cancelled, it has read nothing.
async fn more<S: AsyncRead + Unpin>(stream: &mut S, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; CHUNK];
    let read = stream.read(&mut chunk).await?;
    into.extend(chunk.get(..read).unwrap_or_default());
    Ok(read > 0)
}

/// Takes the first message out, once it is whole.
fn first(bytes: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    match wire::length(bytes).map_err(garbled)? {
        Some(length) if length <= bytes.len() => {
            let rest = bytes.split_off(length);
            Ok(Some(std::mem::replace(bytes, rest)))
        }
        _ => Ok(None),
    }
}

fn garbled(Malformed(what): Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("what it sends is no proper LDAP: {what}"))
}
