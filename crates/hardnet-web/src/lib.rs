//! HarDNet image classifiers in a browser, as a WebAssembly module without imports.
//!
//! A [`Session`] has one network and one image. The module's functions, in `exports`, give it to JavaScript; `page/`
//! has the worker that loads the module, and a page that uses it. `tools/web/build.sh` builds both.

#[cfg(target_arch = "wasm32")]
mod exports;
mod session;

pub use session::{Error, Opened, Session, Shown};
