//! Tables of configurations and the faults in them.

use std::path::PathBuf;

use muster_placement::pool::Strength;
use muster_placement::preempt::Allowance;
use muster_placement::time::Span;

use super::{Config, ConfigError, Fault, LogFormat, ServeFlags};

const SAMPLE: &str = include_str!("../../deploy/muster.yaml");

fn parse(text: &str) -> Result<Config, Vec<Fault>> {
    Config::parse(text, &ServeFlags::default()).map_err(|faults| faults.0)
}

/// Expects exactly these faults, each `path: beginning of what`.
fn check(text: &str, expected: &[&str]) {
    let faults = parse(text).expect_err(text);
    let said: Vec<String> = faults.iter().map(|f| format!("{}: {}", f.path, f.what)).collect();
    let fits = said.len() == expected.len()
        && said.iter().zip(expected).all(|(said, wanted)| said.starts_with(wanted));
    assert!(fits, "{text}\nsaid:     {said:#?}\nexpected: {expected:#?}");
    assert!(faults.iter().all(|f| !f.next.is_empty()));
}

#[test]
fn the_sample_is_the_defaults() {
    assert_eq!(parse(SAMPLE).unwrap(), parse("").unwrap());
    let config = parse("").unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:7070");
    assert_eq!(config.scheduler_names, ["muster", "default-scheduler"]);
    assert_eq!(config.settings, muster_placement::Settings::default());
}

/// Example lines of the sample begin with `#` and no space, comments for people with `# `.
#[test]
fn the_examples_in_the_sample_are_valid() {
    let example = |line: &str| {
        let rest = line.strip_prefix('#')?;
        (!rest.starts_with(' ') || rest.starts_with("  ")).then(|| rest.to_owned())
    };
    let lines: Vec<String> = SAMPLE.lines().map(|line| example(line).unwrap_or(line.to_owned())).collect();
    let config = parse(&lines.join("\n")).unwrap();
    assert_eq!(config.settings.levels.len(), 2);
    assert_eq!(config.settings.pools.len(), 2);
    assert_eq!(config.settings.rules.len(), 2);
}

#[test]
fn everything_can_be_said() {
    let text = "
listen: 0.0.0.0:8080
allow_remote: true
scheduler_names: [gpu]
timing: {barrier_ms: 1, refusal_grace_ms: 2, exclusion_ms: 3, owner_grace_ms: 4, reserve_after_ms: 0}
levels: [{name: rack, label: x/rack}]
preemption: {enabled: false, evictions_per_minute: 5, patience_ms: 6}
pools:
  - {name: a, selector: {zone: x}, purposes: [training, serving]}
rules:
  - {namespaces: [ml], kinds: [TFJob], labels: {team: red}, purpose: training, strength: required}
  - {purpose: serving, strength: preferred}
";
    let config = parse(text).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    let settings = config.settings;
    let spans = [settings.barrier, settings.refusal_grace, settings.exclusion, settings.owner_grace];
    assert_eq!(spans, [Span(1), Span(2), Span(3), Span(4)]);
    assert_eq!((settings.levels.len(), settings.levels[0].key.as_str()), (1, "x/rack"));
    assert_eq!(settings.reserve_after, None);
    let preemption = Allowance { enabled: false, evictions_per_minute: 5, patience: Span(6) };
    assert_eq!(settings.preemption, preemption);
    assert_eq!(settings.pools[0].selector.len(), 1);
    assert_eq!(settings.rules[0].strength, Strength::Required);
    assert_eq!(settings.rules[1].strength, Strength::Preferred);
}

