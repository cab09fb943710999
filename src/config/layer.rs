//! One source's settings by path, known keys only. No `Debug`: values may be secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::keys::{KEYS, Key, caller_of, nearest, variable};
use super::{Origin, Problem};

/// A value as it was written.
pub(super) enum Value {
    One(String),
    /// A TOML array.
    Many(Vec<String>),
    /// A secret in a file of its own, not read yet.
    InFile(PathBuf),
}

pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

#[derive(Default)]
pub(super) struct Layer {
    pub(super) settings: BTreeMap<String, Setting>,
    pub(super) problems: Vec<Problem>,
}

impl Layer {
    /// Takes a setting, or notes why not. A relative path of a secret's file starts at `directory`.
    pub(super) fn insert(&mut self, path: String, value: Value, origin: Origin, directory: Option<&Path>) {
        let secret = path.strip_suffix("_file").filter(|path| Key::find(path).is_some_and(|key| key.secret));
        match (Key::find(&path), secret, value) {
            (Some(_), _, value) => self.take(path, value, origin),
            (None, Some(_), Value::One(file)) if file.is_empty() => {}
            (None, Some(path), Value::One(file)) => {
                let file = directory.map_or_else(|| PathBuf::from(&file), |directory| directory.join(&file));
                self.take(path.to_owned(), Value::InFile(file), origin);
            }
            (None, Some(_), _) => {
                self.problem(path, origin, "expected the path of a file that holds the secret".to_owned());
            }
            (None, None, _) => self.unknown(path, origin),
        }
    }

    /// An empty table is as unknown as its name is; an empty caller has no key.
    pub(super) fn empty_section(&mut self, path: &str, origin: Origin) {
        if caller_of(&format!("{path}.key")).is_some() {
            self.problem(format!("{path}.key"), origin, "missing: a caller needs a key".to_owned());
        } else if !KEYS.iter().any(|key| key.path.starts_with(&format!("{path}."))) {
            self.unknown(path.to_owned(), origin);
        }
    }

    fn take(&mut self, path: String, value: Value, origin: Origin) {
        match self.settings.get(&path) {
            Some(first) => {
                let message = format!("given twice, also by {}", first.origin);
                self.problem(path, origin, message);
            }
            None => drop(self.settings.insert(path, Setting { value, origin })),
        }
    }

    fn unknown(&mut self, path: String, origin: Origin) {
        let hint = nearest(&path).map(|known| match origin {
            Origin::Environment(_) => format!("; did you mean {}?", variable(&known)),
            _ => format!("; did you mean {known}?"),
        });
        let hint = hint.unwrap_or_else(|| "; `config show` lists those there are".to_owned());
        self.problem(path, origin, format!("unknown setting{hint}"));
    }

    fn problem(&mut self, key: String, origin: Origin, message: String) {
        self.problems.push(Problem { key: Some(key), origin: Some(origin), message });
    }
}
