//! Images without a registry or a container engine: docker-archive files with one layer,
//! byte for byte the same for the same content.
use crate::kind::Kind;
use crate::place;
use crate::run::{Context, Failure, Result, command, make_dir, output};
use crate::tools::{Family, PAUSE};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The user that images run as.
pub const USER: u32 = 65532;

/// What belongs to glibc beside its `libc.so.6`.
const LIBC: [&str; 4] = ["libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1"];

/// Where a machine has its own libraries.
const SYSTEM: [&str; 3] = ["/lib", "/lib64", "/usr"];

/// What commands of pods are written with: a node behind a gate removes its socket before it starts.
const SHELL: [&str; 4] = ["/bin/sh", "/bin/rm", "/bin/cp", "/bin/chmod"];

/// What an owner's scripts need more: they put files in place, and wait.
const OWNERS: [&str; 2] = ["/bin/mv", "/bin/sleep"];

/// The content of an image: files by absolute path.
#[derive(Debug, Default)]
pub struct Image {
    files: BTreeMap<PathBuf, Vec<u8>>,
    entrypoint: String,
    user: String,
}

/// The name of the image that holds a pod's namespaces.
pub fn pause_name() -> Result<String> {
    Ok(format!("mainstay.test/pause:{}", PAUSE.version()?))
}

/// The name of the image of a chain's nodes.
pub fn chain_name(kind: Kind) -> Result<String> {
    Ok(format!("mainstay.test/{}:{}", kind.program(), Family::of(kind).version()?))
}

/// Writes the pause image into the cache, if it is not there.
pub fn pause() -> Result<PathBuf> {
    cached(PAUSE, &[], &pause_name()?, "65535:65535")
}

/// Writes the image of a chain's nodes into the cache, if it is not there.
pub fn chain(kind: Kind) -> Result<PathBuf> {
    cached(Family::of(kind), &SHELL, &chain_name(kind)?, &format!("{USER}:{USER}"))
}

/// Writes the same with one program more beside the node, as owners build it whose nodes a launcher starts. It is made each
/// time: nobody knows whether that program is still the same.
pub fn chain_beside(kind: Kind, other: &Path) -> Result<PathBuf> {
    let family = Family::of(kind);
    let folder = family.ensure()?;
    let tools = [&SHELL[..], &OWNERS[..]].concat();
    let mut image = Image::of(family, &folder, &tools, &format!("{USER}:{USER}"))?;
    let program = other.file_name().unwrap_or_default().to_string_lossy();
    image.add_linked(format!("/usr/bin/{program}"), other)?;
    let tar = archive(&folder, &format!("-{program}"))?;
    image.write(&format!("{}-{program}", chain_name(kind)?), &tar)?;
    Ok(tar)
}

fn cached(family: Family, tools: &[&str], name: &str, user: &str) -> Result<PathBuf> {
    let folder = family.ensure()?;
    let tar = archive(&folder, if tools.is_empty() { "" } else { "-shell" })?;
    if !tar.is_file() {
        Image::of(family, &folder, tools, user)?.write(name, &tar)?;
    }
    Ok(tar)
}

/// Where the archive with a family's program is kept.
fn archive(folder: &Path, what: &str) -> Result<PathBuf> {
    let stem = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(place::cache()?.join("images").join(format!("{stem}{what}.tar")))
}

/// Packs a dynamically linked program with every library it loads, and folders that it reads.
pub fn program(bin: &Path, with: &[Folder], name: &str, tar: &Path) -> Result<()> {
    let program = bin.file_name().unwrap_or_default().to_string_lossy();
    let entrypoint = format!("/usr/bin/{program}");
    let mut image = Image { entrypoint: entrypoint.clone(), user: format!("{USER}:{USER}"), ..Image::default() };
    image.add_linked(entrypoint, bin)?;
    let authorities = Path::new("/etc/ssl/certs/ca-certificates.crt");
    if authorities.is_file() {
        image.add(authorities, authorities)?;
    }
    for folder in with {
        image.add_folder(&folder.place, &folder.from)?;
    }
    image.accounts();
    image.write(name, tar)
}

