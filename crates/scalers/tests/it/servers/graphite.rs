//! Graphite: the daemon that takes points, and the web application that is asked for them.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Process, find, free_port, installed, is_open};

/// Where Debian has the web application.
const PYTHON: &str = "/usr/bin/python3";
const APPLICATION: &str = "/usr/lib/python3/dist-packages/graphite/settings.py";

pub struct Graphite {
    /// Of the web application.
    pub port: u16,
    points: u16,
    web: Option<Process>,
    _carbon: Process,
    folder: TempDir,
}

impl Graphite {
    /// Starts it. Nothing where it is not installed.
    pub fn start() -> Option<Self> {
        if !installed("carbon-cache", "graphite-carbon") || !installed(APPLICATION, "graphite-web") {
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let [port, points, pickles, questions] = [free_port(), free_port(), free_port(), free_port()];
        configure(folder.path(), points, pickles, questions);
        let logs = folder.path().join("carbon");
        std::fs::create_dir(&logs).expect("a folder");
        let mut carbon = Command::new(find("carbon-cache").expect("carbon-cache"));
        carbon.arg(format!("--config={}", folder.path().join("carbon.conf").display())).args(["--nodaemon", "start"]);
        let carbon = Process::start(carbon, &logs, Signal::TERM, 30, || [points, questions].into_iter().all(is_open));
        let made = django(folder.path()).args(["migrate", "--run-syncdb"]).output().expect("python");
        assert!(made.status.success(), "there is no database: {}", String::from_utf8_lossy(&made.stderr));
        let mut graphite = Graphite { port, points, web: None, _carbon: carbon, folder };
        graphite.resume();
        Some(graphite)
    }

    /// Ends the web application.
    pub fn pause(&mut self) {
        self.web = None;
    }

    /// Starts it again.
    pub fn resume(&mut self) {
        let port = self.port;
        let mut web = django(self.folder.path());
        web.args(["runserver", "--noreload"]).arg(format!("127.0.0.1:{port}"));
        self.web = Some(Process::start(web, self.folder.path(), Signal::TERM, 30, || is_open(port)));
    }

    /// Writes a point, for now.
    pub fn write(&self, metric: &str, value: f64) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.points)).expect("carbon");
        let now = keda_scalers::sampler::wall_clock().as_second();
        stream.write_all(format!("{metric} {value} {now}\n").as_bytes()).expect("carbon takes a point");
    }
}

fn django(folder: &Path) -> Command {
    let mut command = Command::new(PYTHON);
    command.args(["-m", "django"]).current_dir(folder);
    command.env("PYTHONPATH", folder).env("DJANGO_SETTINGS_MODULE", "test_settings");
    command
}

fn configure(folder: &Path, points: u16, pickles: u16, questions: u16) {
    let place = folder.display();
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("a file");
    std::fs::create_dir(folder.join("whisper")).expect("a folder");
    write("storage-schemas.conf", "[all]\npattern = .*\nretentions = 1s:1h\n".to_string());
    write(
        "carbon.conf",
        format!(
            "[cache]\nSTORAGE_DIR = {place}\nCONF_DIR = {place}\nLOG_DIR = {place}\nPID_DIR = {place}\n\
             LOCAL_DATA_DIR = {place}/whisper\nENABLE_LOGROTATION = False\nMAX_CREATES_PER_MINUTE = inf\n\
             LINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = {points}\n\
             PICKLE_RECEIVER_INTERFACE = 127.0.0.1\nPICKLE_RECEIVER_PORT = {pickles}\n\
             CACHE_QUERY_INTERFACE = 127.0.0.1\nCACHE_QUERY_PORT = {questions}\n"
        ),
    );
    write(
        "test_settings.py",
        format!(
            "from graphite.settings import *\nSECRET_KEY = 'test'\nALLOWED_HOSTS = ['*']\n\
             STORAGE_DIR = LOG_DIR = '{place}'\nWHISPER_DIR = '{place}/whisper'\nSTANDARD_DIRS = [WHISPER_DIR]\n\
             INDEX_FILE = '{place}/index'\nCARBONLINK_HOSTS = ['127.0.0.1:{questions}']\n\
             DATABASES = {{'default': {{'ENGINE': 'django.db.backends.sqlite3', 'NAME': '{place}/graphite.db'}}}}\n"
        ),
    );
}
