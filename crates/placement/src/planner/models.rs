//! One GPU model for the whole gang, since a mixed one runs at the pace of its slowest GPU.
//!
//! Members that name models (`muster.dev/gpu-models`) get one of them, the first on which the gang fits, or none. Of a
//! gang that names none, a plan over several models stands only if no single one and no smaller set would do. A gang that
//! grows stays on the models that it has.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{Placement, Site};
use crate::ids::{Name, PodUid};
use crate::pod::Pod;
use crate::refusal::Refusal;

/// Sets of models tried for a gang that names none.
const TRIES: usize = 32;

type Planned = Result<Vec<Placement>, Refusal>;

/// Plans on one model, or on as few as can be.
pub(super) fn on_one_model(
    site: Site<'_>,
    members: &[Arc<Pod>],
    plan: impl Fn(Site<'_>) -> Planned,
) -> Planned {
    let home = at_home(site);
    if let Some(mut models) = named(members) {
        if models.iter().any(|model| home.contains(model)) {
            models.retain(|model| home.contains(model));
        }
        return on_a_named_one(site, &models, plan);
    }
    if !home.is_empty()
        && let Ok(placements) = plan(Site { models: Some(&home), ..site })
    {
        return Ok(placements);
    }
    let mixed = plan(site)?;
    Ok(on_fewer(site, members, &mixed, plan).unwrap_or(mixed))
}

/// The models that the gang runs on already, by the nodes that it is on.
fn at_home(site: Site<'_>) -> BTreeSet<Name> {
    let nodes = site.home().into_iter().filter_map(|at| site.nodes.get(at));
    nodes.filter(|state| state.has_gpus()).map(|state| state.model.clone()).collect()
}

/// The models that all members that name any can agree on, in the order of the first such member.
fn named(members: &[Arc<Pod>]) -> Option<Vec<Name>> {
    let mut lists =
        members.iter().filter(|m| m.wants_gpus()).map(|m| &m.gpu_models).filter(|l| !l.is_empty());
    let mut models = lists.next()?.clone();
    for list in lists {
        models.retain(|model| list.contains(model));
    }
    Some(models)
}

fn on_a_named_one(site: Site<'_>, models: &[Name], plan: impl Fn(Site<'_>) -> Planned) -> Planned {
    let mut why = None;
    for model in models {
        let only = BTreeSet::from([model.clone()]);
        match plan(Site { models: Some(&only), ..site }) {
            Ok(placements) => return Ok(placements),
            Err(refusal) => why = why.or(Some(Box::new(refusal))),
        }
    }
    Err(Refusal::NoGpuModel { tried: listed(models), why })
}

/// Names of models, for people.
pub(crate) fn listed(models: &[Name]) -> Name {
    let mut list = String::new();
    for model in models {
        list.push_str(if list.is_empty() { "" } else { ", " });
        list.push_str(model.as_str());
    }
    Name::from(list.as_str())
}

/// A plan over fewer models than `mixed` has: sets of one, of two, …, those first that `mixed` uses most.
fn on_fewer(
    site: Site<'_>,
    members: &[Arc<Pod>],
    mixed: &[Placement],
    plan: impl Fn(Site<'_>) -> Planned,
) -> Option<Vec<Placement>> {
    let used = used(site, members, mixed);
    if used.len() < 2 {
        return None;
    }
    let rest: BTreeSet<&Name> = site.nodes.iter().filter(|s| s.has_gpus()).map(|s| &s.model).collect();
    let rest = rest.into_iter().filter(|model| !used.contains(model));
    let models: Vec<&Name> = used.iter().copied().chain(rest).collect();
    let mut sets: Vec<Vec<usize>> = (0..models.len()).map(|at| [at].to_vec()).collect();
    let mut tries_left = TRIES;
    for _ in 1..used.len() {
        for set in &sets {
            tries_left = tries_left.checked_sub(1)?;
            let only = set.iter().filter_map(|at| models.get(*at)).map(|model| (*model).clone()).collect();
            if let Ok(placements) = plan(Site { models: Some(&only), ..site }) {
                return Some(placements);
            }
        }
        sets = larger(&sets, models.len());
    }
    None
}

/// Each set with one more member, behind its last.
fn larger(sets: &[Vec<usize>], members: usize) -> Vec<Vec<usize>> {
    let with = |set: &Vec<usize>, at: usize| set.iter().copied().chain([at]).collect();
    let after = |set: &Vec<usize>| set.last().map_or(0, |last| last.saturating_add(1));
    sets.iter().flat_map(|set| (after(set)..members).map(move |at| with(set, at))).collect()
}

/// The models that GPU members are placed on, the most used first.
fn used<'a>(site: Site<'a>, members: &[Arc<Pod>], placements: &[Placement]) -> Vec<&'a Name> {
    let gpus: BTreeMap<&PodUid, u64> =
        members.iter().filter(|m| m.wants_gpus()).map(|m| (&m.uid, m.request.gpus)).collect();
    let nodes: &'a [_] = site.nodes;
    let mut counts: BTreeMap<&'a Name, u64> = BTreeMap::new();
    for (place, count) in placements.iter().filter_map(|p| Some((p, gpus.get(&p.pod)?))) {
        let node = nodes.binary_search_by(|s| s.node.name.cmp(&place.node)).ok();
        if let Some(state) = node.and_then(|at| nodes.get(at)) {
            let sum = counts.entry(&state.model).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
    let mut used: Vec<(Reverse<u64>, &'a Name)> = counts.into_iter().map(|(m, n)| (Reverse(n), m)).collect();
    used.sort();
    used.into_iter().map(|(_, model)| model).collect()
}
