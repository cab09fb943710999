//! The floors, as a test: a floor names only lower floors, two folders of one floor do not know each other, and what
//! speaks to the outside speaks from one place.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// Who may name whom: the folder, the folders of this crate it may name, the client crates it may use.
const HOUSE: [(&str, &[&str], &[&str]); 10] = [
    ("model", &[], &[]),
    ("config", &["model"], &[]),
    ("runtime", &["model"], &[]),
    ("store", &["model", "config", "runtime"], &["redis"]),
    ("omni", &["model", "config", "runtime"], &["reqwest", "axum"]),
    ("pipeline", &["model", "config", "runtime", "store", "omni"], &[]),
    ("http", &["model", "config", "runtime", "store", "omni", "pipeline"], &["axum"]),
    ("app", &["model", "config", "runtime", "store", "omni", "pipeline", "http"], &["axum", "hyper"]),
    ("cli", &["app", "model", "config", "runtime", "store", "omni", "pipeline", "http", "simulator"], &["reqwest"]),
    // An Omni of our own: it names nothing else here, so that a misreading of the API cannot cancel itself out.
    ("simulator", &[], &["axum", "reqwest"]),
];

/// Crates that speak to the outside.
const SPEAKERS: [&str; 4] = ["redis", "reqwest", "axum", "hyper"];
/// No file is a warehouse.
const LONGEST_FILE: usize = 400;

