//! The few operations of MPI that are used.

use crate::error::Result;

/// A transfer in progress; what it means is the library's.
#[derive(Debug)]
pub(crate) struct Request(pub(crate) usize);

/// A message that can be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) from: usize,
    pub(crate) tag: i32,
    pub(crate) bytes: usize,
}

/// An initialized MPI, as one thread uses it.
#[allow(unsafe_code)]
pub(crate) trait Calls {
    fn rank(&self) -> usize;

    fn size(&self) -> usize;

    /// Starts to send `message`.
    ///
    /// # Safety
    ///
    /// `message` must neither move nor change until [`Calls::test`] says that the transfer is done.
    unsafe fn send(&self, message: &[u8], to: usize, tag: i32) -> Result<Request>;

    /// Starts to receive a message that [`Calls::probe`] found.
    ///
    /// # Safety
    ///
    /// `buffer` must stay where it is, used by nothing else, until [`Calls::test`] says that the transfer is done.
    unsafe fn receive(&self, buffer: &mut [u8], waiting: Waiting) -> Result<Request>;

    /// The next message that can be received, if there is one.
    fn probe(&self) -> Result<Option<Waiting>>;

    /// Whether a transfer is done.
    fn test(&self, request: &mut Request) -> Result<bool>;

    /// Ends all ranks with an exit code.
    fn abort(&self, code: i32);

    /// Ends MPI. No transfer may be in progress.
    fn finalize(&self) -> Result<()>;
}
