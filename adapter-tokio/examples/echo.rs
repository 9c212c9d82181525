//! A server that answers every message with the same, and a client, over loopback.
use adapter_tokio::{Close, ConfigBuilder, Connection, Endpoint, Message, SendError};

async fn echo(connection: Connection) -> Result<(), SendError> {
    while let Some(received) = connection.recv().await {
        connection.send(Message::new(received.payload)).await?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Endpoint::bind("127.0.0.1:0".parse()?, ConfigBuilder::default())?;
    let client = Endpoint::client(ConfigBuilder::default())?;
    let dialed = client.connect(server.local_addr());
    tokio::spawn(async move {
        while let Some(connection) = server.accept().await {
            tokio::spawn(echo(connection));
        }
    });
    let connection = dialed.await?;
    for text in ["every message arrives", "once", "in order"] {
        connection.send(Message::new(text)).await?;
        let echo = connection.recv().await.ok_or("the connection was lost")?;
        println!("{}", String::from_utf8_lossy(&echo.payload));
    }
    connection.close(Close::default());
    client.wait_idle().await;
    Ok(())
}
