//! The middle layer: a TOML file, each value with the line it stands on.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::layer::{Layer, Value};
use super::{Origin, Problem};

pub(super) fn read(path: &Path, text: &str) -> Layer {
    let file = File { path, text };
    let mut layer = Layer::default();
    match DeTable::parse(text) {
        Ok(table) => file.walk("", table.get_ref(), &mut layer),
        // Not the error's own rendering: it quotes the line, and the line may hold a secret.
        Err(error) => layer.problems.push(Problem {
            key: None,
            origin: Some(file.origin(error.span().map_or(0, |span| span.start))),
            message: format!("not TOML: {}", error.message()),
        }),
    }
    layer
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn walk(&self, prefix: &str, table: &DeTable<'_>, layer: &mut Layer) {
        for (key, value) in table {
            let path = format!("{prefix}{}", key.get_ref());
            let origin = self.origin(key.span().start);
            match value.get_ref() {
                DeValue::Table(table) if table.is_empty() => layer.empty_section(&path, origin),
                DeValue::Table(table) => self.walk(&format!("{path}."), table, layer),
                value => match plain(value) {
                    Some(value) => layer.insert(path, value, origin, self.path.parent()),
                    None => layer.problems.push(Problem {
                        key: Some(path),
                        origin: Some(origin),
                        message: "expected a text, a number, true or false, or a list of texts".to_owned(),
                    }),
                },
            }
        }
    }

    fn origin(&self, offset: usize) -> Origin {
        let line = 1 + self.text.get(..offset).unwrap_or_default().matches('\n').count();
        Origin::File { path: self.path.to_owned(), line }
    }
}

fn plain(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::Array(items) => items.iter().map(|item| text(item.get_ref())).collect::<Option<_>>().map(Value::Many),
        value => text(value).map(Value::One),
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
