//! The example scenarios are good, and mistakes are named with what is allowed.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use fake_nvml::{Presence, Scenario, ScenarioError, State};

#[test]
fn every_example_is_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let parsed = Scenario::parse(&fs::read_to_string(&path).unwrap());
        assert!(parsed.is_ok(), "{}: {:?}", path.display(), parsed.err());
        count += 1;
    }
    assert!(count >= 5, "{count} examples");
}

#[test]
fn a_scenario_says_what_differs() {
    let (scenario, profile) = Scenario::parse(include_str!("../scenarios/sick-dgx-1v.yaml")).unwrap();
    assert_eq!((profile.gpus, profile.memory_mib), (8, 32_768));
    assert_eq!((scenario.gpus[&2].state, scenario.gpus[&2].xids.as_slice()), (State::Lost, &[79][..]));
    assert_eq!(scenario.driver.state, Presence::Loaded);
}

#[test]
fn mistakes_are_named() {
    let fault = |text: &str| Scenario::parse(text).unwrap_err();
    let say = |text: &str| fault(text).to_string();
    assert!(matches!(fault("profile: l40s\n"), ScenarioError::Malformed(_)));
    assert!(say("profile: l40s\nnode: n\nspeed: 3\n").contains("speed"));
    assert!(say("profile: l40s\nnode: n\ngpus: {0: {state: dead}}\n").contains("dead"));
    assert!(say("profile: dgx\nnode: n\n").starts_with("profile: there is no \"dgx\"; there are dgx-1v"));
    assert!(say("profile: l40s\nnode: n\ngpus: {4: {}}\n").starts_with("gpus: there is no GPU 4"));
    let memory = say("profile: l40s\nnode: n\ngpus: {1: {memory_used_mib: 46069}}\n");
    assert_eq!(memory, "gpus.1.memory_used_mib: 46069 is more than 46068");
    let link = say("profile: dgx-1v\nnode: n\ngpus: {1: {links_down: [6]}}\n");
    assert_eq!(link, "gpus.1.links_down: there is no link 6; the GPU has 6");
}
