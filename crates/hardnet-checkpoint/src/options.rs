//! Options of opening a model file.

/// Options of [`Checkpoint::open_with`](crate::Checkpoint::open_with).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The dictionary to read: its keys joined by periods, or `.` for the top level.
    pub entry: Option<String>,
}

impl ReadOptions {
    /// Sets the dictionary to read, such as `model_ema`: its keys joined by periods, or `.` for the top level. By
    /// default the reader chooses; see [`Checkpoint::wrapper`](crate::Checkpoint::wrapper).
    pub fn entry(mut self, entry: impl Into<String>) -> Self {
        self.entry = Some(entry.into());
        self
    }
}
