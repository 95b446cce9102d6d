//! Reads one mapping of the file field by field and takes note of everything that does not belong: a field
//! of the wrong type, and every field that nobody asked for. `deny_unknown_fields` would stop at the first.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fault::{Fault, note};

/// A mapping that is being read.
pub(super) struct Section<'f> {
    path: String,
    entries: Map<String, Value>,
    known: Vec<&'static str>,
    pub(super) faults: &'f mut Vec<Fault>,
}

impl<'f> Section<'f> {
    /// A mapping at a path; the path of the file itself is empty. Nothing at all is an empty mapping.
    pub(super) fn open(path: impl Into<String>, value: Value, faults: &'f mut Vec<Fault>) -> Section<'f> {
        let path = path.into();
        let entries = match value {
            Value::Object(entries) => entries,
            Value::Null => Map::new(),
            _ => {
                let at = if path.is_empty() { "(file)" } else { &path };
                note(faults, at, "is not a mapping", "write fields as `name: value`");
                Map::new()
            }
        };
        Section { path, entries, known: Vec::new(), faults }
    }

    /// The path of a field.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A field as it stands; `null` if it is absent.
    pub(super) fn value(&mut self, key: &'static str) -> Value {
        self.known.push(key);
        self.entries.remove(key).unwrap_or_default()
    }

    /// A field of a type; `None` if it is absent, or has another type, which is a fault.
    pub(super) fn take<T: DeserializeOwned>(&mut self, key: &'static str, wanted: &str) -> Option<T> {
        let value = self.value(key);
        if value.is_null() {
            return None;
        }
        let read = serde_json::from_value(value);
        let path = self.at(key);
        read.map_err(|source| note(self.faults, path, source.to_string(), format!("give {wanted}"))).ok()
    }

    /// The elements of a list, each with its path; none if it is absent.
    pub(super) fn elements(&mut self, key: &'static str) -> Vec<(String, Value)> {
        self.listed(key).unwrap_or_default()
    }

    /// The elements of a list, each with its path; `None` if it is absent.
    pub(super) fn listed(&mut self, key: &'static str) -> Option<Vec<(String, Value)>> {
        let path = self.at(key);
        match self.value(key) {
            Value::Null => None,
            Value::Array(list) => {
                Some(list.into_iter().enumerate().map(|(i, value)| (format!("{path}[{i}]"), value)).collect())
            }
            _ => {
                note(self.faults, path, "is not a list", "write one `- ` per element");
                None
            }
        }
    }

    /// Ends the reading: what is left was not asked for.
    pub(super) fn close(self) {
        for key in self.entries.keys() {
            let next = format!("remove it, or use one of {}", self.known.join(", "));
            let path = self.at(key);
            note(self.faults, path, "is not a known field", next);
        }
    }
}
