"""Links: large files in a second place without a copy, and links that leave a model folder."""

import errno
import logging
import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from montessori.errors import MontessoriError

LOG = logging.getLogger(__name__)
_REFUSED = (errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EPERM, errno.EMLINK)


#: A file of DVC's cache: a workspace of cache type symlink consists of links to such files.
_DVC_CACHE = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}")


def refuse_leaving_links(folder: Path, files: Iterable[Path]) -> None:
    """Raise MontessoriError if one of `files` of a model folder is a link to a file outside of it.

    What a foreign folder links to would be copied into an artifact and pushed with it. Links into
    the cache of the hub, in which every file of a snapshot is one, and into DVC's are no harm.
    """
    home = folder.resolve()
    # huggingface_hub: models--NAME/snapshots/COMMIT/FILE -> ../../blobs/DIGEST
    blobs = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    blobs = blobs.resolve()  # a link where the files lie on another disk
    for file in files:
        if not file.is_symlink():
            continue
        target = file.resolve()
        inside = target.is_relative_to(home) or target.is_relative_to(blobs)
        if not inside and not _DVC_CACHE.search(target.as_posix()):
            raise MontessoriError(
                f"{file.relative_to(folder)} is a link that leaves the model folder: {target}",
                where=str(folder),
                expected="the model's own files, or links to files of the same folder",
                next=_advise_copy(target, file),
            )


def _advise_copy(target: Path, link: Path) -> str:
    """The link goes first: `cp` would copy into the folder that it leads to."""
    there, here = shlex.quote(str(target)), shlex.quote(str(link))
    copy = f"rm {here} && cp -rL {there} {here}"
    return f"if this is what you want: {copy}; or name the folder that holds them as path"


def link_files(files: Iterable[Path], out: Path) -> None:
    """Put `files` into folder `out`: as reflinks, else as hard links, else as copies.

    A reflink is a copy that shares its blocks. A hard link is the same file, so nothing may write
    into it; files in `out` are only ever replaced. DVC, which copies what it keeps, then puts its
    own file there.
    """
    for file in files:
        _link_file(file, out / file.name)


def _link_file(file: Path, target: Path) -> None:
    from dvc_objects.fs.system import hardlink, reflink

    for link in (reflink, hardlink):
        try:
            link(str(file), str(target))
            return
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
    shutil.copyfile(file, target)
