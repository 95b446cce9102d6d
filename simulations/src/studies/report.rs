//! What a run came to: a table for people, a page for the repository, one JSON object a row for tools.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::statistics::{deviation, mean, paired};
use super::{Column, Row, Study};

/// Mean ± standard deviation of every figure for each policy, and the paired difference of `muster` to it.
pub fn table(study: &dyn Study, rows: &[Row]) -> String {
    let columns = study.columns();
    let mut text = String::from("| policy |");
    for column in &columns {
        let _ = write!(text, " {} |", column.name);
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(columns.len()));
    text.push('\n');
    for policy in policies(rows) {
        let _ = write!(text, "| {policy} |");
        for (at, column) in columns.iter().enumerate() {
            let _ = write!(text, " {} |", cell(rows, policy, at, *column));
        }
        text.push('\n');
    }
    text
}

fn cell(rows: &[Row], policy: &str, at: usize, column: Column) -> String {
    let digits = column.digits;
    let values = values(rows, policy, at);
    let own = match values.as_slice() {
        [] => return "–".to_owned(),
        [one] => format!("{one:.digits$}"),
        several => format!("{:.digits$} ± {:.digits$}", mean(several), deviation(several)),
    };
    let ours = self::values(rows, "muster", at);
    if policy == "muster" || ours.len() != values.len() || ours.len() < 2 {
        return own;
    }
    let (difference, half) = paired(&ours, &values);
    format!("{own} (muster {difference:+.digits$} ± {half:.digits$})")
}

/// A figure of a policy, by seed.
pub fn values(rows: &[Row], policy: &str, at: usize) -> Vec<f64> {
    let rows = rows.iter().filter(|row| row.policy == policy);
    rows.filter_map(|row| row.values.get(at).copied()).filter(|value| !value.is_nan()).collect()
}

/// Policies in the order in which they were run.
pub fn policies(rows: &[Row]) -> Vec<&str> {
    let mut policies: Vec<&str> = Vec::new();
    for row in rows {
        if !policies.contains(&row.policy.as_str()) {
            policies.push(&row.policy);
        }
    }
    policies
}

/// Goals, met and missed.
pub fn goals(study: &dyn Study, rows: &[Row]) -> String {
    let mut text = String::from("| goal | wanted | reached | |\n|---|---|---|---|\n");
    for goal in study.goals(rows) {
        let verdict = if goal.met { "met" } else { "**missed**" };
        let _ = writeln!(text, "| {} | {} | {} | {verdict} |", goal.what, goal.wanted, goal.reached);
    }
    text
}

/// The page of a study for `simulations/results`.
pub fn page(study: &dyn Study, rows: &[Row]) -> String {
    let name = study.name();
    let seeds: Vec<u64> = rows.iter().map(|row| row.seed).collect();
    let range = match (seeds.iter().min(), seeds.iter().max()) {
        (Some(first), Some(last)) => format!("{first}..{last}"),
        _ => "none".to_owned(),
    };
    let mut text = format!("# {name}\n\n{}\n\n", study.about());
    let _ = writeln!(
        text,
        "Made by `cargo run --release -p muster-simulations -- run {name} --seeds {range}`.\n"
    );
    text.push_str("Mean ± standard deviation over seeds; in brackets the mean paired difference of `muster` to the row ± half ");
    text.push_str("its 95 % interval.\n\n");
    text.push_str(&table(study, rows));
    text.push('\n');
    text.push_str(&goals(study, rows));
    let _ = writeln!(text, "\n![{name}]({name}.svg)\n");
    text.push_str(&study.notes().join("\n\n"));
    text.push('\n');
    text
}

/// One JSON object a row.
pub fn json_lines(study: &dyn Study, rows: &[Row]) -> String {
    let columns = study.columns();
    let line = |row: &Row| {
        let mut object = Map::new();
        object.insert("scenario".to_owned(), row.scenario.into());
        object.insert("policy".to_owned(), row.policy.clone().into());
        object.insert("seed".to_owned(), row.seed.into());
        for (column, value) in columns.iter().zip(&row.values) {
            object.insert(column.name.to_owned(), (*value).into());
        }
        format!("{}\n", Value::Object(object))
    };
    rows.iter().map(line).collect()
}
