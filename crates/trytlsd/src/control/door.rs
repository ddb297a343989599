//! The socket's file: who may open it is settled before anybody can connect.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Group;
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::time::timeout;

/// Connections that wait to be taken.
const BACKLOG: u32 = 128;

/// How long one who listens there already may take to say so.
const PATIENCE: Duration = Duration::from_secs(1);

/// The open door. Its file goes with it.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
}

impl Door {
    /// Opens it. `group`: a name or a number, whose members may enter; none if it is empty.
    ///
    /// # Errors
    /// If another listens there, if something else has the name, or if others could put something else in its place.
    pub(super) async fn open(path: &Path, group: &str) -> io::Result<Self> {
        let group = match group {
            "" => None,
            name => Some(gid(name)?),
        };
        let folder = path.parent().unwrap_or(Path::new("/"));
        if !folder.exists() {
            DirBuilder::new().mode(0o755).create(folder)?;
        }
        let mode = fs::metadata(folder)?.mode();
        let (others_write, sticky) = (mode & 0o022 != 0, mode & 0o1000 != 0);
        if others_write && !sticky {
            return Err(io::Error::other("its folder is writable for others"));
        }
        let socket = bind(path).await?;
        // Nobody can connect yet: that begins with `listen`.
        let mode = if group.is_some() { 0o660 } else { 0o600 };
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        if let Some(gid) = group {
            lchown(path, None, Some(gid))?;
        }
        let file = identity(path)?;
        Ok(Self { listener: socket.listen(BACKLOG)?, path: path.to_owned(), file })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Takes the name. One that a killed daemon left is taken away first.
async fn bind(path: &Path) -> io::Result<UnixSocket> {
    let socket = UnixSocket::new_stream()?;
    match socket.bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
        bound => return bound.map(|()| socket),
    }
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::other("there is something else of that name"));
    }
    match timeout(PATIENCE, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Ok(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
        Ok(_) | Err(_) => return Err(io::Error::other("another trytlsd listens there")),
    }
    fs::remove_file(path)?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    Ok(socket)
}

/// The number of a group that is given by name or by number.
fn gid(name: &str) -> io::Result<u32> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    let found = Group::from_name(name).map_err(io::Error::from)?;
    let missing = || io::Error::other(format!("there is no group {name:?} ([control] group)"));
    found.map(|group| group.gid.as_raw()).ok_or_else(missing)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}
