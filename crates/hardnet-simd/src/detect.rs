//! Detection of instruction sets, and the tokens that prove it.
//!
//! An instruction set is a token, [`Avx2`] for instance, that only its `detect` makes. A function that takes the token
//! can call code compiled for that set without asking again: the check is carried by the type. [`Isa`] is the choice
//! among tokens, made once and passed down.

use std::fmt;
use std::str::FromStr;

/// The environment variable that [`Isa::from_environment`] reads.
pub const ISA_ENV_VAR: &str = "HARDNET_ISA";

/// An instruction set that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust, compiled for the least processor of the target.
    Portable,
    /// AVX2 and FMA.
    Avx2(Avx2),
    /// AVX2 and FMA, and dot products of bytes in 256-bit registers.
    AvxVnni(AvxVnni),
    /// AVX-512 (F, BW, VL and DQ) in addition to AVX2 and FMA.
    Avx512(Avx512),
    /// The same and dot products of bytes in 512-bit registers.
    Avx512Vnni(Avx512Vnni),
    /// NEON.
    Neon(Neon),
    /// NEON and dot products of signed bytes.
    NeonDotprod(NeonDotprod),
    /// NEON and dot products of unsigned and signed bytes.
    NeonI8mm(NeonI8mm),
    /// 128-bit vectors of WebAssembly.
    Simd128(Simd128),
    /// The same and relaxed vector instructions, on a machine that computes multiply-add with one rounding.
    RelaxedSimd(RelaxedSimd),
}

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// The token, if the processor has both sets.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return Some(Self(()));
        }
        None
    }
}

/// Proof that the processor has F, BW, VL and DQ of AVX-512, AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(Avx2);

impl Avx512 {
    /// The token, if the processor has all sets.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("avx512dq")
        {
            return Avx2::detect().map(Self);
        }
        None
    }
}

/// Proof that the processor has AVX-VNNI, AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvxVnni(Avx2);

impl AvxVnni {
    /// The token, if the processor has all sets.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avxvnni") {
            return Avx2::detect().map(Self);
        }
        None
    }
}

/// Proof that the processor has VNNI of AVX-512, and what [`Avx512`] proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512Vnni(Avx512);

impl Avx512Vnni {
    /// The token, if the processor has all sets.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512vnni") {
            return Avx512::detect().map(Self);
        }
        None
    }
}

/// Proof that the processor has NEON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neon(());

impl Neon {
    /// The token, if the processor has the set. Vectors lie in memory in the order of little-endian processors.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") && cfg!(target_endian = "little") {
            return Some(Self(()));
        }
        None
    }
}

/// Proof that the processor has dotprod and NEON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeonDotprod(Neon);

impl NeonDotprod {
    /// The token, if the processor has both sets.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("dotprod") {
            return Neon::detect().map(Self);
        }
        None
    }
}

/// Proof that the processor has i8mm and NEON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeonI8mm(Neon);

impl NeonI8mm {
    /// The token, if the processor has both sets.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("i8mm") {
            return Neon::detect().map(Self);
        }
        None
    }
}

/// Proof that the module was compiled for 128-bit vectors of WebAssembly: one that was is refused where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simd128(());

impl Simd128 {
    /// The token, if the module was compiled for vectors.
    pub fn detect() -> Option<Self> {
        cfg!(all(target_arch = "wasm32", target_feature = "simd128")).then_some(Self(()))
    }
}

/// Proof that the module was compiled for relaxed vector instructions of WebAssembly, and that the multiply-add of this
/// machine rounds once. The standard leaves that open, but not to change while a module runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelaxedSimd(Simd128);

impl RelaxedSimd {
    /// The token, if the module was compiled for the instructions and multiply-add rounds once.
    pub fn detect() -> Option<Self> {
        #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
        if crate::arch::wasm32::madd_rounds_once() {
            return Simd128::detect().map(Self);
        }
        None
    }
}

impl From<RelaxedSimd> for Simd128 {
    fn from(RelaxedSimd(simd128): RelaxedSimd) -> Self {
        simd128
    }
}

impl From<NeonDotprod> for Neon {
    fn from(NeonDotprod(neon): NeonDotprod) -> Self {
        neon
    }
}

impl From<NeonI8mm> for Neon {
    fn from(NeonI8mm(neon): NeonI8mm) -> Self {
        neon
    }
}

impl From<AvxVnni> for Avx2 {
    fn from(AvxVnni(avx2): AvxVnni) -> Self {
        avx2
    }
}

impl From<Avx512Vnni> for Avx512 {
    fn from(Avx512Vnni(avx512): Avx512Vnni) -> Self {
        avx512
    }
}

impl From<Avx512> for Avx2 {
    fn from(Avx512(avx2): Avx512) -> Self {
        avx2
    }
}

/// Error of a name that is not an instruction set of this processor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{asked}` is not an instruction set of this processor, expected one of {}", names())]
pub struct Unavailable {
    /// The requested name.
    pub asked: String,
}

