//! Writing through the pointers that callers give. The only place that does.

use std::ffi::{CStr, c_char};

use super::{Code, code};

/// Writes a value.
///
/// # Safety
/// `to` is null or valid for a write of `T`.
pub(super) unsafe fn set<T>(to: *mut T, value: T) -> Result<(), Code> {
    if to.is_null() {
        return Err(code::INVALID);
    }
    // SAFETY: not null, and so valid by this function's contract.
    unsafe { to.write(value) };
    Ok(())
}

/// Writes a text and its final zero.
///
/// # Safety
/// `to` is null or valid for a write of `length` bytes.
pub(super) unsafe fn text(to: *mut c_char, length: u32, value: &str) -> Result<(), Code> {
    if to.is_null() {
        return Err(code::INVALID);
    }
    let length = usize::try_from(length).unwrap_or_default();
    if length <= value.len() {
        return Err(code::TOO_SMALL);
    }
    // SAFETY: not null, and `length` bytes long by this function's contract; the text with its zero fits.
    unsafe {
        std::ptr::copy_nonoverlapping(value.as_ptr().cast::<c_char>(), to, value.len());
        to.add(value.len()).write(0);
    }
    Ok(())
}

/// A text inside a struct, cut to fit.
pub(super) fn field<const N: usize>(value: &str) -> [c_char; N] {
    let mut field = [0; N];
    for (to, from) in field.iter_mut().take(N.saturating_sub(1)).zip(value.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    field
}

/// Reads a text.
///
/// # Safety
/// `from` is null or points to a text that ends with a zero.
pub(super) unsafe fn read<'a>(from: *const c_char) -> Result<&'a str, Code> {
    if from.is_null() {
        return Err(code::INVALID);
    }
    // SAFETY: not null, and ends with a zero by this function's contract.
    unsafe { CStr::from_ptr(from) }.to_str().map_err(|_| code::INVALID)
}
