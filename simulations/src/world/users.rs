//! Users: a stream of jobs whose shapes are drawn from a list.

use muster_placement::pod::Constraints;
use muster_placement::resources::Resources;
use muster_placement::time::{Span, Time};

use super::{Happening, World};
use crate::dice::{Concern, Dice};
use crate::job::{JobSpec, Role, gpu_toleration};

/// Between two jobs of the burst.
const BURST_PAUSE: Span = Span(150);

/// A kind of job that users submit.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Kind of the owner.
    pub kind: &'static str,
    /// First part of its name.
    pub prefix: &'static str,
    /// Role, pods, GPUs and CPU in thousandths of each.
    pub roles: Vec<(&'static str, u32, u64, u64)>,
    /// `nvidia.com/gpu.product` that it asks for, if any.
    pub product: Option<&'static str>,
    /// How often it comes, beside the other shapes.
    pub weight: u64,
}

/// Who submits what, and how often.
#[derive(Clone, Debug)]
pub struct Users {
    /// What they submit.
    pub shapes: Vec<Shape>,
    /// Longest time between two jobs, in milliseconds; the shortest is a fifth of it.
    pub pause: u64,
    /// So many jobs come at the beginning, one right after the other.
    pub burst: u64,
    /// Shortest and longest run of a job, in milliseconds.
    pub duration: (u64, u64),
    /// Part of the jobs that come without our gate, in thousandths.
    pub ungated_per_mille: u64,
    /// When they go home.
    pub until: Time,
    dice: Dice,
    count: u64,
}

impl Users {
    /// Users of a seed.
    pub fn new(seed: u64, shapes: Vec<Shape>, pause: u64, duration: (u64, u64), until: Time) -> Users {
        let dice = Dice::new(seed, Concern::Users);
        Users { shapes, pause, burst: 0, duration, ungated_per_mille: 0, until, dice, count: 0 }
    }

    fn next(&mut self) -> Option<(JobSpec, Span)> {
        let total = self.shapes.iter().map(|shape| shape.weight).sum();
        let mut drawn = self.dice.below(total);
        let shape = self.shapes.iter().find(|shape| {
            let here = drawn < shape.weight;
            drawn = drawn.saturating_sub(shape.weight);
            here
        })?;
        self.count += 1;
        let name = format!("{}-{}", shape.prefix, self.count);
        let duration = self.dice.span(self.duration.0, self.duration.1);
        let gated = !self.dice.chance(self.ungated_per_mille);
        let spec = shape.job(name, duration, gated);
        let pause = self.dice.span(self.pause / 5, self.pause);
        Some((spec, if self.count < self.burst { BURST_PAUSE } else { pause }))
    }
}

impl Shape {
    /// A job of this shape.
    pub(crate) fn job(&self, name: String, duration: Span, gated: bool) -> JobSpec {
        let role = |(name, replicas, gpus, cpu_milli): &(&str, u32, u64, u64)| Role {
            name: (*name).to_owned(),
            replicas: *replicas,
            request: Resources {
                gpus: *gpus,
                cpu_milli: *cpu_milli,
                memory: cpu_milli << 22,
                ephemeral: 0,
                pods: 1,
            },
        };
        let product = self.product.map(|product| ("nvidia.com/gpu.product".into(), product.into()));
        JobSpec {
            namespace: "default".to_owned(),
            kind: self.kind.to_owned(),
            name,
            roles: self.roles.iter().map(role).collect(),
            min: None,
            priority: 0,
            duration,
            constraints: Constraints {
                node_selector: product.into_iter().collect(),
                tolerations: vec![gpu_toleration()],
                ..Constraints::default()
            },
            gated,
        }
    }
}

impl World {
    /// The next job of the users.
    pub(crate) fn arrival(&mut self) {
        let Some(users) = self.users.as_mut().filter(|users| users.until > self.now) else { return };
        let Some((spec, pause)) = users.next() else { return };
        self.submit(spec);
        self.after(pause, Happening::Arrival);
    }
}
