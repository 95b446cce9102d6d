//! Users and the controllers of their jobs: owners, their pods, and pods made again when one is lost.
//!
//! A job is one as training-operator runs it: it works while every member runs, and a member that fails is
//! deleted and made again under the same name.

use muster_placement::Event;
use muster_placement::ids::{GangId, PodUid};
use muster_placement::pod::{Membership, Pod, PodPhase};
use muster_placement::time::Span;

use super::operators::taken;
use super::{Happening, World};
use crate::job::{Job, JobSpec};

impl World {
    pub(crate) fn submit(&mut self, spec: JobSpec) {
        let serial = self.next_serial();
        let job = Job::new(spec, serial, self.now);
        let id = job.id.clone();
        if job.spec.is_gang() {
            self.owners.insert(id.clone(), job.gang_spec());
            self.watch(Event::GangSeen(job.gang_spec()));
        }
        let places =
            (0..).zip(&job.spec.roles).flat_map(|(at, role)| (0..role.replicas).map(move |i| (at, i)));
        let mut delay = 20;
        for (role, index) in places {
            delay += self.network.below(40);
            self.agenda.add(self.now.after(Span(delay)), Happening::MakePod(id.clone(), role, index));
        }
        self.tally.submitted += 1;
        self.submitted.push(id.clone());
        self.jobs.insert(id, job);
    }

    pub(crate) fn make_pod(&mut self, id: &GangId, role: usize, index: u32) {
        let serial = self.next_serial();
        let now = self.now;
        let Some(job) = self.jobs.get_mut(id).filter(|job| !job.ended) else { return };
        let Some(pod) = job.pod(role, index, serial, now) else { return };
        if taken(&self.pods, &pod.namespace, &pod.name) {
            // The one before is still being deleted.
            return self.after(Span(500), Happening::MakePod(id.clone(), role, index));
        }
        job.pods.insert((role, index), pod.uid.clone());
        self.put(pod);
    }

    /// The job that a pod belongs to, and its place there.
    pub(crate) fn place_of(&self, uid: &PodUid) -> Option<(GangId, (usize, u32))> {
        self.jobs.values().find_map(|job| {
            job.pods.iter().find(|(_, pod)| *pod == uid).map(|(place, _)| (job.id.clone(), *place))
        })
    }

    /// A pod is deleted, whyever; its controller makes a new one.
    pub(crate) fn pod_lost(&mut self, uid: &PodUid) {
        self.take_devices(uid);
        let place = self.place_of(uid);
        let lost = self.remove(uid);
        let Some((id, (role, index))) = place else { return };
        // An elastic job works on without a member that never ran.
        if lost.is_some_and(|pod| pod.node.is_some()) {
            self.interrupt(&id);
            self.pod_runs(&id);
        }
        let delay = self.network.span(200, 1_500);
        self.after(delay, Happening::MakePod(id, role, index));
    }

    /// A run of a gang ends before its work is done.
    pub(crate) fn interrupt(&mut self, id: &GangId) {
        if let Some(job) = self.jobs.get_mut(id).filter(|job| job.spec.is_gang()) {
            job.running = None;
            job.run += 1;
            job.lost = true;
        }
    }

    /// A pod runs: when all do, the job works. One that is no gang works from its first pod on.
    pub(crate) fn pod_runs(&mut self, id: &GangId) {
        let now = self.now;
        let pods = &self.pods;
        let Some(job) = self.jobs.get_mut(id) else { return };
        let runs = |uid: &PodUid| pods.get(uid).is_some_and(|pod| pod.phase == PodPhase::Running);
        let running = job.pods.values().filter(|uid| runs(uid)).count();
        if job.running.is_some() || running < job.spec.needed() as usize {
            return;
        }
        job.running = Some(now);
        job.run += 1;
        let (run, span) = (job.run, job.spec.duration);
        self.after(span, Happening::Finish(id.clone(), run));
    }

    /// The work of a run is done.
    pub(crate) fn finish(&mut self, id: &GangId, run: u64) {
        let Some(job) = self.jobs.get_mut(id).filter(|job| job.run == run && !job.ended) else { return };
        job.ended = true;
        let uids: Vec<PodUid> = job.pods.values().cloned().collect();
        for uid in uids {
            self.take_devices(&uid);
            match self.pods.get(&uid).cloned() {
                Some(pod) if pod.phase == PodPhase::Running => {
                    self.put(Pod { phase: PodPhase::Succeeded, ..pod });
                }
                // An elastic member that came too late.
                _ => drop(self.remove(&uid)),
            }
        }
        self.tally.finished += 1;
        self.after(self.pace.job_kept, Happening::Clean(id.clone()));
    }

    /// The user deletes a job before it has ended; its pods are asked to go, and nobody makes new ones.
    pub(crate) fn withdraw(&mut self, id: &GangId) {
        let Some(job) = self.jobs.remove(id) else { return };
        if self.owners.remove(id).is_some() {
            self.watch(Event::GangGone(id.clone()));
        }
        for uid in job.pods.values() {
            self.delete(uid);
        }
    }

    /// The user deletes a finished job.
    pub(crate) fn clean(&mut self, id: &GangId) {
        let Some(job) = self.jobs.remove(id) else { return };
        for uid in job.pods.values() {
            self.remove(uid);
        }
        if self.owners.remove(id).is_some() {
            self.watch(Event::GangGone(id.clone()));
        }
    }

    /// A pod of a gang is bound: perhaps it was the last one.
    pub(crate) fn look_whether_whole(&mut self, id: &GangId) {
        let pods = &self.pods;
        let Some(job) = self.jobs.get_mut(id) else { return };
        let bound = |uid: &&PodUid| pods.get(*uid).is_some_and(|pod| pod.node.is_some());
        if job.whole.is_none() && job.pods.values().filter(bound).count() >= job.spec.needed() as usize {
            job.whole = Some(self.now);
            self.tally.waits.push(self.now.since(job.submitted));
            self.tally.started += 1;
        }
    }
}

/// The gang of a pod that is a member of one.
pub(crate) fn gang_of(pod: &Pod) -> Option<GangId> {
    match &pod.membership {
        Membership::Member(member) => Some(member.gang.clone()),
        Membership::Single | Membership::Unknown(_) => None,
    }
}
