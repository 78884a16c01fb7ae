//! Weights that come with the program: nothing is fetched.

use crate::error::{Error, Result};
use crate::registry::Entry;

impl Entry {
    /// The file, for weights that come with the program ([`bundled`](Self::bundled)).
    ///
    /// # Errors
    ///
    /// [`Error::NotBundled`] without the feature that carries them.
    pub fn content(&self) -> Result<&'static [u8]> {
        match self.tag.as_str() {
            #[cfg(feature = "demo")]
            "hardnet39ds.fashion_mnist" => Ok(hardnet_demo::fashion_mnist::WEIGHTS),
            _ => Err(Error::NotBundled { tag: self.tag.clone() }),
        }
    }
}