/// The libraries that a program loads when it starts.
pub fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let closure = output(command("ldd", [program]).env("LC_ALL", "C"))?;
    let mut libraries = Vec::new();
    for entry in closure.lines().map(str::trim) {
        if entry.ends_with("not found") {
            return Err(format!("{}: {entry}: install that library first", program.display()).into());
        }
        // `name => /path (address)` or `/path (address)`; the kernel's own has no path.
        let path = entry.rsplit_once("=> ").map_or(entry, |(_, path)| path);
        let path = path.split(" (").next().unwrap_or_default();
        if path.starts_with('/') {
            libraries.push(path.into());
        }
    }
    Ok(libraries)
}

/// Whether a library is the machine's, and did not come with a program.
pub fn is_system(library: &Path) -> bool {
    SYSTEM.iter().any(|folder| library.starts_with(folder))
}

/// A folder of this machine, and where it is in an image.
#[derive(Clone, Debug)]
pub struct Folder {
    from: PathBuf,
    place: PathBuf,
}

impl FromStr for Folder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((from, place)) if place.starts_with('/') => Ok(Self { from: from.into(), place: place.into() }),
            _ => Err("write FOLDER:PLACE, as in node_modules:/node_modules".into()),
        }
    }
}

impl Image {
    /// A family's program, with tools beside it.
    fn of(family: Family, folder: &Path, tools: &[&str], user: &str) -> Result<Self> {
        let program = family.name;
        let (path, from) = (format!("/bin/{program}"), folder.join(program));
        let mut image = Self { entrypoint: path.clone(), user: user.into(), ..Self::default() };
        if family.is_linked() {
            image.add_linked(path, &from)?;
        } else {
            image.add(path, &from)?;
        }
        for tool in tools {
            image.add_linked(tool, Path::new(tool))?;
        }
        image.accounts();
        Ok(image)
    }

    fn add(&mut self, path: impl Into<PathBuf>, from: &Path) -> Result<()> {
        let content = fs::read(from).context(format_args!("reading {}", from.display()))?;
        self.files.insert(path.into(), content);
        Ok(())
    }

    /// A program with the libraries that it loads.
    fn add_linked(&mut self, path: impl Into<PathBuf>, from: &Path) -> Result<()> {
        let program = path.into();
        for library in libraries(from)? {
            // A library of the program's own is beside it here, too.
            let name = library.file_name().unwrap_or_default();
            let place = if is_system(&library) { library.clone() } else { program.with_file_name(name) };
            self.add(place, &library)?;
            // What it loads only when it runs may ask for the rest of the C library.
            for rest in LIBC.iter().filter(|_| library.ends_with("libc.so.6")) {
                let beside = library.with_file_name(rest);
                if beside.is_file() {
                    self.add(beside.clone(), &beside)?;
                }
            }
        }
        self.add(program, from)
    }

    /// Adds a folder's files. Links stay behind: they may lead out of it.
    fn add_folder(&mut self, path: &Path, from: &Path) -> Result<()> {
        let unreadable = || format!("reading {}", from.display());
        for entry in fs::read_dir(from).context(unreadable())? {
            let entry = entry.context(unreadable())?;
            let kind = entry.file_type().context(unreadable())?;
            let path = path.join(entry.file_name());
            if kind.is_dir() {
                self.add_folder(&path, &entry.path())?;
            } else if kind.is_file() {
                self.add(path, &entry.path())?;
            }
        }
        Ok(())
    }

    fn accounts(&mut self) {
        let passwd = format!("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/:/sbin/nologin\n");
        let group = format!("root:x:0:\nnonroot:x:{USER}:\n");
        self.files.insert("/etc/passwd".into(), passwd.into());
        self.files.insert("/etc/group".into(), group.into());
    }

