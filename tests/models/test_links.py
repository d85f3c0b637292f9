"""Links in model folders: what leaves the folder is refused, what is no model's file stays behind.

What would break: a downloaded folder links `notes.txt` or `tokenizer.json` to a private file, which
is copied into data/models and pushed to everybody.
"""

import subprocess
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.models.links import refuse_leaving_links
from montessori.models.prepare import COPIED, READ
from montessori.models.weights import matching_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("private")
    (tmp_path / "model/adapter").mkdir(parents=True)
    return tmp_path / "model"


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "vocab.txt", "chat_template.jinja", "a.model", "adapter/a.json"]
)
def test_a_link_that_leaves_the_folder_is_refused(folder: Path, name: str):
    (folder / name).symlink_to(folder.parent / "secret")
    with pytest.raises(MontessoriError, match="a link that leaves the model folder") as error:
        refuse_leaving_links(folder, matching_files(folder, READ))
    assert "cp -rL" in error.value.next


def test_a_folder_of_adapters_that_is_a_link_is_refused(folder: Path):
    (folder / "adapter").rmdir()
    (folder / "adapter").symlink_to(folder.parent)
    with pytest.raises(MontessoriError, match="adapter is a link"):
        refuse_leaving_links(folder, matching_files(folder, READ))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_command_that_is_advised_does_it(folder: Path, tmp_path: Path, kind: str):
    there, link = tmp_path / "a b" / kind, folder / ("adapter" if kind == "folder" else "vocab.txt")
    (folder / "adapter").rmdir()
    (there if kind == "folder" else there.parent).mkdir(parents=True)
    (there / "x" if kind == "folder" else there).write_text("a")
    link.symlink_to(there)
    with pytest.raises(MontessoriError) as error:
        refuse_leaving_links(folder, [link])
    command = error.value.next.partition(": ")[2].partition("; or name")[0]
    subprocess.run(command, shell=True, check=True)
    refuse_leaving_links(folder, [link])
    assert (link / "x" if kind == "folder" else link).read_text() == "a"


def test_blobs_of_the_hubs_cache_may_lie_on_another_disk(tmp_path: Path):
    snapshot, disk = tmp_path / "models--a--b/snapshots/c0ffee", tmp_path / "disk"
    snapshot.mkdir(parents=True)
    disk.mkdir()
    (disk / "0123").write_text("{}")
    (tmp_path / "models--a--b/blobs").symlink_to(disk)
    (snapshot / "config.json").symlink_to("../../blobs/0123")
    refuse_leaving_links(snapshot, matching_files(snapshot, READ))


def test_links_within_the_folder_the_hubs_cache_and_dvcs_are_none(folder: Path, tmp_path: Path):
    (folder / "vocab.txt").write_text("a")
    (folder / "merges.txt").symlink_to("vocab.txt")
    cached = tmp_path / "cache/files/md5/ab/0123456789abcdef0123456789abcd"
    blob = tmp_path / "models--a--b/blobs/0123"
    snapshot = tmp_path / "models--a--b/snapshots/c0ffee"
    for path in (cached, blob, snapshot / "x"):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    (folder / "tokenizer.json").symlink_to(cached)
    (snapshot / "config.json").symlink_to("../../blobs/0123")
    for one in (folder, snapshot):
        refuse_leaving_links(one, matching_files(one, READ))


def test_only_files_of_tokenizers_are_copied(folder: Path):
    for name in ("notes.txt", "README.txt", "requirements.txt", "vocab.txt", "tokenizer.model"):
        (folder / name).write_text("a")
    copied = [path.name for path in matching_files(folder, COPIED)]
    assert copied == ["tokenizer.model", "vocab.txt"]
