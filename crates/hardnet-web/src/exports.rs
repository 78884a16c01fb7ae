//! The functions of the module. Texts and files are bytes in the module's memory: JavaScript asks for room by
//! `reserve`, writes there, and passes the place and the length on. Each answer replaces the one before; `answer_start`
//! and `answer_length` say where it is. A function gives 1 if it succeeds, and 0 if its answer is an error's text.
#![allow(unsafe_code)]

use std::cell::RefCell;

use serde::Serialize;

use crate::session::{Error, Session};

#[derive(Default)]
struct State {
    session: Option<Session>,
    /// Bytes that JavaScript writes.
    given: Vec<Vec<u8>>,
    answer: Vec<u8>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Runs `work` on the state, whose answer it gives.
fn answer(work: impl FnOnce(&mut State) -> Result<Vec<u8>, String>) -> u32 {
    STATE.with_borrow_mut(|state| {
        let result = work(state);
        // Room that was not used is not kept.
        state.given.clear();
        let (answer, succeeded) = match result {
            Ok(answer) => (answer, 1),
            Err(message) => (message.into_bytes(), 0),
        };
        state.answer = answer;
        succeeded
    })
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, String> {
    serde_json::to_vec(value).map_err(|error| error.to_string())
}

fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Room for `length` bytes, the next argument of a function.
#[unsafe(no_mangle)]
extern "C" fn reserve(length: usize) -> *mut u8 {
    STATE.with_borrow_mut(|state| {
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(length).is_err() {
            return std::ptr::null_mut();
        }
        bytes.resize(length, 0);
        state.given.push(bytes);
        state.given.last_mut().map_or(std::ptr::null_mut(), Vec::as_mut_ptr)
    })
}

/// Threads that a session can have.
fn threads() -> usize {
    #[cfg(target_arch = "wasm32")]
    return 1 + hardnet_kernels::lent_threads();
    #[cfg(not(target_arch = "wasm32"))]
    1
}

/// Opens weights: their name and content were given.
#[unsafe(no_mangle)]
extern "C" fn open_weights() -> u32 {
    answer(|state| {
        let (Some(bytes), Some(name)) = (state.given.pop(), state.given.pop()) else {
            return Err("expected a name and the content of a file".into());
        };
        // The old network's memory is given back before that of the new one is taken.
        state.session = None;
        let session =
            Session::open(&String::from_utf8_lossy(&name), bytes, threads()).map_err(|error| words(&error))?;
        let opened = json(session.opened());
        state.session = Some(session);
        opened
    })
}

/// Classifies an image file, whose content was given: `top` classes. Where `upright` is not 0, it is turned as its EXIF
/// data say.
#[unsafe(no_mangle)]
extern "C" fn classify(top: usize, upright: u32) -> u32 {
    answer(|state| {
        let bytes = state.given.pop().ok_or("expected the content of an image")?;
        let session = state.session.as_mut().ok_or("no weights are open")?;
        json(&session.classify(&bytes, top, upright != 0).map_err(|error| words(&error))?)
    })
}

/// Computes the logits of an input that is prepared already: its values, little endian, were given. The answer is
/// values, too.
#[unsafe(no_mangle)]
extern "C" fn logits() -> u32 {
    answer(|state| {
        let bytes = state.given.pop().ok_or("expected the values of an input")?;
        let session = state.session.as_ref().ok_or("no weights are open")?;
        let (values, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(format!("expected values of 4 bytes, found {} bytes", bytes.len()));
        }
        let input: Vec<f32> = values.iter().map(|&value| f32::from_le_bytes(value)).collect();
        let logits = session.logits(&input).map_err(|error| words(&error))?;
        Ok(logits.iter().flat_map(|logit| logit.to_le_bytes()).collect())
    })
}

/// Draws the activation map of `class` over the last image, as a PNG file.
#[unsafe(no_mangle)]
extern "C" fn activation_map(class: usize) -> u32 {
    answer(|state| {
        let session = state.session.as_ref().ok_or("no weights are open")?;
        session.activation_map(class).map_err(|error| words(&error))
    })
}

/// Where the answer begins.
#[unsafe(no_mangle)]
extern "C" fn answer_start() -> *const u8 {
    STATE.with_borrow(|state| state.answer.as_ptr())
}

/// The answer's length in bytes.
#[unsafe(no_mangle)]
extern "C" fn answer_length() -> usize {
    STATE.with_borrow(|state| state.answer.len())
}

/// Memory for the stack and the variables of a thread, never given back; null where there is not so much.
#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
#[unsafe(no_mangle)]
extern "C" fn allocate(size: usize, align: usize) -> *mut u8 {
    match std::alloc::Layout::from_size_align(size.max(1), align.max(1)) {
        // SAFETY: the size is not 0.
        Ok(layout) => unsafe { std::alloc::alloc_zeroed(layout) },
        Err(_) => std::ptr::null_mut(),
    }
}

/// Lends the calling thread to the network; does not return.
#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
#[unsafe(no_mangle)]
extern "C" fn lend_thread() {
    hardnet_kernels::lend_thread()
}

/// Threads that were lent and do not work for a network.
#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
#[unsafe(no_mangle)]
extern "C" fn lent_threads() -> usize {
    hardnet_kernels::lent_threads()
}
