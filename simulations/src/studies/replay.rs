//! A stream of jobs played in virtual time against one policy: who starts when and where, and what waiting costs.
//!
//! Reading order: [`Work`] (what is submitted) and [`Site`] (what there is) → [`Policy`] (decides) → [`Floor`] (the
//! truth, which only counts) → [`Played`] (what came of it). Calls take no time, so that what is measured is the
//! decision alone. Order is total: by time, then by entry. The floor checks each step by itself: no GPU twice, no
//! job started in part; what it finds broken fails the run.

mod api_objects;
mod coscheduling;
mod delays;
mod extender;
mod floor;
mod kube_scheduler;
mod nearest;
mod packing;
mod played;
mod policy;
mod site;
mod tas;
mod whole;
mod work;

use muster_placement::time::Time;

use crate::agenda::Agenda;

pub(crate) use coscheduling::Coscheduling;
pub(crate) use delays::WHOLE_NODE;
pub(crate) use extender::Extender;
pub(crate) use floor::{Floor, Hold, Lot};
pub(crate) use kube_scheduler::{Fill, KubeScheduler};
pub(crate) use nearest::Nearest;
pub(crate) use packing::Packing;
pub(crate) use played::{Played, hours};
pub(crate) use policy::{Policy, by_name};
pub(crate) use site::{Site, Spot, Unit};
pub(crate) use tas::Tas;
pub(crate) use whole::Whole;
pub(crate) use work::Work;

use delays::Delays;

/// How often a policy may wake itself while nothing runs and nothing comes, before the rest counts as stuck.
const IDLE_WAKES_MAX: u32 = 1_000;

enum Happening {
    Submit(usize),
    End(usize),
}

/// Plays the jobs, which must be in order of submission, until nothing more can happen.
pub(crate) fn play(site: Site, works: Vec<Work>, policy: &mut dyn Policy) -> Played {
    let mut agenda = Agenda::default();
    for (job, work) in works.iter().enumerate() {
        agenda.add(work.submit, Happening::Submit(job));
    }
    let mut delays = Delays::new(&works);
    let mut floor = Floor::new(site, works);
    policy.opened(&mut floor);
    let mut idle_wakes = 0;
    while let Some(at) = next(&agenda, policy) {
        delays.pass(&floor, policy, at);
        floor.now = at;
        if agenda.next() == Some(at) {
            idle_wakes = 0;
            match agenda.pop() {
                Some((_, Happening::Submit(job))) => {
                    floor.submit(job);
                    policy.submitted(&mut floor, job);
                }
                Some((_, Happening::End(job))) => {
                    for pod in 0..floor.work(job).pods {
                        floor.end(job, pod);
                        policy.pod_ended(&mut floor, job, pod);
                    }
                    policy.ended(&mut floor, job);
                }
                None => {}
            }
        } else {
            idle_wakes += 1;
            policy.woken(&mut floor);
        }
        for job in floor.started() {
            agenda.add(at.after(floor.work(job).duration), Happening::End(job));
        }
        floor.check(policy.whole_gangs());
        delays.look(&floor);
        if idle_wakes > IDLE_WAKES_MAX {
            break;
        }
    }
    Played::new(floor, delays)
}

fn next(agenda: &Agenda<Happening>, policy: &dyn Policy) -> Option<Time> {
    [agenda.next(), policy.next()].into_iter().flatten().min()
}

#[cfg(test)]
mod tests;
