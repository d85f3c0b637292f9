"""Large files in a second place without a second copy, where the file system can."""

import errno
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

LOG = logging.getLogger(__name__)
_REFUSED = (errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EPERM, errno.EMLINK)


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
