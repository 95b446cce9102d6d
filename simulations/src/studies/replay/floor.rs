//! The truth of a replay: which pod has how many GPUs of which node, which jobs wait and which run.
//!
//! Invariants, checked here and not by the policies: what is taken of a node never exceeds it, a pod is in one place,
//! a job runs if and only if all its pods have one. Decides nothing.

use std::collections::BTreeSet;

use muster_placement::time::Time;

use super::{Site, Work};

/// How firmly a pod has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Bound: its containers run.
    Bound,
    /// Assumed by a scheduler that waits for the others.
    Reserved,
}

/// What became of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lot {
    /// Node of each pod.
    pub(crate) places: Vec<Option<usize>>,
    /// Pods that have a place.
    pub(crate) taken: usize,
    /// Whether one of its pods was bound at an earlier time than the last one.
    pub(crate) partial: bool,
    /// When all pods had one.
    pub(crate) started: Option<Time>,
    /// When it ended.
    pub(crate) ended: Option<Time>,
    /// Domains used at each level of the site, narrowest last, and as few as were possible just then.
    pub(crate) spread: Vec<Spread>,
    first_bound: Option<Time>,
}

/// Domains of one level that a job has its pods in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    /// Used.
    pub(crate) used: usize,
    /// Fewest possible with what was free when it started.
    pub(crate) possible: usize,
    /// Fewest possible on the empty site.
    pub(crate) empty: usize,
    /// Neighbours in order of index, the last and the first included, that are in different domains.
    pub(crate) crossings: usize,
}

/// Jobs, nodes and who has what.
#[derive(Debug)]
pub(crate) struct Floor {
    pub(crate) now: Time,
    site: Site,
    works: Vec<Work>,
    free: Vec<u64>,
    /// Number of nodes by how many GPUs are free on them.
    by_free: Vec<usize>,
    lots: Vec<Lot>,
    waiting: BTreeSet<usize>,
    /// Waiting jobs of which some pods have a place.
    partial: BTreeSet<usize>,
    running_gpus: u64,
    held_gpus: u64,
    just_started: Vec<usize>,
    breaches: Vec<String>,
}

impl Floor {
    pub(crate) fn new(site: Site, works: Vec<Work>) -> Floor {
        let free: Vec<u64> = site.spots.iter().map(|spot| spot.gpus).collect();
        let most = free.iter().max().map_or(0, |most| index(*most));
        let mut by_free = vec![0; most + 1];
        for gpus in &free {
            by_free[index(*gpus)] += 1;
        }
        let lot = |work: &Work| Lot { places: vec![None; work.pods], ..Lot::default() };
        let lots = works.iter().map(lot).collect();
        Floor {
            now: Time(0),
            site,
            works,
            free,
            by_free,
            lots,
            waiting: BTreeSet::new(),
            partial: BTreeSet::new(),
            running_gpus: 0,
            held_gpus: 0,
            just_started: Vec::new(),
            breaches: Vec::new(),
        }
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    pub(crate) fn work(&self, job: usize) -> &Work {
        &self.works[job]
    }

    pub(crate) fn lot(&self, job: usize) -> &Lot {
        &self.lots[job]
    }

    /// Jobs that wait, in order of submission.
    pub(crate) fn waiting(&self) -> &BTreeSet<usize> {
        &self.waiting
    }

    /// Waiting jobs that hold something.
    pub(crate) fn partial(&self) -> &BTreeSet<usize> {
        &self.partial
    }

    /// GPUs free on each node.
    pub(crate) fn free(&self) -> &[u64] {
        &self.free
    }

    /// Number of nodes by how many GPUs are free on them.
    pub(crate) fn by_free(&self) -> &[usize] {
        &self.by_free
    }

    /// GPUs free on all nodes.
    pub(crate) fn free_gpus(&self) -> u64 {
        self.free.iter().sum()
    }

    /// GPUs of jobs that run, and those held by jobs that do not.
    pub(crate) fn used_gpus(&self) -> (u64, u64) {
        (self.running_gpus, self.held_gpus)
    }

    /// How many pods of so many GPUs fit now.
    pub(crate) fn copies(&self, each: u64) -> usize {
        let fits = |(free, nodes): (usize, &usize)| free.checked_div(index(each)).unwrap_or(0) * nodes;
        self.by_free.iter().enumerate().map(fits).sum()
    }

    pub(crate) fn submit(&mut self, job: usize) {
        self.waiting.insert(job);
    }

    /// Gives a pod a place; the job starts with the last of them.
    pub(crate) fn take(&mut self, job: usize, pod: usize, node: usize, hold: Hold) {
        let each = self.works[job].each;
        let name = &self.site.spots[node].name;
        if !self.waiting.contains(&job) || self.lots[job].places[pod].is_some() {
            return self.breach(&format!("job {job} pod {pod} gets {name} though it does not wait"));
        }
        if self.free[node] < each {
            return self.breach(&format!(
                "job {job} pod {pod} gets {each} GPUs of {name}, {} free",
                self.free[node]
            ));
        }
        self.set_free(node, self.free[node] - each);
        self.held_gpus += each;
        let lot = &mut self.lots[job];
        lot.places[pod] = Some(node);
        lot.taken += 1;
        if hold == Hold::Bound {
            lot.partial |= *lot.first_bound.get_or_insert(self.now) < self.now;
        }
        if lot.taken == lot.places.len() {
            self.start(job);
        } else {
            self.partial.insert(job);
        }
    }

    fn start(&mut self, job: usize) {
        self.partial.remove(&job);
        self.waiting.remove(&job);
        let gpus = self.works[job].gpus();
        self.held_gpus -= gpus;
        self.running_gpus += gpus;
        self.just_started.push(job);
        self.lots[job].started = Some(self.now);
        self.lots[job].spread = self.spread(job);
    }

    /// Takes a reservation back.
    pub(crate) fn give_back(&mut self, job: usize, pod: usize) {
        let Some(node) = self.lots[job].places[pod].take() else { return };
        let each = self.works[job].each;
        self.set_free(node, self.free[node] + each);
        self.held_gpus -= each;
        self.lots[job].taken -= 1;
        if self.lots[job].taken == 0 {
            self.partial.remove(&job);
        }
    }

    /// Ends a pod of a running job.
    pub(crate) fn end(&mut self, job: usize, pod: usize) {
        let Some(node) = self.lots[job].places[pod] else { return };
        let each = self.works[job].each;
        self.set_free(node, self.free[node] + each);
        self.running_gpus -= each;
        self.lots[job].ended = Some(self.now);
    }

    fn set_free(&mut self, node: usize, free: u64) {
        self.by_free[index(self.free[node])] -= 1;
        self.by_free[index(free)] += 1;
        self.free[node] = free;
    }

    /// Jobs that started since this was asked last.
    pub(crate) fn started(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.just_started)
    }