#[test]
fn every_floor_names_only_lower_floors() {
    let mut wrong = Vec::new();
    for (room, files) in rooms() {
        for file in files {
            let source = std::fs::read_to_string(&file).unwrap();
            wrong.extend(violations(&room, &source).into_iter().map(|what| format!("{}: {what}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn main_names_only_the_command_line() {
    let source = std::fs::read_to_string(root().join("src/main.rs")).unwrap();
    let named = names(&source, "omni_relay");
    assert!(named.iter().all(|name| name == "cli"), "main names {named:?}");
}

#[test]
fn every_folder_is_a_room_of_the_house() {
    let known: BTreeSet<&str> = HOUSE.iter().map(|(name, ..)| *name).collect();
    let found: BTreeSet<String> = rooms().into_iter().map(|(name, _)| name).collect();
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
}

#[test]
fn files_have_a_purpose_and_an_end() {
    for (_, files) in rooms() {
        for file in files {
            let source = std::fs::read_to_string(&file).unwrap();
            assert!(source.starts_with("//!"), "{} does not say what it is for", file.display());
            let lines = source.lines().count();
            assert!(lines <= LONGEST_FILE, "{} has {lines} lines", file.display());
        }
    }
}

#[test]
fn planted_imports_are_found() {
    let planted = [
        ("store", "use crate::omni::Omni;", "omni"),
        ("model", "use crate::{config::Config};", "config"),
        ("pipeline", "fn f() { crate::http::public(x); }", "http"),
        ("pipeline", "fn f(x: &crate::cli::Args) {}", "cli"),
        ("simulator", "use crate::model::PromptId;", "model"),
        ("http", "use redis::Cmd;", "redis"),
        ("pipeline", "fn f() -> reqwest::Client { todo!() }", "reqwest"),
        ("omni", "mod deep { use crate::store::Store; }", "store"),
        ("store", "fn f() { let x = vec![crate::omni::Omni::new()]; }", "omni"),
    ];
    for (room, source, what) in planted {
        let found = violations(room, source);
        assert!(found.iter().any(|line| line.contains(what)), "{source} in {room} was not found: {found:?}");
    }
    assert!(violations("pipeline", "use crate::store::Store; use crate::pipeline::worker;").is_empty());
    assert!(violations("http", "#[cfg(test)] mod tests { use reqwest::get; }").is_empty());
}

/// A threat is covered by a test that is there, or by a file that is.
#[test]
fn the_threat_model_names_tests_that_are_there() {
    let text = std::fs::read_to_string(root().join("docs/SECURITY.md")).unwrap();
    let tests = tests();
    let named: Vec<&str> =
        text.split('`').skip(1).step_by(2).filter(|code| code.contains("::") && !code.ends_with('…')).collect();
    assert!(named.len() > 80, "only {} tests were found in the document", named.len());
    let missing: Vec<&&str> = named.iter().filter(|name| !tests.contains(**name)).collect();
    assert!(missing.is_empty(), "no such test: {missing:#?}");
    let files =
        text.split('`').skip(1).step_by(2).filter(|code| code.starts_with("tests/") || code.starts_with("deploy/"));
    let missing: Vec<&str> = files.filter(|file| !root().join(file).exists()).collect();
    assert!(missing.is_empty(), "no such file: {missing:#?}");
    assert!(!tests.contains("store::receive::nobody_wrote_this"));
}

/// Every test by its file: `store::receive::…` stands in `src/store/receive.rs` or `tests/it/store/receive.rs`, `cli::…` in
/// `src/cli` or `tests/cli`, `fuzz::…` in `tests/fuzz`.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (folder, base) in [("src", "src"), ("tests/it", "tests/it"), ("tests/cli", "tests"), ("tests/fuzz", "tests")] {
        let mut files = Vec::new();
        collect(&root().join(folder), &mut files);
        for file in files {
            let path = file.strip_prefix(root().join(base)).unwrap().with_extension("");
            let path: Vec<_> = path.iter().map(|part| part.to_string_lossy()).filter(|part| part != "mod").collect();
            let source = std::fs::read_to_string(&file).unwrap();
            let mut is_test = false;
            for line in source.lines().map(str::trim) {
                let line = line.strip_prefix("async ").unwrap_or(line);
                if let Some(rest) = line.strip_prefix("fn ") {
                    let name = rest.split('(').next().unwrap();
                    if std::mem::take(&mut is_test) {
                        found.insert(format!("{}::{name}", path.join("::")));
                    }
                }
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            }
        }
    }
    found
}

fn violations(room: &str, source: &str) -> Vec<String> {
    let (_, may_name, may_use) = HOUSE.iter().find(|(name, ..)| *name == room).unwrap();
    let inner = names(source, "crate").into_iter().filter(|name| name != room && !may_name.contains(&name.as_str()));
    let inner = inner.map(|name| format!("{room} names crate::{name}"));
    let outer = SPEAKERS.iter().filter(|speaker| !may_use.contains(speaker) && !names(source, speaker).is_empty());
    inner.chain(outer.map(|speaker| format!("{room} uses {speaker}"))).collect()
}

/// The segments that follow `first` in any path of the source; macros are read as tokens.
fn names(source: &str, first: &str) -> BTreeSet<String> {
    let file = syn::parse_file(source).expect("rust parses");
    let mut finder = Finder { first: first.to_owned(), found: BTreeSet::new() };
    finder.visit_file(&file);
    finder.found
}

struct Finder {
    first: String,
    found: BTreeSet<String>,
}

impl Finder {
    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let mut previous = Vec::<String>::new();
        for token in tokens {
            if let proc_macro2::TokenTree::Group(group) = &token {
                self.tokens(group.stream());
            }
            let text = token.to_string();
            if let [.., root, a, b] = previous.as_slice()
                && *root == self.first
                && a == ":"
                && b == ":"
            {
                self.found.insert(text.clone());
            }
            previous.push(text);
        }
    }

    fn tree(&mut self, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                self.found.insert(path.ident.to_string());
            }
            syn::UseTree::Name(name) => {
                self.found.insert(name.ident.to_string());
            }
            syn::UseTree::Rename(name) => {
                self.found.insert(name.ident.to_string());
            }
            syn::UseTree::Glob(_) => {
                self.found.insert("*".to_owned());
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item)),
        }
    }
}

impl<'ast> Visit<'ast> for Finder {
    /// What a file's own tests lean on is not what the floor stands on.
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let is_test = |attribute: &syn::Attribute| matches!(&attribute.meta, syn::Meta::List(list) if list.path.is_ident("cfg") && list.tokens.to_string() == "test");
        if !module.attrs.iter().any(is_test) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut trees = vec![&item.tree];
        while let Some(tree) = trees.pop() {
            match tree {
                syn::UseTree::Path(path) if path.ident == self.first => self.tree(&path.tree),
                syn::UseTree::Group(group) => trees.extend(&group.items),
                _ => {}
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if segments.next().is_some_and(|segment| segment.ident == self.first)
            && let Some(second) = segments.next()
        {
            self.found.insert(second.ident.to_string());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.tokens(mac.tokens.clone());
        visit::visit_macro(self, mac);
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every folder of `src` with its files, and `app`, which is one.
fn rooms() -> Vec<(String, Vec<PathBuf>)> {
    let mut rooms = Vec::new();
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let mut files = Vec::new();
            collect(&path, &mut files);
            rooms.push((path.file_name().unwrap().to_string_lossy().into_owned(), files));
        }
    }
    rooms
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
