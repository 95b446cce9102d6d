//! A shorter story of the same failure: jobs, faults, nodes and the weather are taken out while it still fails.
//!
//! Deterministic and bounded. Delta debugging (Zeller and Hildebrandt, TSE 2002): large parts first, then smaller ones.

use crate::scenario::{Scenario, Weather};

/// Runs that a search may take.
const RUNS_MAX: usize = 400;

/// The shortest scenario found that still `fails`.
pub fn shrink(scenario: Scenario, fails: &dyn Fn(&Scenario) -> bool) -> Scenario {
    let mut search = Search { best: scenario, fails, runs: 0 };
    search.fair_weather();
    loop {
        let before = search.runs_and_size().1;
        search.without_parts(|scenario| &mut scenario.faults);
        search.without_parts(|scenario| &mut scenario.jobs);
        search.without_parts(|scenario| &mut scenario.nodes);
        let (runs, after) = search.runs_and_size();
        if after == before || runs >= RUNS_MAX {
            return search.best;
        }
    }
}

struct Search<'a> {
    best: Scenario,
    fails: &'a dyn Fn(&Scenario) -> bool,
    runs: usize,
}

impl Search<'_> {
    fn runs_and_size(&self) -> (usize, usize) {
        (self.runs, self.best.faults.len() + self.best.jobs.len() + self.best.nodes.len())
    }

    /// Takes a shorter scenario if it still fails. Whether it did.
    fn try_one(&mut self, shorter: Scenario) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let fails = (self.fails)(&shorter);
        if fails {
            self.best = shorter;
        }
        fails
    }

    fn fair_weather(&mut self) {
        let mends: [fn(&mut Weather); 7] = [
            |weather| weather.restricted = false,
            |weather| weather.lost_answers_per_mille = 0,
            |weather| weather.conflicts_per_mille = 0,
            |weather| weather.watch_lag_ms = 0,
            |weather| weather.reports_lost_per_mille = 0,
            |weather| weather.reports_doubled_per_mille = 0,
            |weather| weather.report_delay_ms = 0,
        ];
        for mend in mends {
            let mut fairer = self.best.clone();
            mend(&mut fairer.weather);
            if fairer.weather != self.best.weather {
                self.try_one(fairer);
            }
        }
        let mut faster = self.best.clone();
        faster.pace.slow_calls_per_mille = 0;
        self.try_one(faster);
    }

    /// Takes parts out of one list, from halves down to single entries.
    fn without_parts<T: Clone>(&mut self, list: fn(&mut Scenario) -> &mut Vec<T>) {
        let mut size = list(&mut self.best).len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < list(&mut self.best).len() {
                let mut shorter = self.best.clone();
                let all = list(&mut shorter);
                all.drain(at..(at + size).min(all.len()));
                if !self.try_one(shorter) {
                    at += size;
                }
            }
            size /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_stays() {
        let scenario = Scenario::storm(3);
        let (fault, job) = (scenario.faults[1].clone(), scenario.jobs[2].1.name.clone());
        let fails = |scenario: &Scenario| {
            scenario.faults.contains(&fault) && scenario.jobs.iter().any(|(_, spec)| spec.name == job)
        };
        let short = shrink(scenario, &fails);
        assert_eq!(short.faults, std::slice::from_ref(&fault));
        assert_eq!((short.jobs.len(), short.nodes.len()), (1, 0));
        assert_eq!(short.weather, Weather::default());
    }
}
