//! The messages of `proto/`.

#![allow(dead_code, missing_docs, unreachable_pub, clippy::all, reason = "generated from `proto/` by `proto/generate`")]

include!("generated/inference.rs");

pub(crate) mod health {
    include!("generated/grpc.health.v1.rs");
}

pub(crate) mod reflection {
    include!("generated/grpc.reflection.v1.rs");
}

pub(crate) mod descriptors {
    include!("generated/descriptors.rs");
}
