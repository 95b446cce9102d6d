//! The house rules as tests: every file reachable, sizes, dependency arrows, banned words, documents in step.
#![allow(clippy::expect_used, clippy::panic, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const LINES_PER_FILE_MAX: usize = 500;
const BANNED_NAMES: [&str; 5] = ["manager", "helper", "util", "utils", "handler"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Files that git tracks or would track, so that build output does not count.
fn files(ending: &str) -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    let text = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    text.lines()
        .filter(|l| l.ends_with(ending))
        .map(PathBuf::from)
        .filter(|p| root().join(p).exists())
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Targets that cargo builds by itself: everything else must be reached from one of them by `mod`.
fn is_target(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let dir = path.parent().and_then(|p| p.file_name()).and_then(|n| n.to_str()).unwrap_or_default();
    matches!((dir, name), ("src", "lib.rs" | "main.rs") | (_, "build.rs"))
        || dir == "tests"
        || dir == "bin"
        || dir == "benches"
        || dir == "examples"
}

/// Where `mod name;` in `file` may live.
fn children(file: &Path, name: &str) -> Vec<PathBuf> {
    let dir = file.parent().unwrap_or(Path::new(""));
    let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let inside = if is_target(file) || stem == "mod" { dir.to_path_buf() } else { dir.join(stem) };
    vec![inside.join(format!("{name}.rs")), inside.join(name).join("mod.rs")]
}

fn modules(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    })
}

#[test]
fn every_rust_file_is_reached() {
    let all: BTreeSet<PathBuf> = files(".rs").into_iter().collect();
    let mut reached = BTreeSet::new();
    let mut open: Vec<PathBuf> = all.iter().filter(|p| is_target(p)).cloned().collect();
    while let Some(file) = open.pop() {
        if !reached.insert(file.clone()) {
            continue;
        }
        for name in modules(&read(&file)) {
            open.extend(children(&file, name).into_iter().filter(|p| all.contains(p)));
        }
    }
    let lost: Vec<_> = all.difference(&reached).collect();
    assert!(lost.is_empty(), "no `mod` line reaches {lost:?}: rustc does not see them");
}

#[test]
fn files_stay_small() {
    let long: Vec<_> = files(".rs")
        .into_iter()
        .map(|p| (read(&p).lines().count(), p))
        .filter(|(n, _)| *n > LINES_PER_FILE_MAX)
        .collect();
    assert!(long.is_empty(), "over {LINES_PER_FILE_MAX} lines: {long:?}");
}

#[test]
fn files_are_named_after_concepts() {
    let bad: Vec<_> = files(".rs")
        .into_iter()
        .filter(|p| p.file_stem().and_then(|s| s.to_str()).is_some_and(|s| BANNED_NAMES.contains(&s)))
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn every_source_file_says_what_it_owns() {
    let silent: Vec<_> = files(".rs").into_iter().filter(|p| !read(p).starts_with("//! ")).collect();
    assert!(silent.is_empty(), "no module documentation: {silent:?}");
}

#[test]
fn arrows_point_inward() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().unwrap_or_default().to_string();
        let entry = arrows.entry(name).or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let is_ours = dependency["path"].is_string();
            if is_ours && dependency["kind"].is_null() {
                entry.insert(dependency["name"].as_str().unwrap_or_default().to_string());
            }
        }
    }
    let allowed = |name: &str| -> &[&str] {
        match name {
            "muster" => &["muster-placement", "muster-report", "muster-simulations"],
            "muster-agent" | "muster-lab" => &["muster-report"],
            "muster-simulations" => &["muster-placement"],
            _ => &[],
        }
    };
    for (name, to) in &arrows {
        for target in to {
            assert!(allowed(name).contains(&target.as_str()), "{name} must not depend on {target}");
        }
    }
    assert!(arrows.contains_key("muster-placement"));
}

#[test]
fn placement_has_no_std() {
    let lib = read(Path::new("crates/placement/src/lib.rs"));
    assert!(lib.contains("#![no_std]"));
    let manifest = read(Path::new("crates/placement/Cargo.toml"));
    assert!(!manifest.contains("\n[dependencies]"), "placement has no dependencies");
}

#[test]
fn nothing_unfinished_and_no_test_switched_off() {
    for file in files(".rs") {
        let text = read(&file);
        for word in [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[", "ignore")] {
            assert!(!text.contains(word), "{} in {}", word, file.display());
        }
    }
}

#[test]
fn the_readme_names_tasks_that_exist() {
    let makefile = read(Path::new("Makefile"));
    for document in ["README.md", "CONTRIBUTING.md"] {
        for task in
            read(Path::new(document)).split("`make ").skip(1).filter_map(|rest| rest.split('`').next())
        {
            for word in task.split_whitespace() {
                assert!(makefile.contains(&format!("\n{word}:")), "{document}: make {word} does not exist");
            }
        }
    }
}

#[test]
fn the_code_map_names_every_module() {
    let map = read(Path::new("ARCHITECTURE.md"));
    for name in modules(&read(Path::new("src/lib.rs"))) {
        assert!(map.contains(&format!("`src/{name}`")), "ARCHITECTURE.md does not name src/{name}");
    }
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    for document in
        files(".md").iter().filter(|p| !p.starts_with("tests/fixtures") && !p.starts_with("tests/workloads"))
    {
        let text = read(document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            let target = root()
                .join(document.parent().unwrap_or(Path::new("")))
                .join(link.split('#').next().unwrap_or(link));
            assert!(target.exists(), "{}: {link} leads nowhere", document.display());
        }
    }
}
