//! The binary interfaces of Open MPI and MPICH, opened at run time.
//!
//! Types, constants and signatures are those of `mpi.h` of Open MPI 4 and 5, whose handles are pointers to variables of
//! the library, and of MPICH 3 and 4, whose handles are numbers that its ABI initiative fixes.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

use crate::calls::{Calls, Request, Waiting};
use crate::error::{Error, Result};

/// Larger than `MPI_Status` of either library, which has 20 or 24 bytes.
type Status = [u64; 8];

/// `MPI_MAX_LIBRARY_VERSION_STRING`: 256 or 8192.
const MAX_VERSION: usize = 8192;

/// Calls come from one thread, which is not the main thread: `MPI_THREAD_SERIALIZED`.
const THREAD_SERIALIZED: c_int = 2;

/// A handle of communicators, types, requests and error handlers: a pointer or a number.
trait Handle: Copy + 'static {
    fn to_bits(self) -> usize;
    fn from_bits(bits: usize) -> Self;
}

impl Handle for c_int {
    fn to_bits(self) -> usize {
        self as u32 as usize
    }

    fn from_bits(bits: usize) -> Self {
        bits as u32 as Self
    }
}

impl Handle for *mut c_void {
    fn to_bits(self) -> usize {
        self.expose_provenance()
    }

    fn from_bits(bits: usize) -> Self {
        ptr::with_exposed_provenance_mut(bits)
    }
}

/// Constants of an implementation.
struct Constants<H> {
    world: H,
    byte: H,
    errors_return: H,
    any_source: c_int,
    /// Position of `MPI_SOURCE` in the status, in numbers of 32 bits; `MPI_TAG` follows.
    source: usize,
}

/// `MPI_ANY_TAG` of both.
const ANY_TAG: c_int = -1;

struct Functions<H> {
    comm_set_errhandler: unsafe extern "C" fn(H, H) -> c_int,
    comm_rank: unsafe extern "C" fn(H, *mut c_int) -> c_int,
    comm_size: unsafe extern "C" fn(H, *mut c_int) -> c_int,
    isend: unsafe extern "C" fn(*const c_void, c_int, H, c_int, c_int, H, *mut H) -> c_int,
    irecv: unsafe extern "C" fn(*mut c_void, c_int, H, c_int, c_int, H, *mut H) -> c_int,
    iprobe: unsafe extern "C" fn(c_int, c_int, H, *mut c_int, *mut Status) -> c_int,
    get_count: unsafe extern "C" fn(*const Status, H, *mut c_int) -> c_int,
    test: unsafe extern "C" fn(*mut H, *mut c_int, *mut Status) -> c_int,
    abort: unsafe extern "C" fn(H, c_int) -> c_int,
    finalize: unsafe extern "C" fn() -> c_int,
}

/// An open library, which stays open until the program ends.
struct Library {
    name: String,
    handle: *mut c_void,
}

/// Opens the first of `names` that exists and initializes MPI.
pub(crate) fn initialize(names: &[String]) -> Result<Box<dyn Calls>> {
    let library = Library::open(names)?;
    let version = library.version()?;
    if let Some(world) = library.find("ompi_mpi_comm_world") {
        let constants = Constants {
            world,
            byte: library.symbol("ompi_mpi_byte")?,
            errors_return: library.symbol("ompi_mpi_errors_return")?,
            any_source: -1,
            source: 0,
        };
        return Ok(Box::new(Initialized::new(&library, constants)?));
    }
    let compatible = ["MPICH", "Intel(R) MPI", "MVAPICH"];
    if compatible.iter().any(|name| version.contains(name)) {
        let constants = Constants::<c_int> {
            world: 0x4400_0000,
            byte: 0x4c00_010d,
            errors_return: 0x5400_0001,
            any_source: -2,
            source: 2,
        };
        return Ok(Box::new(Initialized::new(&library, constants)?));
    }
    let found = version.lines().next().unwrap_or_default().trim().chars().take(80).collect();
    Err(Error::UnknownLibrary { name: library.name, found })
}

