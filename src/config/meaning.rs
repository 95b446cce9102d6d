//! What the file means: defaults filled in, and everything checked that a type cannot say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use muster_placement::Settings;
use muster_placement::ids::Name;
use muster_placement::level::{Level, is_host};
use muster_placement::pool::{Pool, PoolRule, Strength};
use muster_placement::preempt::Allowance;
use muster_placement::selector::Labels;
use muster_placement::time::Span;

use super::Config;
use super::fault::{Fault, note};
use super::flags::ServeFlags;
use super::raw::{Raw, RawLevel, RawPool, RawPreemption, RawRule, RawTiming};

const PORT: u16 = 7070;
const SCHEDULERS: [&str; 2] = ["muster", "default-scheduler"];

/// The configuration, if there is one; whatever is wrong is noted.
pub(super) fn validate(raw: Raw, flags: &ServeFlags, faults: &mut Vec<Fault>) -> Option<Config> {
    let listen = listen(&raw, flags, faults);
    let scheduler_names = scheduler_names(raw.scheduler_names, faults);
    let mut settings = timing(&raw.timing, faults);
    if let Some(raw) = &raw.levels {
        settings.levels = levels(raw, faults);
    }
    settings.preemption = preemption(&raw.preemption, faults);
    settings.pools = pools(&raw.pools, faults);
    settings.rules = rules(&raw.rules, &raw.pools, faults);
    Some(Config {
        listen: listen?,
        scheduler_names,
        settings,
        kubeconfig: flags.kubeconfig.clone(),
        log_format: flags.log_format,
    })
}

fn listen(raw: &Raw, flags: &ServeFlags, faults: &mut Vec<Fault>) -> Option<SocketAddr> {
    let (path, text) = match (&flags.listen, &raw.listen) {
        (Some(text), _) => ("--listen", text),
        (None, Some(text)) => ("listen", text),
        (None, None) => return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))),
    };
    let Ok(address) = text.parse::<SocketAddr>() else {
        let what = format!("{text:?} is not an address with a port");
        note(faults, path, what, "give one such as 127.0.0.1:7070 or [::1]:7070; names are not looked up");
        return None;
    };
    if !address.ip().is_loopback() && raw.allow_remote != Some(true) {
        let what =
            format!("{address} can be reached from other machines, and callers are not identified yet");
        note(
            faults,
            path,
            what,
            "listen on 127.0.0.1, or set `allow_remote: true` where the network is trusted",
        );
    }
    Some(address)
}

fn scheduler_names(raw: Option<Vec<String>>, faults: &mut Vec<Fault>) -> Vec<String> {
    let names = raw.unwrap_or_else(|| SCHEDULERS.map(str::to_owned).to_vec());
    if names.is_empty() {
        note(
            faults,
            "scheduler_names",
            "is empty",
            "name the kube-schedulers that have Muster as an extender",
        );
    }
    words("scheduler_names", &names, faults);
    names
}

fn timing(raw: &RawTiming, faults: &mut Vec<Fault>) -> Settings {
    let defaults = Settings::default();
    let mut span = |key: &str, said: Option<u64>, default: Span| {
        if said == Some(0) {
            note(
                faults,
                format!("timing.{key}"),
                "is 0",
                format!("give at least 1; {} is the default", default.0),
            );
        }
        said.map_or(default, Span)
    };
    Settings {
        barrier: span("barrier_ms", raw.barrier, defaults.barrier),
        refusal_grace: span("refusal_grace_ms", raw.refusal_grace, defaults.refusal_grace),
        exclusion: span("exclusion_ms", raw.exclusion, defaults.exclusion),
        owner_grace: span("owner_grace_ms", raw.owner_grace, defaults.owner_grace),
        // Here 0 has a meaning: never.
        reserve_after: match raw.reserve_after {
            Some(0) => None,
            Some(said) => Some(Span(said)),
            None => defaults.reserve_after,
        },
        ..defaults
    }
}

fn levels(raw: &[RawLevel], faults: &mut Vec<Fault>) -> Vec<Level> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let word = |path: &str, word: Option<&str>, next: &str, faults: &mut Vec<Fault>| {
        if word.is_none_or(|word| word.trim().is_empty()) {
            note(faults, path, "is missing", next);
        }
    };
    let mut levels = Vec::new();
    for level in raw {
        let (path, name) = (&level.path, level.name.as_deref());
        let label = level.label.as_deref();
        word(&format!("{path}.name"), name, "give the level a name, such as rack", faults);
        word(&format!("{path}.label"), label, "name the node label that has the domain", faults);
        for said in [name, label].into_iter().flatten() {
            if is_host(&Name::from(said)) {
                let what = format!("{said:?} is the innermost level already");
                note(faults, path, what, "remove it: hosts need not be said");
            } else if let Some(first) = seen.insert(said, path).filter(|first| first != path) {
                note(faults, path, format!("{said:?} is in {first} too"), "say each name and label once");
            }
        }
        let text = |said: Option<&str>| Name::from(said.unwrap_or_default());
        levels.push(Level { name: text(name), key: text(label) });
    }
    levels
}

