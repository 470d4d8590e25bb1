//! The data directory, and how long its disk takes to keep something.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use headwater_log::{Disk, RealDisk};

use super::report::Finding;

/// Syncs that are timed, or as many as end in this time.
const SYNCS: usize = 200;
const SYNCS_TIME: Duration = Duration::from_secs(3);
/// What a journal writes at once, at least.
const BLOCK_BYTES: usize = 4_096;

/// Above these a sync is slow: each acknowledgement waits for one.
const SYNC_SLOW: Duration = Duration::from_millis(20);
const SYNC_TOO_SLOW: Duration = Duration::from_millis(200);
/// Below this part of the disk there is little room.
const FREE_LITTLE: f64 = 0.2;
/// What writes leave free: this part of the disk, and this much at most.
const RESERVE: f64 = 0.05;
const RESERVE_BYTES_MAX: f64 = (512 << 20) as f64;

/// Looks at the directory that records are kept in. It is not made, and nothing stays in it.
pub fn check(data_dir: &Path) -> Vec<Finding> {
    let Some(place) = existing(data_dir) else {
        let found = format!("{} has no parent that exists", data_dir.display());
        let advice = "give --data-dir a directory on a mounted disk";
        return vec![Finding::failed("data_dir", found, advice)];
    };
    let mut findings = vec![filesystem(data_dir, &place)];
    findings.push(match sync_times(&place) {
        Ok(times) => syncs(times),
        Err(error) => Finding::failed(
            "disk_sync",
            format!("{}: {error}", place.display()),
            "the user that the node runs as must own the directory, on a disk that takes writes",
        ),
    });
    findings.push(match RealDisk.space(&place) {
        Ok(space) => room(space.free, space.total),
        Err(error) => Finding::failed(
            "disk_space",
            format!("{}: {error}", place.display()),
            "the disk does not say how much room it has: check it",
        ),
    });
    findings
}

/// The directory itself, or what there is above it.
fn existing(data_dir: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(data_dir).ok()?;
    let mut places = absolute.ancestors();
    places.find(|place| place.is_dir()).map(Path::to_owned)
}

fn filesystem(data_dir: &Path, place: &Path) -> Finding {
    const CHECK: &str = "data_dir";
    let shown = data_dir.display();
    let absent = match data_dir.is_dir() {
        true => "",
        false => ", which the first start makes",
    };
    let kind = fs::read_to_string("/proc/self/mountinfo")
        .ok()
        .and_then(|mounts| filesystem_of(&mounts, &place.canonicalize().ok()?));
    let Some(kind) = kind else {
        return Finding::ok(CHECK, format!("{shown}{absent}"));
    };
    let found = format!("{shown}{absent}, on {kind}");
    match kind.as_str() {
        "tmpfs" | "ramfs" => Finding::failed(
            CHECK,
            found,
            "that is memory, which a restart of the machine empties: use a disk",
        ),
        "overlay" | "aufs" => Finding::warning(
            CHECK,
            found,
            "that goes with its container: mount a volume there",
        ),
        _ if ["nfs", "cifs", "smb", "fuse", "9p", "ceph"]
            .iter()
            .any(|far| kind.starts_with(far)) =>
        {
            Finding::warning(
                CHECK,
                found,
                "over a network a sync takes long, and may promise what it does not keep: use a disk \
                 of the machine or a block device",
            )
        }
        _ => Finding::ok(CHECK, found),
    }
}

/// The filesystem that a path is on, by what Linux tells of mounts.
fn filesystem_of(mountinfo: &str, path: &Path) -> Option<String> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        // Blanks and their like stand as octal numbers.
        let point = mount.split(' ').nth(4)?.replace("\\040", " ");
        let kind = kind.split(' ').next()?;
        path.starts_with(&point)
            .then(|| (point.len(), kind.to_owned()))
    });
    // Of those at the same place the last one is on top.
    mounts
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind)
}

/// How long syncs took of blocks at the end of a file, sorted.
fn sync_times(directory: &Path) -> io::Result<Vec<Duration>> {
    let path = directory.join(format!(".headwater-doctor-{}", std::process::id()));
    let timed = sync_times_of(&path);
    let removed = fs::remove_file(&path);
    let times = timed?;
    removed?;
    Ok(times)
}

