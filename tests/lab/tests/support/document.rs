//! Runs the commands of a document and compares what they print with what it shows.
//!
//! A fenced block of the language `console` is a session: lines that begin with `$ ` are commands and run in one
//! shell, the others are expected to be printed, in that order, with other lines between them. `…` stands for
//! anything, and any white space for any other. Blocks of other languages are not run.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use muster_lab::{ADMIN, Lab};

/// One session.
#[derive(Debug)]
struct Session {
    heading: String,
    commands: Vec<String>,
    expected: Vec<String>,
}

/// A document and where its commands run: a folder with the repository's `deploy` and a `kubectl` of the lab.
pub struct Document<'l> {
    lab: &'l Lab,
    sessions: Vec<Session>,
    run: std::cell::RefCell<Vec<String>>,
}

impl<'l> Document<'l> {
    /// Reads a document of the repository.
    pub fn open(lab: &'l Lab, file: &str) -> Result<Self> {
        let root = muster_lab::cluster::repository();
        let text = std::fs::read_to_string(root.join(file)).with_context(|| file.to_owned())?;
        let deploy = root.join("deploy").canonicalize()?;
        std::fs::create_dir(lab.dir().join("operator")).context("a folder for the commands")?;
        std::os::unix::fs::symlink(deploy, lab.dir().join("operator/deploy")).context("link deploy")?;
        Ok(Self { lab, sessions: sessions(&text), run: std::cell::RefCell::default() })
    }

    /// The folder in which commands run.
    pub fn folder(&self) -> std::path::PathBuf {
        self.lab.dir().join("operator")
    }

    /// Runs the sessions under a heading.
    pub fn follow(&self, heading: &str) -> Result<()> {
        let under: Vec<_> = self.sessions.iter().filter(|session| session.heading == heading).collect();
        ensure!(!under.is_empty(), "no session under the heading {heading:?}");
        self.run.borrow_mut().push(heading.to_owned());
        under.into_iter().try_for_each(|session| {
            let printed = self.shell(&session.commands.join("\n")).context(heading.to_owned())?;
            check(&session.expected, &printed).with_context(|| format!("{heading}:\n{printed}"))
        })
    }

    /// Headings with sessions that were not followed.
    pub fn left_out(&self) -> Vec<&str> {
        let run = self.run.borrow();
        let all = self.sessions.iter().map(|session| session.heading.as_str());
        all.filter(|heading| !run.iter().any(|done| done == heading)).collect()
    }

    fn shell(&self, script: &str) -> Result<String> {
        let kubectl = self.lab.program("kubectl");
        let programs = kubectl.parent().unwrap_or(Path::new("."));
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &format!("exec 2>&1\n{script}")])
            .current_dir(self.folder())
            .env("PATH", format!("{}:{path}", programs.canonicalize()?.display()))
            .env("KUBECONFIG", self.lab.kubeconfig_for(ADMIN)?)
            .env("HOME", self.folder())
            .output()
            .context("start bash")?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{}:\n{script}\n{printed}", output.status);
        Ok(printed)
    }
}

fn sessions(text: &str) -> Vec<Session> {
    let (mut heading, mut found, mut within) = (String::new(), Vec::<Session>::new(), false);
    for line in text.lines() {
        match line {
            "```console" => {
                within = true;
                let (commands, expected) = (Vec::new(), Vec::new());
                found.push(Session { heading: heading.clone(), commands, expected });
            }
            "```" => within = false,
            _ if within => {
                let Some(session) = found.last_mut() else { continue };
                match line.strip_prefix("$ ") {
                    Some(command) => session.commands.push(command.to_owned()),
                    None => session.expected.push(line.to_owned()),
                }
            }
            _ if line.starts_with('#') => line.trim_start_matches('#').trim().clone_into(&mut heading),
            _ => {}
        }
    }
    found
}

fn check(expected: &[String], printed: &str) -> Result<()> {
    ensure!(!printed.contains("Warning:"), "the API server or kubectl warns");
    let mut lines = printed.lines();
    for pattern in expected {
        ensure!(lines.any(|line| fits(pattern, line)), "{pattern:?} was not printed, or not in this order");
    }
    Ok(())
}

/// Whether a line is what the pattern shows.
fn fits(pattern: &str, line: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (pattern, line) = (squeeze(pattern), squeeze(line));
    let mut parts = pattern.split('…').map(str::trim);
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut open = false;
    for part in parts {
        open = part.is_empty();
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    open || rest.is_empty()
}

#[test]
fn a_pattern_is_neither_too_wide_nor_too_narrow() {
    assert!(fits("a … c", "a   b c"));
    assert!(fits("…\"name\":\"x", "{\"name\":\"x") && !fits("…\"name\":\"x", "{\"name\":\"xy"));
    assert!(fits("v…", "v1.37") && !fits("v…", "w1.37"));
    assert!(!fits("job created", "job created twice"));
    assert!(check(&["b".to_owned(), "a".to_owned()], "a\nb\n").is_err());
}
