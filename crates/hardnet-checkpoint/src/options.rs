//! Options of opening a model file.

/// Options of [`Checkpoint::open_with`](crate::Checkpoint::open_with).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The dictionary to read: its keys joined by periods, or `.` for the top level.
    pub entry: Option<String>,
    /// Whether the elements of tensors stay on disk until they are read.
    pub streamed: bool,
}

impl ReadOptions {
    /// Sets the dictionary to read, such as `model_ema`: its keys joined by periods, or `.` for the top level. By
    /// default the reader chooses; see [`Checkpoint::wrapper`](crate::Checkpoint::wrapper).
    pub fn entry(mut self, entry: impl Into<String>) -> Self {
        self.entry = Some(entry.into());
        self
    }

    /// Sets whether the elements of tensors stay on disk, and each [`read`](crate::Checkpoint::read) takes them from
    /// there: for files that are read once, tensor by tensor, in little memory.
    ///
    /// Files that are refused are read as a whole, and so are those whose elements have another form than in memory:
    /// numbers of variable length in ONNX, and views of one storage that together are larger than the file. Reading
    /// fails if the file was changed after it was opened.
    pub fn streamed(mut self, streamed: bool) -> Self {
        self.streamed = streamed;
        self
    }
}
