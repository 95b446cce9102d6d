//! `muster-sim`: published results run again, from the command line.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use muster_simulations::studies::{self, Size, Study, StudyError, plot, report};
use muster_simulations::{BUGS, Bug, hunt};

/// Placement in invented and recorded worlds.
#[derive(Parser)]
#[command(version)]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the studies.
    List,
    /// Runs storms in which anything may go wrong; ends with an error if a rule broke, and tells a short story of it.
    Worlds {
        /// Seeds from A to B, both included.
        #[arg(long, value_parser = seeds, default_value = "0..1999")]
        seeds: RangeInclusive<u64>,
        /// A storm is over after so many events.
        #[arg(long, default_value_t = 1_000)]
        events: u64,
    },
    /// Plants a bug and runs the seeds that find it: ends with status 1 when the bug is caught, and 0 when it is not.
    Bug {
        /// Its name.
        #[arg(required_unless_present = "list")]
        name: Option<String>,
        /// Lists the bugs.
        #[arg(long)]
        list: bool,
        /// Other seeds than the saved ones.
        #[arg(long, value_parser = seeds)]
        seeds: Option<RangeInclusive<u64>>,
        /// A storm is over after so many events.
        #[arg(long, default_value_t = 1_000)]
        events: u64,
    },
    /// Runs a study and prints its table; without --policy and --slice its page and plot are written too.
    Run {
        /// Its name; `list` shows all.
        study: String,
        /// Seeds from A to B, both included, instead of the study's own.
        #[arg(long, value_parser = seeds)]
        seeds: Option<RangeInclusive<u64>>,
        /// Only this policy.
        #[arg(long)]
        policy: Option<String>,
        /// One JSON object a row into this file.
        #[arg(long)]
        json: Option<PathBuf>,
        /// A few seconds' worth of the work.
        #[arg(long)]
        slice: bool,
        /// Folder for page and plot.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
        results: PathBuf,
    },
}

fn main() -> ExitCode {
    match answer(Flags::parse().command) {
        Ok(code) => code,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn answer(command: Command) -> Result<ExitCode, StudyError> {
    match command {
        Command::List => {
            for study in studies::all() {
                println!("{:20} {}", study.name(), study.about());
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Worlds { seeds, events } => Ok(worlds(seeds, events)),
        Command::Bug { list: true, .. } => {
            for bug in BUGS {
                println!("{bug}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Bug { name, seeds, events, .. } => plant(&name.unwrap_or_default(), seeds, events),
        Command::Run { study, seeds, policy, json, slice, results } => {
            let study = studies::by_name(&study)?;
            let policies = policies(study.as_ref(), policy.as_deref())?;
            let size = if slice { Size::Slice } else { Size::Full };
            let rows = studies::run(study.as_ref(), seeds.unwrap_or(study.seeds()), &policies, size)?;
            println!("{}\n{}", report::table(study.as_ref(), &rows), report::goals(study.as_ref(), &rows));
            if let Some(file) = json {
                write(&file, &report::json_lines(study.as_ref(), &rows))?;
            }
            if policy.is_none() && !slice {
                let file = |ending: &str| results.join(format!("{}.{ending}", study.name()));
                write(&file("md"), &report::page(study.as_ref(), &rows))?;
                write(&file("svg"), &plot::svg(study.as_ref(), &rows)?)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn worlds(seeds: RangeInclusive<u64>, events: u64) -> ExitCode {
    let hunt = hunt::hunt(seeds, events, None);
    print!("{}", hunt.table());
    for (seed, words) in &hunt.failed {
        println!("seed {seed}: {words}");
    }
    let Some((seed, _)) = hunt.failed.first() else { return ExitCode::SUCCESS };
    print!("{}", hunt::story(*seed, events, None));
    ExitCode::FAILURE
}

fn plant(name: &str, seeds: Option<RangeInclusive<u64>>, events: u64) -> Result<ExitCode, StudyError> {
    let known = || BUGS.iter().map(|bug| bug.name).collect::<Vec<_>>().join(", ");
    let unknown = || StudyError::Unknown { what: "bug", name: name.to_owned(), known: known() };
    let bug = Bug::by_name(name).ok_or_else(unknown)?;
    println!("{bug}");
    let saved = || bug.seeds.iter().map(|seed| *seed..=*seed).collect();
    for seeds in seeds.map_or_else(saved, |seeds| vec![seeds]) {
        let hunt = hunt::hunt(seeds, events, Some(bug));
        if let Some((seed, words)) = hunt.failed.first() {
            let by: Vec<u64> = hunt.failed.iter().map(|(seed, _)| *seed).collect();
            println!("caught by {} of {} seeds, {by:?}, first by {seed}: {words}", by.len(), hunt.seeds);
            print!("{}", hunt::story(*seed, events, Some(bug)));
            return Ok(ExitCode::FAILURE);
        }
    }
    println!("not caught");
    Ok(ExitCode::SUCCESS)
}

fn policies(study: &dyn Study, only: Option<&str>) -> Result<Vec<&'static str>, StudyError> {
    let all = study.policies();
    let Some(name) = only else { return Ok(all) };
    match all.iter().find(|policy| **policy == name) {
        Some(policy) => Ok(vec![policy]),
        None => Err(StudyError::Unknown { what: "policy", name: name.to_owned(), known: all.join(", ") }),
    }
}

fn write(file: &Path, text: &str) -> Result<(), StudyError> {
    let fault = |source| StudyError::Write { file: file.display().to_string(), source };
    file.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(fault)?;
    std::fs::write(file, text).map_err(fault)
}

/// `A..B`, both included, or one seed.
fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |part: &str| part.parse::<u64>().map_err(|why| format!("{part:?} is no seed: {why}"));
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last.trim_start_matches('='))?);
    if first > last {
        return Err(format!("no seed lies between {first} and {last}; write the smaller one first"));
    }
    Ok(first..=last)
}