    /// The image's one layer: folders first, then files, in the order of their names. A file goes from memory as soon as
    /// it is in the layer.
    fn layer(files: BTreeMap<PathBuf, Vec<u8>>) -> Result<Vec<u8>> {
        let mut folders: BTreeSet<PathBuf> = files
            .keys()
            .flat_map(|path| path.ancestors().skip(1))
            .filter(|path| *path != Path::new("/"))
            .map(Into::into)
            .collect();
        folders.insert("/tmp".into());
        let mut tar = Vec::new();
        for folder in &folders {
            let mode = if folder == Path::new("/tmp") { 0o1777 } else { 0o755 };
            entry(&mut tar, &format!("{}/", relative(folder)), mode, b'5', &[])?;
        }
        for (path, content) in files {
            // Programs and libraries alike: the loader asks for nothing less.
            let mode = if path.starts_with("/etc") { 0o644 } else { 0o755 };
            entry(&mut tar, &relative(&path), mode, b'0', &content)?;
        }
        finish(&mut tar)?;
        Ok(tar)
    }

    /// Writes the archive, replacing an older one when complete.
    fn write(self, name: &str, path: &Path) -> Result<()> {
        if !name.contains(':') || name.contains(char::is_whitespace) {
            return Err(Failure::refused(format!(
                "image name {name:?}: give it a tag, as in mainstay.test/app:dev"
            )));
        }
        let layer = Self::layer(self.files)?;
        let digest = hex(&layer);
        let architecture = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "amd64",
        };
        let config = json!({
            "architecture": architecture, "os": "linux", "created": "1970-01-01T00:00:00Z",
            "config": {"Entrypoint": [self.entrypoint], "User": self.user, "WorkingDir": "/",
                       "Env": ["PATH=/usr/bin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "cluster image"}],
        })
        .to_string();
        let config_file = format!("{}.json", hex(config.as_bytes()));
        let layer_file = format!("{digest}/layer.tar");
        let manifest = json!([{"Config": config_file, "RepoTags": [name], "Layers": [layer_file]}]).to_string();
        make_dir(path.parent().unwrap_or(Path::new(".")))?;
        let new = path.with_extension(format!("new{}", std::process::id()));
        let mut tar = fs::File::create(&new).context(format_args!("writing {}", new.display()))?;
        entry(&mut tar, &config_file, 0o644, b'0', config.as_bytes())?;
        entry(&mut tar, &format!("{digest}/"), 0o755, b'5', &[])?;
        entry(&mut tar, &layer_file, 0o644, b'0', &layer)?;
        entry(&mut tar, "manifest.json", 0o644, b'0', manifest.as_bytes())?;
        finish(&mut tar)?;
        fs::rename(&new, path).context(format_args!("replacing {}", path.display()))
    }
}

fn relative(path: &Path) -> String {
    path.to_string_lossy().trim_start_matches('/').to_owned()
}

fn hex(content: &[u8]) -> String {
    format!("{:x}", Sha256::digest(content))
}

/// One entry in the ustar format: owner root, time zero, so that only content matters.
fn entry(tar: &mut impl Write, name: &str, mode: u32, kind: u8, content: &[u8]) -> Result<()> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    let (prefix, rest) = split(name).ok_or_else(|| format!("{name}: that path is too long for the archive"))?;
    put(0, rest.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{:011o}", content.len()).as_bytes());
    put(136, b"00000000000");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(345, prefix.as_bytes());
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = vec![0; content.len().next_multiple_of(512) - content.len()];
    append(tar, &[&header, content, &padding])
}

/// A name as the two fields of a header take it: at most 155 characters of folders, and 100 of what follows.
fn split(name: &str) -> Option<(&str, &str)> {
    if name.len() <= 100 {
        return Some(("", name));
    }
    let at = name.len() - 101 + name[name.len() - 101..].find('/')?;
    (at <= 155 && at + 1 < name.len()).then_some((&name[..at], &name[at + 1..]))
}

/// Two empty blocks end an archive.
fn finish(tar: &mut impl Write) -> Result<()> {
    append(tar, &[&[0; 1024]])
}

fn append(tar: &mut impl Write, parts: &[&[u8]]) -> Result<()> {
    let written: io::Result<()> = parts.iter().try_for_each(|part| tar.write_all(part));
    written.context("writing an archive")
}