impl Library {
    fn open(names: &[String]) -> Result<Self> {
        let mut reason = String::new();
        for name in names {
            let Ok(path) = CString::new(name.as_str()) else { continue };
            // SAFETY: the path is a C string. The library is one that the user names, or MPI, whose initialization has
            // no condition. Open MPI's plugins need its symbols to be global.
            let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
            if !handle.is_null() {
                return Ok(Self { name: name.clone(), handle });
            }
            // SAFETY: the last call failed, so that `dlerror` returns null or a C string that is valid until the next.
            let error = unsafe { libc::dlerror() };
            if !error.is_null() {
                // SAFETY: as above.
                reason = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
            }
        }
        Err(Error::NoLibrary { names: names.to_vec(), reason })
    }

    /// The address of a function or variable.
    fn find(&self, symbol: &str) -> Option<*mut c_void> {
        let name = CString::new(symbol).ok()?;
        // SAFETY: the library is open, and the name is a C string.
        let address = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        (!address.is_null()).then_some(address)
    }

    fn symbol(&self, symbol: &str) -> Result<*mut c_void> {
        self.find(symbol).ok_or_else(|| Error::NoSymbol { name: self.name.clone(), symbol: symbol.into() })
    }

    /// A function.
    ///
    /// # Safety
    ///
    /// `F` must be a pointer to a function of the signature that this one has.
    unsafe fn function<F: Copy>(&self, symbol: &str) -> Result<F> {
        let address = self.symbol(symbol)?;
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: both are pointers of one size, and the caller vouches for the signature.
        Ok(unsafe { std::mem::transmute_copy(&address) })
    }

