//! The classes and functions that this reader knows. A name becomes a value of an enum: nothing is looked up or run.

use super::value::Element;
use crate::dtype::Dtype;

/// A known name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `collections.defaultdict`, whose factory is ignored.
    DefaultDict,
    /// `torch._utils._rebuild_tensor`, before PyTorch 0.4.
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensorV2,
    /// `torch._utils._rebuild_tensor_v3`, which names the type apart from the storage.
    RebuildTensorV3,
    /// `torch._utils._rebuild_parameter`.
    RebuildParameter,
    /// `torch._utils._rebuild_parameter_with_state`, for parameters with attributes of Python.
    RebuildParameterWithState,
    /// `torch._tensor._rebuild_from_type_v2`, for tensors with attributes of Python and for subclasses.
    RebuildFromType,
    /// `torch.Tensor` or `torch.nn.Parameter`, named as the type of a tensor.
    TensorClass,
    /// A storage class of `torch`.
    Storage(Element),
    /// A type of `torch`, such as `torch.uint16`.
    TorchDtype(Dtype),
    /// `numpy.core.multiarray._reconstruct`.
    Reconstruct,
    /// `numpy.core.multiarray.scalar`.
    Scalar,
    /// `numpy.ndarray`.
    Ndarray,
    /// `numpy.dtype`.
    NumpyDtype,
    /// `_codecs.encode`.
    Encode,
    /// `builtins.tuple` or `torch.Size`.
    Tuple,
    /// `builtins.bytes`.
    Bytes,
    /// `builtins.set` or `builtins.frozenset`.
    Set,
    /// `copyreg._reconstructor`, which names a class as its first argument.
    Reconstructor,
}

impl Global {
    /// The known global of this name, if there is one.
    pub(crate) fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("collections", "defaultdict") => Self::DefaultDict,
            ("torch._utils", "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensorV2,
            ("torch._utils", "_rebuild_tensor_v3") => Self::RebuildTensorV3,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch._utils", "_rebuild_parameter_with_state") => Self::RebuildParameterWithState,
            ("torch._tensor", "_rebuild_from_type_v2") => Self::RebuildFromType,
            ("torch" | "torch._tensor", "Tensor") | ("torch.nn.parameter", "Parameter") => Self::TensorClass,
            ("torch.storage", "UntypedStorage") => Self::Storage(Element::Untyped),
            ("torch", "Size") => Self::Tuple,
            ("torch", name) => return storage(name).map(Self::Storage).or(torch_dtype(name).map(Self::TorchDtype)),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Self::Reconstruct,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Self::Scalar,
            ("numpy", "ndarray") => Self::Ndarray,
            ("numpy", "dtype") => Self::NumpyDtype,
            ("_codecs", "encode") => Self::Encode,
            ("builtins" | "__builtin__", "tuple") => Self::Tuple,
            ("builtins" | "__builtin__", "bytes") => Self::Bytes,
            ("builtins" | "__builtin__", "set" | "frozenset") => Self::Set,
            ("copyreg" | "copy_reg", "_reconstructor") => Self::Reconstructor,
            _ => return None,
        })
    }

    /// Whether it rebuilds a tensor.
    pub(crate) fn rebuilds(self) -> bool {
        matches!(
            self,
            Self::RebuildTensor
                | Self::RebuildTensorV2
                | Self::RebuildTensorV3
                | Self::RebuildParameter
                | Self::RebuildParameterWithState
                | Self::RebuildFromType
        )
    }
}

/// Whether a function that is not known rebuilds a tensor, by PyTorch's way of naming: sparse, quantized and others.
pub(crate) fn rebuilds_some_tensor(module: &str, name: &str) -> bool {
    matches!(module, "torch._utils" | "torch._tensor") && name.starts_with("_rebuild")
}

fn storage(name: &str) -> Option<Element> {
    Some(Element::Typed(match name {
        "DoubleStorage" => Dtype::F64,
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::Bf16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::Bool,
        "UntypedStorage" => return Some(Element::Untyped),
        "ComplexDoubleStorage" => return Some(Element::Other { size: 16 }),
        "ComplexFloatStorage" => return Some(Element::Other { size: 8 }),
        "QInt32Storage" => return Some(Element::Other { size: 4 }),
        "QInt8Storage" | "QUInt8Storage" | "QUInt4x2Storage" | "QUInt2x4Storage" => {
            return Some(Element::Other { size: 1 });
        }
        _ => return None,
    }))
}

fn torch_dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "float64" => Dtype::F64,
        "float32" => Dtype::F32,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::Bf16,
        "int64" => Dtype::I64,
        "int32" => Dtype::I32,
        "int16" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint64" => Dtype::U64,
        "uint32" => Dtype::U32,
        "uint16" => Dtype::U16,
        "uint8" => Dtype::U8,
        "bool" => Dtype::Bool,
        _ => return None,
    })
}
