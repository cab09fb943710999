//! Typed reading of the merged layers. Collects every problem instead of stopping at the first, and what to show.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use url::Url;

use super::keys::{Key, variable};
use super::layer::{Layer, Setting, Value};
use super::{Origin, Problem};

#[derive(Default)]
pub(super) struct Reader {
    settings: BTreeMap<String, Setting>,
    pub(super) problems: Vec<Problem>,
    /// Key, redacted value, origin; in the order of reading.
    pub(super) shown: Vec<(String, String, Origin)>,
}

impl Reader {
    /// Puts `layer` over what is there.
    pub(super) fn put(&mut self, layer: Layer) {
        self.settings.extend(layer.settings);
        self.problems.extend(layer.problems);
    }

    /// Puts one value over what is there.
    pub(super) fn put_one(&mut self, path: &str, value: String, origin: Origin) {
        self.settings.insert(path.to_owned(), Setting { value: Value::One(value), origin });
    }

    /// A value that has a default. After a problem the default stands in, so that reading can go on.
    pub(super) fn get<T>(&mut self, path: &str, parse: impl Fn(&str) -> Option<T>) -> T {
        let text = self.text(path);
        self.show(path, text.clone());
        parse(&text).unwrap_or_else(|| {
            self.reject(path);
            let default = Key::find(path).map_or("", |key| key.default);
            parse(default).expect("every default is a right value")
        })
    }

    /// A value that may be empty.
    pub(super) fn optional<T>(&mut self, path: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(path);
        self.show(path, text.clone());
        if text.is_empty() {
            return None;
        }
        let value = parse(&text);
        if value.is_none() {
            self.reject(path);
        }
        value
    }

    pub(super) fn list<T>(&mut self, path: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let items = self.items(path);
        self.show(path, items.join(","));
        self.parse_all(path, &items, parse)
    }

    /// A list whose items are not shown, and of which no two may be alike.
    pub(super) fn secret_list<T>(&mut self, path: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let items = self.items(path);
        self.show(path, redacted(items.len()));
        if items.iter().collect::<BTreeSet<_>>().len() < items.len() {
            self.reject(path);
        }
        // Everybody can read it: whoever installed the sample meant to come back.
        if items.iter().any(|item| item.starts_with("replace-with-")) && self.sound(&[path]) {
            self.problem(path, "still the word of the sample; expected a secret of your own".to_owned());
        }
        self.parse_all(path, &items, parse)
    }

    pub(super) fn secrets(&mut self, path: &str) -> Vec<SecretString> {
        self.secret_list(path, |text| Some(SecretString::from(text)))
    }

    /// A secret address: shown without its password.
    pub(super) fn secret_address(&mut self, path: &str) -> String {
        let text = self.text(path);
        let shown = Url::parse(&text).ok().filter(|url| url.query().is_none()).and_then(|mut url| {
            let masked = url.password().is_none() || url.set_password(Some("***")).is_ok();
            masked.then(|| url.to_string())
        });
        let shown = shown.unwrap_or_else(|| redacted(1));
        self.show(path, shown);
        text
    }

    /// Shows a default that had to be worked out.
    pub(super) fn worked_out(&mut self, path: &str, value: String) {
        if let Some(row) = self.shown.iter_mut().find(|(key, _, _)| key == path) {
            row.1 = value;
        }
    }

    pub(super) fn origin(&self, path: &str) -> Origin {
        self.settings.get(path).map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// The paths that were set, with their origins.
    pub(super) fn explicit(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.settings.iter().map(|(path, setting)| (path.as_str(), &setting.origin))
    }

    /// Whether nothing is wrong with these settings so far.
    pub(super) fn sound(&self, paths: &[&str]) -> bool {
        !self.problems.iter().any(|problem| problem.key.as_deref().is_some_and(|key| paths.contains(&key)))
    }

    pub(super) fn problem(&mut self, path: &str, message: impl Into<String>) {
        let origin = Some(self.origin(path));
        self.problems.push(Problem { key: Some(path.to_owned()), origin, message: message.into() });
    }

    pub(super) fn missing(&mut self, path: &str) {
        let expects = Key::find(path).map_or("", |key| key.expects);
        let message = format!("missing: expected {expects}; set it in the file or with {}", variable(path));
        self.problems.push(Problem { key: Some(path.to_owned()), origin: None, message });
    }

    pub(super) fn reject(&mut self, path: &str) {
        if self.sound(&[path]) {
            let expects = Key::find(path).map_or("", |key| key.expects);
            self.problem(path, format!("expected {expects}"));
        }
    }

    fn parse_all<T>(&mut self, path: &str, items: &[String], parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let values: Vec<T> = items.iter().filter_map(|item| parse(item)).collect();
        if values.len() < items.len() {
            self.reject(path);
        }
        values
    }

    /// Reads a secret that stands in a file of its own: only one that is wanted has to be there.
    fn open(&mut self, path: &str) {
        let Some(setting) = self.settings.get_mut(path) else { return };
        if let Value::InFile(file) = &setting.value {
            let text = std::fs::read_to_string(file).unwrap_or_else(|error| {
                let message = format!("cannot read {}: {error}", file.display());
                let origin = Some(setting.origin.clone());
                self.problems.push(Problem { key: Some(path.to_owned()), origin, message });
                String::new()
            });
            setting.value = Value::One(text.trim().replace("\r\n", "\n").replace('\n', ","));
        }
    }

    fn text(&mut self, path: &str) -> String {
        self.open(path);
        match self.settings.get(path).map(|setting| &setting.value) {
            Some(Value::One(text)) => text.clone(),
            Some(Value::Many(_) | Value::InFile(_)) => {
                self.reject(path);
                default(path)
            }
            None => default(path),
        }
    }

    fn items(&mut self, path: &str) -> Vec<String> {
        self.open(path);
        let split = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        };
        match self.settings.get(path).map(|setting| &setting.value) {
            Some(Value::One(text)) => split(text),
            Some(Value::Many(items)) => items.iter().filter(|item| !item.is_empty()).cloned().collect(),
            Some(Value::InFile(_)) => Vec::new(),
            None => split(&default(path)),
        }
    }

    fn show(&mut self, path: &str, value: String) {
        let origin = self.origin(path);
        self.shown.push((path.to_owned(), value, origin));
    }
}

fn default(path: &str) -> String {
    Key::find(path).map_or("", |key| key.default).to_owned()
}

fn redacted(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "(secret)".to_owned(),
        many => format!("({many} secrets)"),
    }
}
