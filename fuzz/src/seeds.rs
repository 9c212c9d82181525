//! What the scenarios of hostile input have thrown at a server (`proto-core/tests/corpus/abuse`), as inputs of targets.

use std::io;
use std::path::Path;

/// The inputs for the target of that name; none if it takes nothing of the kind.
///
/// # Errors
/// Those of reading the files.
pub fn of(name: &str) -> io::Result<Vec<Vec<u8>>> {
    let as_input: fn(&str, Vec<u8>) -> Vec<u8> = match name {
        "records" => |_, bytes| bytes,
        "server" => of_server,
        _ => return Ok(Vec::new()),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto-core/tests/corpus/abuse");
    let mut paths = Vec::new();
    for file in folder.read_dir()? {
        paths.push(file?.path());
    }
    paths.sort();
    let mut inputs = Vec::new();
    for path in paths {
        for line in std::fs::read_to_string(path)?.lines() {
            let (kind, digits) = line.split_once(' ').ok_or(io::ErrorKind::InvalidData)?;
            inputs.push(as_input(kind, bytes(digits).ok_or(io::ErrorKind::InvalidData)?));
        }
    }
    Ok(inputs)
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// A stranger's datagram, or a record that a client says, as the target `server` has them.
fn of_server(kind: &str, mut bytes: Vec<u8>) -> Vec<u8> {
    let is_datagram = kind == "datagram";
    if is_datagram && let Some(tag) = bytes.last_chunk_mut::<4>() {
        // Its checksum is off there.
        *tag = [0; 4];
    }
    let len = (bytes.len() as u16).to_be_bytes();
    let what = if is_datagram { 0x85 } else { 0x45 };
    // At last the client says four bytes, and 10 ms pass.
    [&[0, what][..], &len, &bytes, &[0, 1, 0, 0, 0, 0, 7, 10]].concat()
}