fn sync_times_of(path: &Path) -> io::Result<Vec<Duration>> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut times = Vec::with_capacity(SYNCS);
    let began = Instant::now();
    while times.len() < SYNCS && (times.is_empty() || began.elapsed() < SYNCS_TIME) {
        let started = Instant::now();
        file.write_all(&[0x48; BLOCK_BYTES])?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn syncs(times: Vec<Duration>) -> Finding {
    const CHECK: &str = "disk_sync";
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let (middle, slow, slowest) = (at(0.5), at(0.99), at(1.0));
    let found = format!(
        "fdatasync takes {:.2} ms, 1 in 100 {:.2} ms, at most {:.2} ms",
        ms(middle),
        ms(slow),
        ms(slowest)
    );
    let finding = if middle > SYNC_TOO_SLOW {
        Finding::failed(
            CHECK,
            found,
            "each acknowledgement waits for one: use another disk",
        )
    } else if middle > SYNC_SLOW {
        Finding::warning(
            CHECK,
            found,
            "each acknowledgement waits for one: look at what else uses the disk, or use a faster one",
        )
    } else {
        Finding::ok(CHECK, found)
    };
    finding
        .with("syncs", times.len() as f64)
        .with("sync_p50_ms", ms(middle))
        .with("sync_p99_ms", ms(slow))
        .with("sync_max_ms", ms(slowest))
}

fn room(free_bytes: u64, total_bytes: u64) -> Finding {
    const CHECK: &str = "disk_space";
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let found = format!(
        "{:.1} GiB of {:.1} GiB are free",
        gib(free_bytes),
        gib(total_bytes)
    );
    let (free, total) = (free_bytes as f64, total_bytes as f64);
    let reserve = (total * RESERVE).min(RESERVE_BYTES_MAX);
    let finding = if free < 2.0 * reserve {
        Finding::failed(
            CHECK,
            found,
            "writes are refused, or will be soon: shorten local_retention_ms of large topics, or use a larger disk",
        )
    } else if free < total * FREE_LITTLE {
        Finding::warning(
            CHECK,
            found,
            "shorten local_retention_ms of large topics, or use a larger disk",
        )
    } else {
        Finding::ok(CHECK, found)
    };
    finding.with("free_bytes", free).with("total_bytes", total)
}

#[cfg(test)]
mod tests {
    use super::{super::report::Status, *};

    const MOUNTS: &str = "\
22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw
30 22 0:26 / /run rw,nosuid - tmpfs tmpfs rw
41 22 0:40 / /srv/two\\040words rw - nfs4 server:/x rw
42 22 254:2 / /srv rw - xfs /dev/vdb rw";

    #[test]
    fn a_path_is_on_the_innermost_filesystem() {
        let kind = |path: &str| filesystem_of(MOUNTS, Path::new(path)).unwrap();
        assert_eq!(kind("/var/lib"), "ext4");
        assert_eq!(kind("/run/headwater"), "tmpfs");
        assert_eq!(kind("/runway"), "ext4");
        assert_eq!(kind("/srv/data"), "xfs");
        assert_eq!(kind("/srv/two words/x"), "nfs4");
    }

    #[test]
    fn slow_syncs_and_full_disks_are_told() {
        let alike = |ms| vec![Duration::from_millis(ms); 100];
        assert_eq!(syncs(alike(1)).status, Status::Ok);
        assert_eq!(syncs(alike(50)).status, Status::Warning);
        assert_eq!(syncs(alike(500)).status, Status::Failed);
        assert_eq!(room(50 << 30, 100 << 30).status, Status::Ok);
        assert_eq!(room(10 << 30, 100 << 30).status, Status::Warning);
        assert_eq!(room(1 << 29, 100 << 30).status, Status::Failed);
    }

    #[test]
    fn nothing_stays_in_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("not/there/yet");
        let findings = check(&data_dir);
        let found = findings.iter().find(|one| one.check == "disk_sync");
        assert!(found.unwrap().figures["syncs"] >= 1.0);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
