//! What the user wrote: every field optional, nothing checked but its type and that it is known.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fault::{Fault, note};
use super::section::Section;

/// The file.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) listen: Option<String>,
    pub(super) allow_remote: Option<bool>,
    pub(super) scheduler_names: Option<Vec<String>>,
    pub(super) timing: RawTiming,
    pub(super) levels: Option<Vec<RawLevel>>,
    pub(super) preemption: RawPreemption,
    pub(super) pools: Vec<RawPool>,
    pub(super) rules: Vec<RawRule>,
}

/// `timing`, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct RawTiming {
    pub(super) barrier: Option<u64>,
    pub(super) refusal_grace: Option<u64>,
    pub(super) exclusion: Option<u64>,
    pub(super) owner_grace: Option<u64>,
    pub(super) reserve_after: Option<u64>,
}

/// An element of `levels`.
#[derive(Debug)]
pub(super) struct RawLevel {
    pub(super) path: String,
    pub(super) name: Option<String>,
    pub(super) label: Option<String>,
}

/// `preemption`.
#[derive(Debug, Default)]
pub(super) struct RawPreemption {
    pub(super) enabled: Option<bool>,
    pub(super) evictions_per_minute: Option<u64>,
    pub(super) patience: Option<u64>,
}

/// An element of `pools`.
#[derive(Debug)]
pub(super) struct RawPool {
    pub(super) path: String,
    pub(super) name: Option<String>,
    pub(super) selector: BTreeMap<String, String>,
    pub(super) purposes: Vec<String>,
}

/// An element of `rules`.
#[derive(Debug)]
pub(super) struct RawRule {
    pub(super) path: String,
    pub(super) namespaces: Vec<String>,
    pub(super) kinds: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) purpose: Option<String>,
    pub(super) strength: Option<String>,
}

const WORDS: &str = "a list of words";
const SPAN: &str = "a whole number of milliseconds";
const LABELS: &str = "a mapping of label names to texts; put numbers, true and false in quotes";

/// Reads the text. A text that is not YAML is one fault; everything else is noted and read on.
pub(super) fn read(text: &str, faults: &mut Vec<Fault>) -> Raw {
    if text.trim().is_empty() {
        return Raw::default();
    }
    let value: Value = match serde_saphyr::from_str(text) {
        Ok(value) => value,
        Err(source) => {
            let at = source.location().map_or_else(
                || "(file)".to_owned(),
                |at| format!("line {} column {}", at.line(), at.column()),
            );
            note(faults, at, source.to_string(), "write valid YAML; deploy/muster.yaml is a sample");
            return Raw::default();
        }
    };
    let mut file = Section::open("", value, faults);
    let raw = Raw {
        listen: file.take("listen", "a text such as 127.0.0.1:7070"),
        allow_remote: file.take("allow_remote", "true or false"),
        scheduler_names: file.take("scheduler_names", WORDS),
        timing: timing(&mut file),
        levels: levels(&mut file),
        preemption: preemption(&mut file),
        pools: file
            .elements("pools")
            .into_iter()
            .map(|(path, value)| pool(path, value, file.faults))
            .collect(),
        rules: file
            .elements("rules")
            .into_iter()
            .map(|(path, value)| rule(path, value, file.faults))
            .collect(),
    };
    file.close();
    raw
}

fn timing(file: &mut Section<'_>) -> RawTiming {
    let value = file.value("timing");
    let mut section = Section::open("timing", value, file.faults);
    let timing = RawTiming {
        barrier: section.take("barrier_ms", SPAN),
        refusal_grace: section.take("refusal_grace_ms", SPAN),
        exclusion: section.take("exclusion_ms", SPAN),
        owner_grace: section.take("owner_grace_ms", SPAN),
        reserve_after: section.take("reserve_after_ms", SPAN),
    };
    section.close();
    timing
}

/// `None` if nothing is said, which is not the same as an empty list.
fn levels(file: &mut Section<'_>) -> Option<Vec<RawLevel>> {
    let elements = file.listed("levels")?;
    Some(elements.into_iter().map(|(path, value)| level(path, value, file.faults)).collect())
}

fn level(path: String, value: Value, faults: &mut Vec<Fault>) -> RawLevel {
    let mut section = Section::open(path.clone(), value, faults);
    let level =
        RawLevel { path, name: section.take("name", "a text"), label: section.take("label", "a label name") };
    section.close();
    level
}

fn preemption(file: &mut Section<'_>) -> RawPreemption {
    let value = file.value("preemption");
    let mut section = Section::open("preemption", value, file.faults);
    let preemption = RawPreemption {
        enabled: section.take("enabled", "true or false"),
        evictions_per_minute: section.take("evictions_per_minute", "a whole number of pods"),
        patience: section.take("patience_ms", SPAN),
    };
    section.close();
    preemption
}

fn pool(path: String, value: Value, faults: &mut Vec<Fault>) -> RawPool {
    let mut section = Section::open(path.clone(), value, faults);
    let pool = RawPool {
        path,
        name: section.take("name", "a text"),
        selector: section.take("selector", LABELS).unwrap_or_default(),
        purposes: section.take("purposes", WORDS).unwrap_or_default(),
    };
    section.close();
    pool
}

fn rule(path: String, value: Value, faults: &mut Vec<Fault>) -> RawRule {
    let mut section = Section::open(path.clone(), value, faults);
    let rule = RawRule {
        path,
        namespaces: section.take("namespaces", WORDS).unwrap_or_default(),
        kinds: section.take("kinds", WORDS).unwrap_or_default(),
        labels: section.take("labels", LABELS).unwrap_or_default(),
        purpose: section.take("purpose", "a text"),
        strength: section.take("strength", "required or preferred"),
    };
    section.close();
    rule
}
