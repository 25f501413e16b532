//! Sessions of a web application (axum, tower-sessions), kept in its own process.
//!
//! `cargo run --example axum_sessions --features serde`, then in another terminal:
//!
//! ```text
//! curl -c jar -b jar -d name=Ann http://127.0.0.1:3000/login
//! curl -c jar -b jar http://127.0.0.1:3000/
//! redis-cli -p 6380 --scan --pattern 'session:*'
//! ```

use std::time::Duration;

use async_trait::async_trait;
use axum::routing::{get, post};
use axum::{Form, Router, http::StatusCode};
use pannier::{Cache, Error, Policy, Server, SetOptions};
use serde::Deserialize;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{self, SessionStore};
use tower_sessions::{Expiry, Session, SessionManagerLayer};

/// Sessions that end when nobody has used them for a while.
#[derive(Clone, Debug)]
struct Sessions {
    cache: Cache,
    idle: Duration,
}

impl Sessions {
    fn put(&self, record: &Record, options: SetOptions) -> session_store::Result<bool> {
        self.cache.set_json(key(&record.id), record, options.ttl(self.idle)).map_err(failed)
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        while !self.put(record, SetOptions::new().nx())? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        self.put(record, SetOptions::new()).map(|_| ())
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        self.cache.get_json(key(id)).map_err(failed)
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.cache.del(key(id)).map(|_| ()).map_err(failed)
    }
}

fn key(id: &Id) -> String {
    format!("session:{id}")
}

fn failed(error: Error) -> session_store::Error {
    session_store::Error::Backend(error.to_string())
}

/// The application: whoever is logged in is counted.
fn application(sessions: Sessions) -> Router {
    let idle = time::Duration::try_from(sessions.idle).unwrap_or(time::Duration::MAX);
    let layer = SessionManagerLayer::new(sessions)
        // The example is served without TLS.
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(idle))
        // Every request begins the idle time anew, not only those that change something.
        .with_always_save(true);
    Router::new()
        .route("/login", post(login))
        .route("/", get(count))
        .route("/logout", post(logout))
        .layer(layer)
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

type Answer = Result<String, StatusCode>;

async fn login(session: Session, Form(login): Form<Login>) -> Answer {
    // Another number than the one that somebody may have planted.
    session.cycle_id().await.map_err(broken)?;
    session.insert("name", &login.name).await.map_err(broken)?;
    session.insert("visits", 0).await.map_err(broken)?;
    Ok(format!("Hello {}", login.name))
}

async fn count(session: Session) -> Answer {
    let name: Option<String> = session.get("name").await.map_err(broken)?;
    let name = name.ok_or(StatusCode::UNAUTHORIZED)?;
    let visits = session.get::<u64>("visits").await.map_err(broken)?.unwrap_or(0) + 1;
    session.insert("visits", visits).await.map_err(broken)?;
    Ok(format!("{name} {visits}"))
}

async fn logout(session: Session) -> Answer {
    session.flush().await.map_err(broken)?;
    Ok("Bye".into())
}

fn broken(_: tower_sessions::session::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = Cache::builder().max_entries(100_000).policy(Policy::AllKeysLru).build()?;
    // For looking in: the application itself needs no socket.
    let _window = Server::builder().cache(&cache).port(6380).threads(1).start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
        println!("http://{}, and redis-cli -p 6380", listener.local_addr()?);
        let sessions = Sessions { cache, idle: Duration::from_secs(30 * 60) };
        axum::serve(listener, application(sessions)).await
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use pannier::{Clock, VirtualClock};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// The application on a port of its own, and a browser with one cookie.
    struct Browser {
        addr: SocketAddr,
        cookie: String,
    }

    impl Browser {
        async fn open(cache: &Cache) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let sessions = Sessions { cache: cache.clone(), idle: Duration::from_secs(60) };
            tokio::spawn(async { axum::serve(listener, application(sessions)).await });
            Self { addr, cookie: String::new() }
        }

        /// Status and body of an answer.
        async fn ask(&mut self, request: &str, form: &str) -> (u16, String) {
            let cookie = &self.cookie;
            let len = form.len();
            let text = format!(
                "{request} HTTP/1.1\r\nHost: example\r\nConnection: close\r\nCookie: {cookie}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len}\r\n\r\n\
                 {form}"
            );
            let mut stream = TcpStream::connect(self.addr).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            if let Some((_, rest)) = head.split_once("set-cookie: ") {
                self.cookie = rest.split(';').next().unwrap().to_owned();
            }
            (head[9..12].parse().unwrap(), body.to_owned())
        }
    }

    fn fixture() -> (Cache, VirtualClock) {
        let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
        (Cache::builder().clock(clock).build().unwrap(), hand)
    }

    #[tokio::test]
    async fn visits_are_counted_from_login_to_logout() {
        let (cache, _hand) = fixture();
        let mut ann = Browser::open(&cache).await;
        assert_eq!(ann.ask("GET /", "").await.0, 401);
        assert_eq!(ann.ask("POST /login", "name=Ann").await, (200, "Hello Ann".into()));
        assert_eq!(ann.ask("GET /", "").await, (200, "Ann 1".into()));
        assert_eq!(ann.ask("GET /", "").await, (200, "Ann 2".into()));
        let mut bob = Browser { addr: ann.addr, cookie: String::new() };
        assert_eq!(bob.ask("GET /", "").await.0, 401);
        let stolen = ann.cookie.clone();
        assert_eq!(ann.ask("POST /logout", "").await, (200, "Bye".into()));
        assert!(cache.is_empty());
        ann.cookie = stolen;
        assert_eq!(ann.ask("GET /", "").await.0, 401);
    }

    #[tokio::test]
    async fn a_session_ends_when_it_is_idle_and_every_request_begins_that_anew() {
        let (cache, hand) = fixture();
        let mut ann = Browser::open(&cache).await;
        ann.ask("POST /login", "name=Ann").await;
        for visit in 1..4 {
            hand.advance(Duration::from_secs(59));
            assert_eq!(ann.ask("GET /", "").await, (200, format!("Ann {visit}")));
        }
        hand.advance(Duration::from_secs(60));
        assert!(cache.is_empty());
        assert_eq!(ann.ask("GET /", "").await.0, 401);
    }

    #[tokio::test]
    async fn a_redis_client_looks_in() {
        let (cache, _hand) = fixture();
        let server = Server::builder().cache(&cache).threads(1).start().unwrap();
        let mut ann = Browser::open(&cache).await;
        ann.ask("POST /login", "name=Ann").await;
        let mut client = TcpStream::connect(server.addr().unwrap()).await.unwrap();
        client.write_all(b"KEYS session:*\r\nQUIT\r\n").await.unwrap();
        let mut reply = String::new();
        client.read_to_string(&mut reply).await.unwrap();
        let id = ann.cookie.strip_prefix("id=").unwrap();
        assert_eq!(reply.lines().nth(2), Some(format!("session:{id}").as_str()));
    }
}