#[test]
fn all_faults_are_reported_at_once() {
    let text = "
listn: 127.0.0.1:1
scheduler_names: 7
timing: {barrier_ms: 0, owner_grace_ms: soon, exclusion: 5}
pools:
  - {name: a, purposes: [training], selektor: {}}
  - {name: a, selector: {gpu: true}}
  - just-a-name
rules:
  - {purpose: serving, strength: must}
  - {kinds: [Job, Job], strength: required}
";
    check(
        text,
        &[
            "scheduler_names: invalid type",
            "timing.owner_grace_ms: invalid type",
            "timing.exclusion: is not a known field",
            "pools[0].selektor: is not a known field",
            "pools[1].selector: invalid type",
            "pools[2]: is not a mapping",
            "listn: is not a known field",
            "timing.barrier_ms: is 0",
            "pools[1].name: \"a\" is the name of pools[0] too",
            "pools[1].purposes: is empty",
            "pools[2].name: is missing",
            "pools[2].purposes: is empty",
            "rules[0].purpose: no pool serves \"serving\"",
            "rules[0].strength: \"must\" is not known",
            "rules[1]: is never reached",
            "rules[1].kinds[1]: \"Job\" is there twice",
            "rules[1].purpose: is missing",
        ],
    );
}

#[test]
fn levels_are_said_once_and_hosts_not_at_all() {
    let text = "
levels:
  - {name: block, label: x/block}
  - {name: block, label: x/rack}
  - {name: host, label: kubernetes.io/hostname}
  - {label: ' '}
";
    let faults = [
        "levels[1]: \"block\" is in levels[0] too",
        "levels[2]: \"host\" is the innermost level already",
        "levels[2]: \"kubernetes.io/hostname\" is the innermost level already",
        "levels[3].name: is missing",
        "levels[3].label: is missing",
    ];
    check(text, &faults);
    assert!(parse("levels: []").unwrap().settings.levels.is_empty(), "no levels at all");
    assert_eq!(parse("levels:").unwrap(), parse("").unwrap());
}

#[test]
fn preemption_is_switched_off_by_its_switch() {
    check(
        "preemption: {evictions_per_minute: 0, patience_ms: 0, enable: no}",
        &[
            "preemption.enable: is not a known field",
            "preemption.evictions_per_minute: is 0",
            "preemption.patience_ms: is 0",
        ],
    );
    check("preemption: off", &["preemption: is not a mapping"]);
}

#[test]
fn a_listener_for_all_must_be_meant() {
    check("listen: 0.0.0.0:7070", &["listen: 0.0.0.0:7070 can be reached"]);
    check("{listen: '[::]:7070', allow_remote: false}", &["listen: [::]:7070 can be reached"]);
    check("listen: localhost:7070", &["listen: \"localhost:7070\" is not an address"]);
    let flags = ServeFlags { listen: Some("10.0.0.1:1".into()), ..ServeFlags::default() };
    let faults = Config::parse("listen: 127.0.0.1:1", &flags).unwrap_err();
    assert_eq!(faults.0[0].path, "--listen");
    let flags = ServeFlags { listen: Some("[::1]:0".into()), log_format: LogFormat::Json, ..flags };
    let config = Config::parse("listen: nonsense", &flags).unwrap();
    assert_eq!((config.listen.to_string().as_str(), config.log_format), ("[::1]:0", LogFormat::Json));
}

#[test]
fn text_that_is_no_configuration_is_located() {
    check("timing: {barrier_ms: 1", &["line "]);
    check("listen: a\nlisten: b\n", &["line 2 column 1"]);
    check("- a list", &["(file): is not a mapping"]);
    check("scheduler_names: []", &["scheduler_names: is empty"]);
    check("scheduler_names: ['']", &["scheduler_names[0]: is empty"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let flags =
        ServeFlags { config: Some(PathBuf::from("/nonexistent/muster.yaml")), ..ServeFlags::default() };
    let error = Config::load(&flags).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }));
    assert!(error.to_string().contains("/nonexistent/muster.yaml"), "{error}");
}

#[test]
fn the_message_has_one_line_per_fault() {
    let faults = Config::parse("{a: 1, b: 2}", &ServeFlags::default()).unwrap_err();
    let text = faults.to_string();
    assert!(
        text.starts_with("2 faults\n  a: is not a known field; remove it, or use one of listen,"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 3);
}
