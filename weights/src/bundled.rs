//! Weights that the program embeds.

use crate::error::{Error, Result};
use crate::registry::RegistryEntry;

impl RegistryEntry {
    /// Content of the file, for [`bundled`](Self::bundled) weights.
    ///
    /// # Errors
    ///
    /// [`Error::NotBundled`] for other weights, and without the feature that embeds them.
    pub fn content(&self) -> Result<&'static [u8]> {
        match self.tag.as_str() {
            #[cfg(feature = "demo")]
            "hardnet39ds.fashion_mnist" => Ok(hardnet_demo::fashion_mnist::WEIGHTS),
            _ => Err(Error::NotBundled { tag: self.tag.clone() }),
        }
    }
}
