//! Choice of the library.

use std::str::FromStr;

use crate::calls::Calls;
use crate::error::{Error, Result};

/// A library of MPI. It must be the one that the launcher belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MpiLibrary {
    /// Open MPI 4 or 5.
    OpenMpi,
    /// MPICH 3 or later, or one with its binary interface: Intel MPI, MVAPICH, Cray MPICH.
    Mpich,
    /// The library with this path, of either kind.
    Path(String),
}

impl FromStr for MpiLibrary {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "open-mpi" => Ok(Self::OpenMpi),
            "mpich" => Ok(Self::Mpich),
            path if path.contains(['/', '.']) => Ok(Self::Path(path.into())),
            _ => Err(Error::UnknownName(text.into())),
        }
    }
}

impl MpiLibrary {
    /// File names of the library, the first that exists is used. The numbers are versions of the binary interface.
    fn names(&self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::OpenMpi if cfg!(target_os = "macos") => &["libmpi.40.dylib"],
            Self::OpenMpi => &["libmpi.so.40"],
            Self::Mpich if cfg!(target_os = "macos") => &["libmpi.12.dylib"],
            Self::Mpich => &["libmpi.so.12", "libmpich.so.12"],
            Self::Path(path) => return vec![path.clone()],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Opens the library and initializes MPI, whose calls must all be made by this thread.
    #[cfg(unix)]
    pub(crate) fn initialize(&self) -> Result<Box<dyn Calls>> {
        crate::binary_interface::initialize(&self.names())
    }

    #[cfg(not(unix))]
    pub(crate) fn initialize(&self) -> Result<Box<dyn Calls>> {
        let _ = self.names();
        Err(Error::Unsupported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_have_names_or_paths() {
        assert_eq!("open-mpi".parse(), Ok(MpiLibrary::OpenMpi));
        assert_eq!("mpich".parse(), Ok(MpiLibrary::Mpich));
        assert_eq!("/opt/mpi/libmpi.so".parse(), Ok(MpiLibrary::Path("/opt/mpi/libmpi.so".into())));
        assert_eq!("lam".parse::<MpiLibrary>(), Err(Error::UnknownName("lam".into())));
    }

    #[cfg(unix)]
    #[test]
    fn a_missing_library_is_named() {
        let error = MpiLibrary::Path("./no-such-libmpi.so".into()).initialize().err().unwrap().to_string();
        assert!(error.starts_with("cannot open ./no-such-libmpi.so: "), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn another_library_is_refused() {
        let error = MpiLibrary::Path("libm.so.6".into()).initialize().err().unwrap().to_string();
        assert_eq!(error, "`libm.so.6` has no `MPI_Get_library_version`");
    }
}
