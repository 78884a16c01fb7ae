//! Execution: a list of steps, run phase by phase on a pool of threads.
//!
//! ```text
//! Executor::run        for each phase of the program          (program.rs)
//!   WorkQueue            each worker takes tasks              (scheduler.rs)
//!     Step::run            that write to the maps             (context.rs)
//!   ThreadPool           barrier                              (thread_pool.rs)
//! ```
//!
//! Inference and training differ in their steps alone. Threads are started in `thread_pool` and nowhere else, a pool of
//! one starts none, and clocks are read only where times are requested. In WebAssembly a pool takes threads that were
//! lent (`lent`).

pub(crate) mod buffer;
pub(crate) mod context;
#[cfg(any(test, target_arch = "wasm32"))]
pub(crate) mod lent;
pub(crate) mod program;
pub(crate) mod scheduler;
pub(crate) mod thread_pool;
