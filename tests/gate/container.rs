//! The process of a client, real in the eyes of the kernel, and a fake kubelet that starts it anew.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use tempfile::TempDir;

/// Such a process.
pub struct Container {
    pub name: String,
    stop: Arc<AtomicBool>,
    starts: Arc<AtomicU32>,
    kubelet: Option<thread::JoinHandle<()>>,
}

impl Container {
    /// Starts it in this folder; what becomes of it when its process starts and ends.
    pub fn start(folder: &TempDir, start: impl Fn() + Send + 'static, ended: impl Fn() + Send + 'static) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("fake-{}-{number}", std::process::id());
        let program = folder.path().join(&name);
        fs::copy("/bin/sleep", &program).unwrap();
        let (stop, starts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (halted, counted) = (Arc::clone(&stop), Arc::clone(&starts));
        let kubelet = thread::spawn(move || {
            while !halted.load(Ordering::Relaxed) {
                start();
                let mut process: Child =
                    Command::new(&program).arg("1000").stdin(Stdio::null()).spawn().expect("a client");
                counted.fetch_add(1, Ordering::Relaxed);
                while process.try_wait().unwrap().is_none() {
                    if halted.load(Ordering::Relaxed) {
                        process.kill().unwrap();
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                ended();
                thread::sleep(Duration::from_millis(200));
            }
        });
        Self { name, stop, starts, kubelet: Some(kubelet) }
    }

    pub fn starts(&self) -> u32 {
        self.starts.load(Ordering::Relaxed)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.kubelet.take().map(thread::JoinHandle::join));
    }
}
