//! A JSON document that holds schemas, and values held against them. For OpenAPI's documents, its operations too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// A document, and the schemas that were used before.
pub(crate) struct Described {
    pub(crate) document: Value,
    used: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Described {
    pub(crate) fn new(document: Value) -> Self {
        Self { document, used: Mutex::default() }
    }

    /// The operation at a path, and the path as the document has it.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        self.document["paths"][self.template(path)?].get(method.to_lowercase())
    }

    /// The path as the document has it.
    pub(crate) fn template(&self, path: &str) -> Option<&str> {
        let path = path.split('?').next().unwrap_or_default();
        let paths = self.document["paths"].as_object().expect("the document has paths");
        let exact = paths.keys().find(|template| *template == path);
        exact.or_else(|| paths.keys().find(|template| fits(template, path))).map(String::as_str)
    }

    /// What a reference stands for.
    pub(crate) fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str().and_then(|target| target.strip_prefix('#')) {
            Some(pointer) => self.document.pointer(pointer).expect("the document's references resolve"),
            None => schema,
        }
    }

    /// Panics unless the value is what the schema says. `what` names the two, and is the same for the same schema.
    pub(crate) fn check(&self, schema: &Value, value: &Value, what: &str) {
        let validator = self.used.lock().unwrap().get(what).cloned();
        let validator = validator.unwrap_or_else(|| {
            let validator = Arc::new(self.validator(schema, what));
            self.used.lock().unwrap().insert(what.to_owned(), validator.clone());
            validator
        });
        let errors: Vec<String> =
            validator.iter_errors(value).map(|error| format!("at `{}`: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{what} breaks the document\n  {}\n  body: {value}", errors.join("\n  "));
    }

    fn validator(&self, schema: &Value, what: &str) -> Validator {
        let root = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": self.document["components"],
            "allOf": [schema],
        });
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true).build(&root);
        options.unwrap_or_else(|error| panic!("{what}: the schema cannot be used: {error}"))
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let same = |(wanted, part): (&&str, &&str)| wanted == part || wanted.starts_with('{') && !part.is_empty();
    template.len() == path.len() && template.iter().zip(&path).all(same)
}
