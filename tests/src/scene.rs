//! A folder of one's own with the real binaries, just the wanted plugins, and whatever files a test writes.
//!
//! `dagd`, `ctl` and the plugins are hard links (copies across file systems), so each scene has executables of its own:
//! plugins "beside the binary" are this scene's only, and `/proc/*/exe` tells its processes from all others.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::artifacts;
use crate::command::{self, Outcome, Running};
use crate::daemon::Daemon;
use crate::processes::{self, Process};
use crate::wait;

/// What a scene shall hold; see [`Scene::with`].
pub struct SceneBuilder {
    plugins: Vec<String>,
    settings: BTreeMap<String, String>,
}

impl SceneBuilder {
    /// Sets one key of the configuration, both as TOML writes them: `("workers.count", "1")`.
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.insert(key.to_owned(), value.to_string());
        self
    }

    /// Lays the folder out.
    #[track_caller]
    pub fn build(self) -> Scene {
        let folder = tempfile::Builder::new().prefix("dagd-").tempdir().expect("a temporary folder");
        let scene = Scene { folder };
        for name in ["bin/plugins", "home", "run", "state", "work"] {
            fs::create_dir_all(scene.path(name)).unwrap();
        }
        fs::set_permissions(scene.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
        for binary in ["dagd", "ctl"] {
            link(&artifacts::product(binary), &scene.path("bin").join(binary));
        }
        for plugin in &self.plugins {
            scene.add_plugin(plugin);
        }
        scene.configure(&self.settings);
        scene
    }
}

/// A folder of one's own; goes away with everything in it, and fails the test when a process is left behind.
pub struct Scene {
    folder: TempDir,
}

impl Scene {
    /// Starts describing a scene that offers these plugins (`"formats"` is `libformats.so`).
    pub fn with(plugins: &[&str]) -> SceneBuilder {
        SceneBuilder { plugins: plugins.iter().map(|&name| name.to_owned()).collect(), settings: BTreeMap::new() }
    }

    /// A path inside the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder in which programs run and tests write their pipelines.
    pub fn work(&self, name: &str) -> PathBuf {
        self.path("work").join(name)
    }

    /// The socket of this scene's daemon.
    pub fn socket(&self) -> PathBuf {
        self.path("dagd.sock")
    }

    /// The folder that the daemon finds beside its binary.
    pub fn plugin_folder(&self) -> PathBuf {
        self.path("bin/plugins")
    }

    /// Writes a file into the work folder and returns its path.
    #[track_caller]
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Reads a text file of the work folder.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        let path = self.work(name);
        fs::read_to_string(&path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
    }

    /// Offers one more plugin to daemons started from now on.
    #[track_caller]
    pub fn add_plugin(&self, name: &str) {
        let file = format!("lib{name}.so");
        link(&artifacts::product(&file), &self.plugin_folder().join(file));
    }

    /// A program of the scene (`dagd`, `ctl`), to run in the work folder with nothing of the caller's environment.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.path("bin").join(name));
        command
            .current_dir(self.path("work"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_CONFIG_HOME", self.path("home"));
        command
    }

    /// Runs `ctl` to its end; commands that talk to a service find this scene's socket.
    #[track_caller]
    pub fn ctl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome {
        command::run(&mut self.ctl_command(arguments))
    }

    /// Starts `ctl` and leaves it running.
    #[track_caller]
    pub fn start_ctl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        Running::start(&mut self.ctl_command(arguments))
    }

    /// The command that [`Scene::ctl`] runs, to be changed before it is.
    pub fn ctl_command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.program("ctl");
        command.env("DAGD_SOCKET", self.socket()).env("DAGD_CONFIG", self.path("dagd.toml")).args(arguments);
        command
    }

    /// Writes the pipeline and runs it with `ctl run`: a private daemon, nothing else needed.
    #[track_caller]
    pub fn run(&self, pipeline: &str) -> Outcome {
        let path = self.write("pipeline.toml", pipeline);
        self.run_file(&path, &[])
    }

    /// Runs a pipeline file with `ctl run` under this scene's configuration, and further arguments.
    #[track_caller]
    pub fn run_file(&self, pipeline: &Path, arguments: &[&str]) -> Outcome {
        let configuration = self.path("dagd.toml");
        let mut all =
            vec![OsStr::new("run"), pipeline.as_os_str(), OsStr::new("--daemon-config"), configuration.as_os_str()];
        all.extend(arguments.iter().map(OsStr::new));
        self.ctl(all)
    }

    /// Starts the service and waits until it answers.
    #[track_caller]
    pub fn start(&self) -> Daemon<'_> {
        Daemon::start(self)
    }

    /// Every living `dagd` process of this scene.
    pub fn processes(&self) -> Vec<Process> {
        processes::running(&self.path("bin/dagd"))
    }

    /// Panics when a process of the scene is still there after the patience for it.
    #[track_caller]
    pub fn expect_no_process(&self) {
        let gone = wait::within(wait::PATIENCE, || self.processes().is_empty().then_some(()));
        assert!(gone.is_some(), "left behind: {:#?}", self.processes());
    }

    /// Adds a key to the configuration of daemons started from now on, both as TOML writes them.
    #[track_caller]
    pub fn configure_more(&self, key: &str, value: &str) {
        let path = self.path("dagd.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}{key} = {value}\n")).unwrap();
    }

    fn configure(&self, settings: &BTreeMap<String, String>) {
        let mut all = BTreeMap::from([
            ("server.state_directory".to_owned(), format!("{:?}", self.path("state").join("dagd"))),
            ("workers.count".to_owned(), "2".to_owned()),
        ]);
        all.extend(settings.clone());
        let text: String = all.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        fs::write(self.path("dagd.toml"), text).unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.expect_no_process();
            return;
        }
        // A failed test may leave anything; these processes are this scene's own, so they are ours to end.
        for process in self.processes() {
            processes::kill_hard(process.pid);
        }
    }
}

fn link(from: &Path, to: &Path) {
    let linked = fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop));
    if let Err(problem) = linked {
        panic!("cannot place {} at {}: {problem}", from.display(), to.display());
    }
}
