"""The seeds as a revision of the git repository around them has them."""

import io
import subprocess
import tarfile
from pathlib import Path

_NAMES_SHOWN = 10


class RevisionError(ValueError):
    """There is no such revision, or it has no seeds; the message says why, without naming the revision."""


def write_revision(seeds_dir: Path, revision: str, folder: Path) -> Path:
    """Write the seed files of a git revision below a folder; nothing in the repository changes.

    Args:
        seeds_dir: the folder of the seeds in a working tree.
        revision: whatever git takes for a commit: a branch, a tag, `HEAD~1`, a hash.

    Returns:
        The folder that holds them. It is called like that of the seeds, since messages name it.

    Raises:
        RevisionError: git is not installed, or does not know the revision, or the revision has no such folder.
    """
    found = _git(seeds_dir, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.returncode:
        raise RevisionError(_said(found) or _known(seeds_dir))
    # Of a revision, git packs the folder in which it is called.
    packed = _git(seeds_dir, "archive", "--format=tar", found.stdout.decode().strip())
    if packed.returncode:
        raise RevisionError(f"it has no folder {seeds_dir.name}: {_said(packed)}")
    written = folder / seeds_dir.absolute().name
    written.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
        for member in files:
            # Not `extractall`: of whatever else a revision has there, nothing is needed.
            if member.isfile() and "/" not in member.name and member.name.endswith(".csv"):
                (written / member.name).write_bytes(files.extractfile(member).read())  # type: ignore[union-attr]  # it is a file
    return written


def _git(seeds_dir: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(seeds_dir), *arguments], capture_output=True, check=False)
    except OSError as error:
        raise RevisionError(f"git cannot be started: {error.strerror}") from error


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode(errors="replace").strip().partition("\n")[0].removeprefix("fatal: ")


def _known(seeds_dir: Path) -> str:
    refs = _git(seeds_dir, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes").stdout.decode().split()
    known = ", ".join(refs[:_NAMES_SHOWN]) + (f" and {len(refs) - _NAMES_SHOWN} more" if len(refs) > _NAMES_SHOWN else "")
    is_shallow = _git(seeds_dir, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
    return f"branches and tags: {known}" + ("; the clone is shallow, so fetch it first" if is_shallow else "")
