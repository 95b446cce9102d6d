//! What a call costs: wall time, processor time, allocations. What is compared takes turns, so that both sides see
//! the same machine.
//!
//! Allocations are counted for the thread that asks, by an allocator that only the programs of this folder have.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "programs that use a part each, read the clock, and calculate with counts"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Instant;

/// Turns of each side, and calls of a turn.
const TURNS: usize = 31;
const CALLS: usize = 20;

thread_local! {
    static ALLOCATED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    static FREED: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: usize) {
    // A thread that is being torn down has no counter any more, and nobody who would read it.
    let _ = ALLOCATED.try_with(|cell| {
        let (times, sum) = cell.get();
        cell.set((times + 1, sum + bytes));
    });
}

// SAFETY: every call is handed on unchanged to the system's allocator, whose contract it is.
#[allow(unsafe_code, reason = "the trait that counts is unsafe to implement")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let _ = FREED.try_with(|cell| cell.set(cell.get() + layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        let _ = FREED.try_with(|cell| cell.set(cell.get() + layout.size()));
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Allocations of this thread so far, and their bytes. Growing one counts as one of the new size.
pub(crate) fn allocated() -> (usize, usize) {
    ALLOCATED.with(Cell::get)
}

/// Bytes that this thread has allocated and nobody has freed; what it frees for others counts too.
pub(crate) fn live_bytes() -> usize {
    allocated().1.saturating_sub(FREED.with(Cell::get))
}

/// What one call costs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Median wall time of a turn, in microseconds a call.
    pub(crate) us: f64,
    /// A tenth of the turns took less, a tenth more.
    pub(crate) spread_us: (f64, f64),
    /// Mean processor time in microseconds.
    pub(crate) cpu_us: f64,
    /// Allocations.
    pub(crate) allocations: f64,
    /// Bytes allocated.
    pub(crate) bytes: f64,
}

/// A call that is measured; what it returns is dropped.
pub(crate) type Call<'a> = Box<dyn FnMut() + 'a>;

/// A call of a closure that returns something.
pub(crate) fn call<'a, T>(mut closure: impl FnMut() -> T + 'a) -> Call<'a> {
    Box::new(move || drop(black_box(closure())))
}

/// Costs of calls that take turns, after a turn each that does not count.
pub(crate) fn compare<const N: usize>(mut calls: [Call<'_>; N]) -> [Cost; N] {
    let mut turns: [Vec<Cost>; N] = std::array::from_fn(|_| Vec::with_capacity(TURNS));
    for at in 0..=TURNS {
        for (call, turns) in calls.iter_mut().zip(&mut turns) {
            let cost = turn(call, CALLS);
            if at > 0 {
                turns.push(cost);
            }
        }
    }
    turns.map(|turns| sum_up(&turns))
}

/// The cost of a call that takes long or has no second time: so many turns of one call each.
pub(crate) fn repeat<T>(turns: usize, closure: impl FnMut() -> T) -> Cost {
    let mut call = call(closure);
    sum_up(&(0..turns).map(|_| turn(&mut call, 1)).collect::<Vec<_>>())
}

fn turn(call: &mut Call<'_>, calls: usize) -> Cost {
    let (cpu, (times, bytes), start) = (cpu_ns(), allocated(), Instant::now());
    for _ in 0..calls {
        call();
    }
    let us = start.elapsed().as_secs_f64() * 1e6 / calls as f64;
    let (times_after, bytes_after) = allocated();
    let each = |sum: usize| sum as f64 / calls as f64;
    Cost {
        us,
        spread_us: (us, us),
        cpu_us: (cpu_ns() - cpu) as f64 / 1e3 / calls as f64,
        allocations: each(times_after - times),
        bytes: each(bytes_after - bytes),
    }
}

fn sum_up(turns: &[Cost]) -> Cost {
    let mut sorted: Vec<f64> = turns.iter().map(|turn| turn.us).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
    let mean = |of: fn(&Cost) -> f64| turns.iter().map(of).sum::<f64>() / turns.len() as f64;
    Cost {
        us: at(50),
        spread_us: (at(10), at(90)),
        cpu_us: mean(|turn| turn.cpu_us),
        allocations: mean(|turn| turn.allocations),
        bytes: mean(|turn| turn.bytes),
    }
}

/// Processor time of this thread in nanoseconds, or 0 where the kernel does not say. It is brought up to date when
/// the thread is scheduled, which reading it is close enough to.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0)
}
