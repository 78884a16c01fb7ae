//! HarDNet image classifiers in a browser, as a WebAssembly module without imports.
//!
//! A [`Session`] has one network and one image. The module's functions, in `exports`, give it to JavaScript; `page/`
//! and `npm/` have the page and the worker that loads the module. `tools/web/build.sh` builds the modules, the page and
//! the package.

#[cfg(target_arch = "wasm32")]
mod exports;
pub mod page;
mod session;

pub use session::{Error, Opened, Session, Shown};
