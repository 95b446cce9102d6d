//! The extender: input and output around the pure core in `muster-placement`.
//!
//! Reading order is the way of the data: agents' reports come in through [`intake`], the API server's objects
//! through [`watch`] (translated by [`translate`], gangs found by [`recognise`]), everything becomes an event
//! for the single writer in [`engine`], readers get its view, and what is to be done goes out through
//! [`effects`]. kube-scheduler asks at [`scheduler_api`], people and machines at [`dashboard`], [`api`] and
//! [`admin`].

pub mod admin;
pub mod annotation;
pub mod api;
pub mod clock;
pub mod config;
pub mod dashboard;
pub mod demo;
pub mod effects;
pub mod engine;
pub mod intake;
pub mod metrics;
pub mod recognise;
pub mod scheduler_api;
pub mod serve;
pub mod supervisor;
pub mod translate;
pub mod watch;