fn preemption(raw: &RawPreemption, faults: &mut Vec<Fault>) -> Allowance {
    let defaults = Allowance::default();
    if raw.evictions_per_minute == Some(0) {
        let next = "give at least 1, or set `enabled: false` so that nobody is evicted";
        note(faults, "preemption.evictions_per_minute", "is 0", next);
    }
    if raw.patience == Some(0) {
        let next = format!("give at least 1; {} is the default", defaults.patience.0);
        note(faults, "preemption.patience_ms", "is 0", next);
    }
    Allowance {
        enabled: raw.enabled.unwrap_or(defaults.enabled),
        evictions_per_minute: raw.evictions_per_minute.unwrap_or(defaults.evictions_per_minute),
        patience: raw.patience.map_or(defaults.patience, Span),
    }
}

fn pools(raw: &[RawPool], faults: &mut Vec<Fault>) -> Vec<Pool> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut pools = Vec::new();
    for pool in raw {
        let path = &pool.path;
        let name = pool.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            note(faults, format!("{path}.name"), "is missing", "give the pool a name");
        } else if let Some(first) = seen.insert(name, path) {
            let what = format!("{name:?} is the name of {first} too");
            note(faults, format!("{path}.name"), what, "give each pool a name of its own");
        }
        if pool.purposes.is_empty() {
            note(faults, format!("{path}.purposes"), "is empty", "name at least one, such as training");
        }
        words(&format!("{path}.purposes"), &pool.purposes, faults);
        let (selector, purposes) = (labels(&pool.selector), names(&pool.purposes));
        pools.push(Pool { name: Name::from(name), selector, purposes });
    }
    pools
}

fn rules(raw: &[RawRule], pools: &[RawPool], faults: &mut Vec<Fault>) -> Vec<PoolRule> {
    let served: BTreeSet<&str> = pools.iter().flat_map(|p| &p.purposes).map(String::as_str).collect();
    let mut catch_all: Option<&str> = None;
    let mut rules = Vec::new();
    for rule in raw {
        let path = &rule.path;
        if let Some(first) = catch_all {
            let what =
                format!("is never reached: {first} matches every workload, and the first match counts");
            note(faults, path, what, format!("move it before {first}"));
        } else if rule.namespaces.is_empty() && rule.kinds.is_empty() && rule.labels.is_empty() {
            catch_all = Some(path);
        }
        words(&format!("{path}.namespaces"), &rule.namespaces, faults);
        words(&format!("{path}.kinds"), &rule.kinds, faults);
        let purpose = purpose(rule, &served, faults);
        let strength = strength(rule, faults);
        rules.push(PoolRule {
            namespaces: names(&rule.namespaces),
            kinds: names(&rule.kinds),
            labels: labels(&rule.labels),
            purpose: Name::from(purpose),
            strength,
        });
    }
    rules
}

fn purpose<'r>(rule: &'r RawRule, served: &BTreeSet<&str>, faults: &mut Vec<Fault>) -> &'r str {
    let path = format!("{}.purpose", rule.path);
    let purpose = rule.purpose.as_deref().unwrap_or_default();
    if purpose.is_empty() {
        note(faults, path, "is missing", "name the purpose whose pools are meant");
    } else if !served.contains(purpose) {
        let what = format!("no pool serves {purpose:?}");
        note(faults, path, what, format!("add it to the purposes of a pool{}", one_of(served)));
    }
    purpose
}

fn one_of(served: &BTreeSet<&str>) -> String {
    if served.is_empty() {
        return String::new();
    }
    format!(", or use one of {}", served.iter().copied().collect::<Vec<_>>().join(", "))
}

fn strength(rule: &RawRule, faults: &mut Vec<Fault>) -> Strength {
    match rule.strength.as_deref() {
        Some("required") => Strength::Required,
        Some("preferred") => Strength::Preferred,
        said => {
            let what = said.map_or_else(|| "is missing".to_owned(), |word| format!("{word:?} is not known"));
            let next =
                "say required (no other node will do) or preferred (others will do when these are full)";
            note(faults, format!("{}.strength", rule.path), what, next);
            Strength::Preferred
        }
    }
}

/// A list in which each word says something.
fn words(path: &str, words: &[String], faults: &mut Vec<Fault>) {
    for (at, word) in words.iter().enumerate() {
        if word.trim().is_empty() {
            note(faults, format!("{path}[{at}]"), "is empty", "give a name, or remove it");
        } else if words.iter().take(at).any(|earlier| earlier == word) {
            note(faults, format!("{path}[{at}]"), format!("{word:?} is there twice"), "remove one of them");
        }
    }
}

fn names(words: &[String]) -> Vec<Name> {
    words.iter().map(|word| Name::from(word.as_str())).collect()
}

fn labels(raw: &BTreeMap<String, String>) -> Labels {
    raw.iter().map(|(key, value)| (Name::from(key.as_str()), Name::from(value.as_str()))).collect()
}
