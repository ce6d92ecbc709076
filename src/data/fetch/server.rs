//! A web server on the loopback for tests: it can break off, forget how to go on in the middle, or send something else.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How the server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Not at all.
    Well,
    /// It closes the connection after so many bytes of a body.
    BreaksOff(usize),
    /// It does not know ranges and sends everything.
    IgnoresRanges,
    /// It answers every request with this status and no content.
    Status(u16),
    /// It sends every byte plus one.
    Corrupts,
}

/// A running server with files by name; it ends with the test's process.
pub struct Server {
    pub url: String,
    /// How it answers from now on.
    pub manner: Arc<Mutex<Manner>>,
    /// First lines of the requests, with the range asked for.
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start(files: Vec<(&'static str, Vec<u8>)>, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/set", listener.local_addr().unwrap());
        let (manner, asked) = (Arc::new(Mutex::new(manner)), Arc::new(Mutex::new(Vec::new())));
        let server = Server { url, manner: manner.clone(), asked: asked.clone() };
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                // A client that leaves early is no concern of the server's.
                let _ = answer(connection.unwrap(), &files, *manner.lock().unwrap(), &asked);
            }
        });
        server
    }

    pub fn be(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

fn answer(
    mut connection: TcpStream,
    files: &[(&str, Vec<u8>)],
    manner: Manner,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let mut from = 0;
    for line in lines {
        let line = line?.to_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        } else if line.is_empty() {
            break;
        }
    }
    let name = request.split(' ').nth(1).unwrap_or_default().trim_start_matches("/set/").to_string();
    asked.lock().unwrap().push(format!("{name} from {from}"));
    let file = files.iter().find(|(n, _)| *n == name).map(|(_, content)| content.clone());
    let (status, from, mut body) = match (manner, file) {
        (Manner::Status(status), _) => (status, 0, Vec::new()),
        (_, None) => (404, 0, Vec::new()),
        (Manner::IgnoresRanges, Some(file)) => (200, 0, file),
        (_, Some(file)) if from >= file.len() && from > 0 => (416, 0, Vec::new()),
        (_, Some(file)) => (if from > 0 { 206 } else { 200 }, from, file[from..].to_vec()),
    };
    let length = body.len();
    match manner {
        Manner::Corrupts => body.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1)),
        Manner::BreaksOff(after) => body.truncate(after),
        Manner::Well | Manner::IgnoresRanges | Manner::Status(_) => {}
    }
    let range = format!("content-range: bytes {from}-{}/{}\r\n", (from + length).max(1) - 1, from + length);
    let range = if status == 206 { range } else { String::new() };
    write!(connection, "HTTP/1.1 {status} Hm\r\ncontent-length: {length}\r\n{range}connection: close\r\n\r\n")?;
    connection.write_all(&body)
}