impl Isa {
    /// Every set that this processor has, the preferred one last.
    pub fn available() -> Vec<Isa> {
        let sets = [
            Some(Isa::Portable),
            Avx2::detect().map(Isa::Avx2),
            AvxVnni::detect().map(Isa::AvxVnni),
            Avx512::detect().map(Isa::Avx512),
            Avx512Vnni::detect().map(Isa::Avx512Vnni),
            Neon::detect().map(Isa::Neon),
            NeonDotprod::detect().map(Isa::NeonDotprod),
            NeonI8mm::detect().map(Isa::NeonI8mm),
            Simd128::detect().map(Isa::Simd128),
            RelaxedSimd::detect().map(Isa::RelaxedSimd),
        ];
        sets.into_iter().flatten().collect()
    }

    /// Those of the [available](Isa::available) sets whose kernels of f32 differ. The others add dot products of bytes
    /// to one of them.
    pub fn of_f32() -> Vec<Isa> {
        let sets = [
            Some(Isa::Portable),
            Avx2::detect().map(Isa::Avx2),
            Avx512::detect().map(Isa::Avx512),
            Neon::detect().map(Isa::Neon),
            Simd128::detect().map(Isa::Simd128),
            RelaxedSimd::detect().map(Isa::RelaxedSimd),
        ];
        sets.into_iter().flatten().collect()
    }

    /// The preferred of the [available](Isa::available) sets.
    pub fn best() -> Isa {
        Isa::available().pop().unwrap_or(Isa::Portable)
    }

    /// The token of AVX2 where the set includes it, for loops that have no wider form.
    pub fn avx2(self) -> Option<Avx2> {
        match self {
            Isa::Avx2(token) => Some(token),
            Isa::AvxVnni(token) => Some(token.into()),
            Isa::Avx512(_) | Isa::Avx512Vnni(_) => self.avx512().map(Avx2::from),
            _ => None,
        }
    }

    /// The token of AVX-512 where the set includes it.
    pub fn avx512(self) -> Option<Avx512> {
        match self {
            Isa::Avx512(token) => Some(token),
            Isa::Avx512Vnni(token) => Some(token.into()),
            _ => None,
        }
    }

    /// The token of NEON where the set includes it.
    pub fn neon(self) -> Option<Neon> {
        match self {
            Isa::Neon(token) => Some(token),
            Isa::NeonDotprod(token) => Some(token.into()),
            Isa::NeonI8mm(token) => Some(token.into()),
            _ => None,
        }
    }

    /// The token of 128-bit vectors of WebAssembly where the set includes them.
    pub fn simd128(self) -> Option<Simd128> {
        match self {
            Isa::Simd128(token) => Some(token),
            Isa::RelaxedSimd(token) => Some(token.into()),
            _ => None,
        }
    }

    /// Whether kernels of f32 add a product to a sum with one rounding. All sets that do agree to the last bit.
    pub fn is_fused(self) -> bool {
        self.avx2().is_some() || self.neon().is_some() || matches!(self, Isa::RelaxedSimd(_))
    }

    /// The set that the environment variable [`ISA_ENV_VAR`] names, [`best`](Isa::best) if it is unset or empty.
    ///
    /// No other function of these crates reads the variable: a program that wants it to count calls this one.
    ///
    /// # Errors
    /// [`Unavailable`] if it names none of the [available](Isa::available) sets.
    pub fn from_environment() -> Result<Isa, Unavailable> {
        match std::env::var_os(ISA_ENV_VAR).filter(|name| !name.is_empty()) {
            Some(name) => name.to_string_lossy().parse(),
            None => Ok(Isa::best()),
        }
    }

    /// Name of the set, which [`FromStr`] reads: `portable`, `avx2`, `avxvnni`, `avx512`, `avx512vnni`, `neon`,
    /// `neondotprod`, `neoni8mm`, `simd128` or `relaxedsimd`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2(_) => "avx2",
            Isa::AvxVnni(_) => "avxvnni",
            Isa::Avx512(_) => "avx512",
            Isa::Avx512Vnni(_) => "avx512vnni",
            Isa::Neon(_) => "neon",
            Isa::NeonDotprod(_) => "neondotprod",
            Isa::NeonI8mm(_) => "neoni8mm",
            Isa::Simd128(_) => "simd128",
            Isa::RelaxedSimd(_) => "relaxedsimd",
        }
    }
}

impl FromStr for Isa {
    type Err = Unavailable;

    fn from_str(name: &str) -> Result<Isa, Unavailable> {
        let named = Isa::available().into_iter().find(|isa| isa.name() == name);
        named.ok_or_else(|| Unavailable { asked: name.to_owned() })
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

fn names() -> String {
    let names: Vec<_> = Isa::available().into_iter().map(Isa::name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_sets() {
        for isa in Isa::available() {
            assert_eq!(isa.to_string().parse(), Ok(isa));
        }
        assert_eq!("portable".parse(), Ok(Isa::Portable));
        assert_eq!(Isa::available().last(), Some(&Isa::best()));
        assert!(Isa::of_f32().iter().all(|isa| Isa::available().contains(isa)));
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let error = "avx9".parse::<Isa>().unwrap_err();
        let start = "`avx9` is not an instruction set of this processor, expected one of portable";
        assert!(error.to_string().starts_with(start), "{error}");
    }
}
