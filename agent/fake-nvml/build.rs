//! Gives the library the name that NVML's clients ask the loader for, so that `LD_LIBRARY_PATH` and `LD_PRELOAD`
//! work with any of them, unmodified.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libnvidia-ml.so.1");
    println!("cargo:rerun-if-changed=build.rs");
}
