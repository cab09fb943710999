//! What a configuration is made from, and the one place that reads it from the process.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use super::keys::variable;
use super::{ConfigError, Origin, Problem, environment};

const FILE_VARIABLE: &str = "OMNI_RELAY_CONFIG";

/// The text of the file and the variables that matter. Empty sources leave the defaults.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file's path, for messages and as the place its `*_file` paths start from, and its text.
    pub file: Option<(PathBuf, String)>,
    /// Variables by name; others than `OMNI_RELAY__*` and `RUST_LOG` are passed over.
    pub env: BTreeMap<String, String>,
    /// What `--roles` says, which goes before both.
    pub roles: Option<String>,
}

impl Sources {
    /// Reads the environment, and the file named by `path` or else by `OMNI_RELAY_CONFIG`.
    pub fn from_process(path: Option<PathBuf>) -> Result<Self, ConfigError> {
        let mut env = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, value) in env::vars_os() {
            let Some(name) = name.to_str().filter(|name| environment::concerns(name) || *name == FILE_VARIABLE) else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(env.insert(name.to_owned(), value)),
                Err(_) => problems.push(Problem {
                    key: None,
                    origin: Some(Origin::Environment(name.to_owned())),
                    message: "not valid UTF-8".to_owned(),
                }),
            }
        }
        let named = env.remove(FILE_VARIABLE).filter(|path| !path.is_empty());
        let origin = path.is_none().then(|| Origin::Environment(FILE_VARIABLE.to_owned()));
        let mut file = None;
        if let Some(path) = path.or(named.map(PathBuf::from)) {
            match std::fs::read_to_string(&path) {
                Ok(text) => file = Some((path, text)),
                Err(error) => {
                    problems.push(Problem {
                        key: None,
                        origin,
                        message: format!("cannot read {}: {error}", path.display()),
                    });
                }
            }
        }
        if problems.is_empty() { Ok(Self { file, env, roles: None }) } else { Err(ConfigError { problems }) }
    }

    /// These sources with the setting at `path`, such as `omni.base_url`, overridden as the environment would.
    #[must_use]
    pub fn with(mut self, path: &str, value: impl Into<String>) -> Self {
        self.env.insert(variable(path), value.into());
        self
    }
}
