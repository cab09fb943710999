//! The directory of the embedded server: held by a lock while this process lives, with a socket at a fixed place.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::EmbeddedError;

/// `sun_path` holds 108 bytes on Linux and 104 on macOS, the closing zero included.
const LONGEST_SOCKET_PATH: usize = 100;

pub(super) struct Home {
    pub(super) dir: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) log: PathBuf,
    /// The kernel gives the lock back when this process ends, however it ends; the child does not inherit it.
    _lock: File,
}

impl Home {
    pub(super) fn open(dir: &Path) -> Result<Self, EmbeddedError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| EmbeddedError::Directory { path, source }
        };
        create_private(dir).map_err(at(dir))?;
        let dir = dir.canonicalize().map_err(at(dir))?;
        let lock_path = dir.join("lock");
        let lock = File::create(&lock_path).map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(EmbeddedError::InUse { dir }),
            Err(TryLockError::Error(source)) => return Err(at(&lock_path)(source)),
        }
        let owner = lock.metadata().map_err(at(&lock_path))?.uid();
        let socket = socket_for(&dir, owner)?;
        Ok(Self { log: dir.join("server.log"), dir, socket, _lock: lock })
    }
}

/// `<dir>/redis.sock`, or the same place in a short directory named after `dir` when that path is too long.
fn socket_for(dir: &Path, owner: u32) -> Result<PathBuf, EmbeddedError> {
    let inside = dir.join("redis.sock");
    if inside.as_os_str().len() <= LONGEST_SOCKET_PATH {
        return Ok(inside);
    }
    let digest = Sha256::digest(dir.as_os_str().as_bytes());
    let name = format!("omni-relay-{}", hex::encode(&digest[..8]));
    let mut short = std::env::temp_dir().join(&name);
    if short.join("redis.sock").as_os_str().len() > LONGEST_SOCKET_PATH {
        short = Path::new("/tmp").join(&name);
    }
    create_private(&short).map_err(|source| EmbeddedError::Directory { path: short.clone(), source })?;
    let found =
        fs::symlink_metadata(&short).map_err(|source| EmbeddedError::Directory { path: short.clone(), source })?;
    if !found.is_dir() || found.uid() != owner || found.mode() & 0o077 != 0 {
        return Err(EmbeddedError::NotPrivate { path: short });
    }
    Ok(short.join("redis.sock"))
}

fn create_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens what was let go of. A child that another test is just starting holds the lock until it runs its own program.
    fn open_again(dir: &Path) -> Result<Home, EmbeddedError> {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
        loop {
            match Home::open(dir) {
                Err(EmbeddedError::InUse { .. }) if std::time::Instant::now() < end => std::thread::yield_now(),
                other => return other,
            }
        }
    }

    #[test]
    fn one_holder_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        let first = Home::open(temp.path()).unwrap();
        assert!(matches!(Home::open(temp.path()), Err(EmbeddedError::InUse { .. })));
        drop(first);
        assert!(open_again(temp.path()).is_ok());
    }

    #[test]
    fn what_is_made_is_its_owners_alone() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::open(&temp.path().join("a/b")).unwrap();
        for dir in [home.dir.as_path(), home.dir.parent().unwrap(), home.socket.parent().unwrap()] {
            assert_eq!(fs::metadata(dir).unwrap().mode() & 0o777, 0o700, "{}", dir.display());
        }
    }

    #[test]
    fn a_long_directory_gets_the_same_short_socket_each_time() {
        let temp = tempfile::tempdir().unwrap();
        let long = temp.path().join("d".repeat(120));
        let first = Home::open(&long).unwrap().socket.clone();
        let second = open_again(&long).unwrap().socket.clone();
        assert_eq!(first, second);
        assert!(first.as_os_str().len() <= LONGEST_SOCKET_PATH, "{}", first.display());
        let short = first.parent().unwrap();
        assert_eq!(fs::metadata(short).unwrap().mode() & 0o777, 0o700);

        fs::set_permissions(short, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert!(matches!(open_again(&long), Err(EmbeddedError::NotPrivate { .. })));
        fs::remove_dir(short).unwrap();
    }
}
