//! A server that answers every message with the same, and a client, over loopback.

use adapter_tokio::{Close, ConfigBuilder, Endpoint, Message};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Endpoint::bind("127.0.0.1:0".parse()?, ConfigBuilder::default())?;
    let address = server.local_addr();
    tokio::spawn(async move {
        while let Some(connection) = server.accept().await {
            tokio::spawn(async move {
                while let Some(received) = connection.recv().await {
                    connection.send(Message::new(received.payload)).await?;
                }
                Ok::<_, adapter_tokio::SendError>(())
            });
        }
    });

    let client = Endpoint::client(ConfigBuilder::default())?;
    let connection = client.connect(address).await?;
    for text in ["every message arrives", "once", "in order"] {
        connection.send(Message::new(text)).await?;
        let echo = connection.recv().await.ok_or("the connection was lost")?;
        println!("{}", String::from_utf8_lossy(&echo.payload));
    }
    connection.close(Close::default());
    client.wait_idle().await;
    Ok(())
}
