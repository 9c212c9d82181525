//! A server that records what it is told, and the test that tells it to another: `simtest replay session.rec`.
use std::path::Path;

use adapter_tokio::{Close, ConfigBuilder, Endpoint, Message, Options, RecordOptions};

/// The same for the server and for the replay.
fn config() -> ConfigBuilder {
    ConfigBuilder::default()
}

async fn session(file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let record = RecordOptions { limit: 64 << 20, ..RecordOptions::new(file) };
    let options = Options { record: Some(record), ..config().into() };
    let server = Endpoint::listen(&["udp://127.0.0.1:0".parse()?], options)?;
    let client = Endpoint::client(ConfigBuilder::default())?;
    let connection = client.connect(server.local_addr()).await?;
    let accepted = server.accept().await.ok_or("the server is closed")?;
    for text in ["every message", "is one input", "of the server"] {
        connection.send(Message::new(text)).await?;
        let received = accepted.recv().await.ok_or("the connection was lost")?;
        println!("{}", String::from_utf8_lossy(&received.payload));
    }
    connection.close(Close::default());
    accepted.closed().await;
    server.wait_idle().await;
    // The I/O ends with the last handle, and the recording with it.
    let stopped = server.recording_ended();
    drop((accepted, server));
    stopped.map_or(Ok(()), |why| Err(why.into()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    session(Path::new("session.rec")).await
}

#[cfg(test)]
mod sessions {
    use std::time::Duration;

    use driver::{RECORDED, Replay};
    use simtest::Recording;

    use super::*;

    fn replay(recording: &Recording, compare: bool) -> Result<(), String> {
        let mut replay = Replay::new(config(), compare);
        recording.inputs.iter().try_for_each(|input| replay.input(input.at, input.kind, &input.bytes))
    }

    #[test]
    fn simtest_recording() {
        simtest::replay_recording(RECORDED, replay);
    }

    #[tokio::test]
    async fn a_session_can_be_told_to_another_server() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("session.rec");
        session(&file).await.expect("it goes well");
        let holds = |recording: &Recording| {
            let last = b"of the server";
            recording.inputs.iter().any(|input| input.bytes.windows(last.len()).any(|part| part == last))
        };
        let recording = loop {
            let recording = Recording::parse(&std::fs::read(&file).expect("a file"));
            match recording {
                Ok(recording) if holds(&recording) => break recording,
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        replay(&recording, true).expect("it does the same");
    }
}
