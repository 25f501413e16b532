//! A cache, or a server, for each test: nothing shared, nothing left over, and time in one's hand.
//!
//! `cargo test --example test_fixture`

use std::time::Duration;

use pannier::{Cache, Clock, Error, SetOptions, VirtualClock};

/// What is tested: at most so many attempts in a minute for each user.
fn may_try(cache: &Cache, user: &str, most: i64) -> Result<bool, Error> {
    let key = format!("attempts:{user}");
    // The first attempt begins the minute; later ones leave its end alone.
    let minute = SetOptions::new().ttl(Duration::from_secs(60)).nx();
    cache.set_with(&key, "0", minute)?;
    Ok(cache.incr(&key)? <= most)
}

/// A cache whose time stands still until the test moves it.
fn fixture() -> Result<(Cache, VirtualClock), Error> {
    let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    Ok((Cache::builder().clock(clock).seed(1).build()?, hand))
}

fn main() -> Result<(), Error> {
    let (cache, hand) = fixture()?;
    while may_try(&cache, "Ann", 3)? {}
    hand.advance(Duration::from_secs(60));
    assert!(may_try(&cache, "Ann", 3)?);
    println!("Run `cargo test --example test_fixture`.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use pannier::Server;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_fourth_attempt_in_a_minute_is_refused() -> Result<(), Box<dyn Error>> {
        let (cache, hand) = fixture()?;
        for _ in 0..3 {
            assert!(may_try(&cache, "Ann", 3)?);
        }
        assert!(!may_try(&cache, "Ann", 3)?);
        // A minute later, which takes no time.
        hand.advance(Duration::from_secs(60));
        assert!(may_try(&cache, "Ann", 3)?);
        Ok(())
    }

    #[tokio::test]
    async fn a_client_on_a_socket_sees_the_same_data() -> Result<(), Box<dyn Error>> {
        let (cache, _hand) = fixture()?;
        may_try(&cache, "Bob", 3)?;
        // A port of its own; it stops when it is dropped.
        let server = Server::builder().cache(&cache).start()?;
        let addr = server.addr().ok_or("no address")?;
        let mut client = TcpStream::connect(addr).await?;
        client.write_all(b"GET attempts:Bob\r\n").await?;
        let mut reply = [0; 7];
        client.read_exact(&mut reply).await?;
        assert_eq!(&reply, b"$1\r\n1\r\n");
        Ok(())
    }
}