    /// Something that must not be.
    pub(crate) fn breach(&mut self, what: &str) {
        self.breaches.push(format!("{} ms: {what}", self.now.0));
    }

    /// The jobs, what became of each, and what must not have been and was.
    pub(crate) fn into_parts(self) -> (Vec<Work>, Vec<Lot>, Vec<String>) {
        (self.works, self.lots, self.breaches)
    }

    /// Whether what is taken and what is free make up the site, and, where that is promised, no waiting job holds.
    pub(crate) fn check(&mut self, whole_gangs: bool) {
        let (running, held) = self.used_gpus();
        let all = self.site.gpus();
        if running + held + self.free_gpus() != all {
            self.breach(&format!("{running} run, {held} held, {} free of {all} GPUs", self.free_gpus()));
        }
        if whole_gangs && let Some(job) = self.partial.first() {
            self.breach(&format!("job {job} holds {held} GPUs and does not run"));
        }
    }

    /// Domains used by a job that just started, beside what was possible with what was free before it.
    fn spread(&self, job: usize) -> Vec<Spread> {
        if !self.site.judged {
            return Vec::new();
        }
        let (work, lot) = (&self.works[job], &self.lots[job]);
        let places: Vec<usize> = lot.places.iter().copied().flatten().collect();
        let mut before = self.free.clone();
        for node in &places {
            before[*node] += work.each;
        }
        let empty: Vec<u64> = self.site.spots.iter().map(|spot| spot.gpus).collect();
        let level = |level: usize| {
            let domain = |node: &usize| self.site.spots[*node].domain(level);
            let used: BTreeSet<_> = places.iter().map(domain).collect();
            let next = places.iter().cycle().skip(1);
            let crossings = places.iter().zip(next).filter(|(a, b)| domain(a) != domain(b)).count();
            let fewest = |free: &[u64]| super::played::fewest_domains(&self.site, level, free, work);
            Spread { used: used.len(), possible: fewest(&before), empty: fewest(&empty), crossings }
        };
        (0..self.site.levels.len()).map(level).collect()
    }
}

fn index(gpus: u64) -> usize {
    usize::try_from(gpus).unwrap_or(usize::MAX)
}
