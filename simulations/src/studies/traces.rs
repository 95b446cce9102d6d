//! Data of studies: gzipped CSV files under `simulations/traces`, each folder with its origin and licence.

use std::fs::File;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;

use super::StudyError;

/// All rows of a file, such as `alibaba-openb-2023/openb_node_list_gpu_node.csv.gz`; the first line names the fields.
///
/// # Errors
/// The file is not there, or a row is not as it should be.
pub fn rows<T: DeserializeOwned>(file: &str) -> Result<Vec<T>, StudyError> {
    let fault = |why: String| StudyError::Trace { file: file.to_owned(), why };
    let opened = File::open(folder().join(file)).map_err(|why| fault(why.to_string()))?;
    let mut reader = csv::Reader::from_reader(GzDecoder::new(opened));
    reader.deserialize().map(|row| row.map_err(|why| fault(why.to_string()))).collect()
}

/// Where traces are: in the checkout that the program was built from.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("traces")
}
