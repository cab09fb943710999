//! Files that go along with a question.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The kinds of file that Omni's own client sends.
const KINDS: [(&str, &str); 6] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("pdf", "application/pdf"),
];

/// The files as a prompt's `attachments`.
pub(super) fn attachments(paths: &[PathBuf]) -> anyhow::Result<Vec<Value>> {
    paths.iter().map(|path| attachment(path)).collect()
}

fn attachment(path: &Path) -> anyhow::Result<Value> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    let Some((_, mime_type)) = KINDS.into_iter().find(|(known, _)| *known == ending) else {
        bail!("failed to attach {}: expected a name that ends in .png, .jpg, .webp, .gif or .pdf", path.display());
    };
    let bytes = std::fs::read(path).with_context(|| format!("failed to attach {}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(json!({"data": BASE64_STANDARD.encode(bytes), "mimeType": mime_type, "name": name}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_sent_as_what_its_name_says() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("Chart.PNG");
        std::fs::write(&path, b"hi").unwrap();
        let expected = json!({"data": "aGk=", "mimeType": "image/png", "name": "Chart.PNG"});
        assert_eq!(attachments(&[path]).unwrap(), [expected]);
        for (name, told) in [("notes.txt", "expected a name"), ("nowhere.pdf", "failed to attach")] {
            let error = format!("{:#}", attachment(&home.path().join(name)).unwrap_err());
            assert!(error.contains(told) && error.contains(name), "{error}");
        }
    }
}