    /// The name and version that the library gives, before MPI is initialized, too.
    fn version(&self) -> Result<String> {
        type GetLibraryVersion = unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int;
        // SAFETY: the signature is that of the standard.
        let get = unsafe { self.function::<GetLibraryVersion>("MPI_Get_library_version")? };
        let (mut text, mut length) = (vec![0_u8; MAX_VERSION + 1], 0);
        // SAFETY: the buffer has room for the longest text of either library.
        check("MPI_Get_library_version", unsafe { get(text.as_mut_ptr().cast(), &mut length) })?;
        text.truncate(length.clamp(0, MAX_VERSION as c_int) as usize);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn check(function: &'static str, code: c_int) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(Error::Call { function, code }) }
}

/// MPI after its initialization.
struct Initialized<H> {
    functions: Functions<H>,
    constants: Constants<H>,
    rank: usize,
    size: usize,
}

impl<H: Handle> Initialized<H> {
    /// Initializes MPI. `H` and `constants` must be those of the library.
    fn new(library: &Library, constants: Constants<H>) -> Result<Self> {
        type InitThread = unsafe extern "C" fn(*mut c_int, *mut *mut *mut c_char, c_int, *mut c_int) -> c_int;
        // SAFETY: the signatures are those of the standard, with the type of handles that the library has.
        let (init, functions) = unsafe {
            let functions = Functions::<H> {
                comm_set_errhandler: library.function("MPI_Comm_set_errhandler")?,
                comm_rank: library.function("MPI_Comm_rank")?,
                comm_size: library.function("MPI_Comm_size")?,
                isend: library.function("MPI_Isend")?,
                irecv: library.function("MPI_Irecv")?,
                iprobe: library.function("MPI_Iprobe")?,
                get_count: library.function("MPI_Get_count")?,
                test: library.function("MPI_Test")?,
                abort: library.function("MPI_Abort")?,
                finalize: library.function("MPI_Finalize")?,
            };
            (library.function::<InitThread>("MPI_Init_thread")?, functions)
        };
        let (mut provided, mut rank, mut size) = (0, 0, 0);
        // SAFETY: null stands for no arguments. MPI is initialized once, by `Mpi::start`.
        let code = unsafe { init(ptr::null_mut(), ptr::null_mut(), THREAD_SERIALIZED, &mut provided) };
        check("MPI_Init_thread", code)?;
        let world = constants.world;
        // SAFETY: MPI is initialized, and the handles are its own.
        unsafe {
            check("MPI_Comm_set_errhandler", (functions.comm_set_errhandler)(world, constants.errors_return))?;
            check("MPI_Comm_rank", (functions.comm_rank)(world, &mut rank))?;
            check("MPI_Comm_size", (functions.comm_size)(world, &mut size))?;
        }
        Ok(Self { functions, constants, rank: rank.max(0) as usize, size: size.max(1) as usize })
    }
}

/// The length of a message as MPI counts it.
fn count(bytes: usize) -> Result<c_int> {
    c_int::try_from(bytes).map_err(|_| Error::Call { function: "a message of 2 GiB", code: -1 })
}

impl<H: Handle> Calls for Initialized<H> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    unsafe fn send(&self, message: &[u8], to: usize, tag: i32) -> Result<Request> {
        let Constants { world, byte, .. } = self.constants;
        let (mut request, data) = (H::from_bits(0), message.as_ptr().cast());
        // SAFETY: the message has as many bytes, and the caller keeps it.
        let code =
            unsafe { (self.functions.isend)(data, count(message.len())?, byte, to as c_int, tag, world, &mut request) };
        check("MPI_Isend", code)?;
        Ok(Request(request.to_bits()))
    }

    unsafe fn receive(&self, buffer: &mut [u8], waiting: Waiting) -> Result<Request> {
        let Constants { world, byte, .. } = self.constants;
        let (mut request, data) = (H::from_bits(0), buffer.as_mut_ptr().cast());
        let (from, tag) = (waiting.from as c_int, waiting.tag);
        // SAFETY: the buffer has as many bytes, and the caller keeps it. A longer message would be an error.
        let code = unsafe { (self.functions.irecv)(data, count(buffer.len())?, byte, from, tag, world, &mut request) };
        check("MPI_Irecv", code)?;
        Ok(Request(request.to_bits()))
    }

    fn probe(&self) -> Result<Option<Waiting>> {
        let Constants { world, byte, any_source, source, .. } = self.constants;
        let (mut found, mut status, mut bytes) = (0, Status::default(), 0);
        // SAFETY: the status has room for that of either library.
        check("MPI_Iprobe", unsafe { (self.functions.iprobe)(any_source, ANY_TAG, world, &mut found, &mut status) })?;
        if found == 0 {
            return Ok(None);
        }
        // SAFETY: the call has filled the status.
        check("MPI_Get_count", unsafe { (self.functions.get_count)(&status, byte, &mut bytes) })?;
        let number = |at: usize| {
            let both = status[at / 2].to_ne_bytes();
            i32::from_ne_bytes(std::array::from_fn(|byte| both[4 * (at % 2) + byte]))
        };
        Ok(Some(Waiting {
            from: number(source).max(0) as usize,
            tag: number(source + 1),
            bytes: bytes.max(0) as usize,
        }))
    }

    fn test(&self, request: &mut Request) -> Result<bool> {
        let (mut handle, mut done, mut status) = (H::from_bits(request.0), 0, Status::default());
        // SAFETY: the request is one that `send` or `receive` started, as this call left it.
        check("MPI_Test", unsafe { (self.functions.test)(&mut handle, &mut done, &mut status) })?;
        request.0 = handle.to_bits();
        Ok(done != 0)
    }

    fn abort(&self, code: i32) {
        // SAFETY: MPI is initialized. The call ends the program.
        unsafe { (self.functions.abort)(self.constants.world, code) };
    }

    fn finalize(&self) -> Result<()> {
        // SAFETY: MPI is initialized, and the engine has no transfer in progress.
        check("MPI_Finalize", unsafe { (self.functions.finalize)() })
    }
}
