//! Inputs that are worth starting from, and those that once broke a promise: the files of `corpus/`.

use std::path::Path;

use crate::input::Input;

/// Every file, with its name, in order.
pub(crate) fn read() -> Vec<(String, Input)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files.into_iter().map(|(name, bytes)| (name, Input::parse(&bytes))).collect()
}

#[test]
fn a_file_is_the_input_it_was_written_from() {
    for (name, input) in read() {
        assert!(Input::parse(&input.to_bytes()) == input, "{name}");
    }
}
