//! Finding a server program and reading what it is.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::EmbeddedError;

const NAMES: [&str; 2] = ["valkey-server", "redis-server"];
const OLDEST: [u32; 3] = [6, 2, 0];

/// A server program that runs here and is new enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerBinary {
    path: PathBuf,
    version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    product: String,
    number: [u32; 3],
}

impl ServerBinary {
    /// Takes exactly this program.
    pub fn at(path: &Path) -> Result<Self, EmbeddedError> {
        let output = Command::new(path)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| EmbeddedError::NotRunnable { path: path.to_owned(), source })?;
        let version = Version::parse(&String::from_utf8_lossy(&output.stdout))
            .ok_or_else(|| EmbeddedError::NotAServer { path: path.to_owned() })?;
        if version.number < OLDEST {
            return Err(EmbeddedError::TooOld { path: path.to_owned(), version: version.to_string() });
        }
        Ok(Self { path: path.to_owned(), version })
    }

    /// The first usable program in these directories, Valkey before Redis in each. A program that is too old or does
    /// not run is passed over, and is the reason given when nothing better follows.
    pub fn find(search: &[PathBuf]) -> Result<Self, EmbeddedError> {
        let mut unusable = None;
        let candidates = search.iter().flat_map(|dir| NAMES.map(|name| dir.join(name)));
        for path in candidates.filter(|path| path.is_file()) {
            match Self::at(&path) {
                Ok(found) => return Ok(found),
                Err(error) => unusable = unusable.or(Some(error)),
            }
        }
        Err(unusable.unwrap_or_else(|| EmbeddedError::NotFound { searched: search.to_vec() }))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Product and version, like `Redis 7.0.15`.
    pub fn version(&self) -> String {
        self.version.to_string()
    }
}

/// The directories of PATH, then the one where `./dev` keeps the server it brings.
pub fn default_search() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .chain(cache.map(|dir| dir.join("omni-relay").join("bin")))
        .collect()
}

impl Version {
    /// Reads `Redis server v=7.0.15 sha=…` and its like.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let product = words.next().filter(|word| matches!(*word, "Redis" | "Valkey"))?;
        let text = words.find_map(|word| word.strip_prefix("v="))?;
        let mut parts = text.split('.').map(|part| part.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
        let number = [parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)];
        Some(Self { product: product.to_owned(), number })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.number;
        write!(f, "{} {major}.{minor}.{patch}", self.product)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_lines_of_both_products() {
        let redis =
            Version::parse("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=abc").unwrap();
        assert_eq!((redis.to_string().as_str(), redis.number), ("Redis 7.0.15", [7, 0, 15]));
        let valkey = Version::parse("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64").unwrap();
        assert_eq!(valkey.to_string(), "Valkey 9.1.2");
        assert_eq!(Version::parse("Valkey server v=8.1-rc2 sha=0").unwrap().number, [8, 1, 0]);
    }

    #[test]
    fn other_programs_are_no_servers() {
        for line in ["", "GNU bash, version 5.2", "redis-cli 7.0.15", "Redis server", "Redis server v=seven"] {
            assert_eq!(Version::parse(line), None, "{line}");
        }
    }

    #[test]
    fn an_old_server_is_passed_over_and_named_when_nothing_follows() {
        let old = directory_with("redis-server", "Redis server v=5.0.14 sha=0");
        let new = directory_with("valkey-server", "Valkey server v=8.0.1 sha=0");
        let dirs = [old.path().to_owned(), new.path().to_owned()];

        assert_eq!(ServerBinary::find(&dirs).unwrap().version(), "Valkey 8.0.1");
        let error = ServerBinary::find(&dirs[..1]).unwrap_err();
        assert!(error.to_string().contains("is Redis 5.0.14"), "{error}");
        let error = ServerBinary::find(&[]).unwrap_err();
        assert!(matches!(error, EmbeddedError::NotFound { .. }), "{error}");
    }

    fn directory_with(name: &str, version: &str) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(name);
        std::fs::write(&program, format!("#!/bin/sh\necho '{version}'\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }
}
