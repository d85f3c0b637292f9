"""Links in model folders: what leaves the folder is refused, what is no model's file stays behind.

What would break: a downloaded folder links `notes.txt` or `tokenizer.json` to a private file, which
is copied into data/models and pushed to everybody.
"""

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
    assert "cp --remove-destination" in error.value.next


def test_a_folder_of_adapters_that_is_a_link_is_refused(folder: Path):
    (folder / "adapter").rmdir()
    (folder / "adapter").symlink_to(folder.parent)
    with pytest.raises(MontessoriError, match="adapter is a link"):
        refuse_leaving_links(folder, matching_files(folder, READ))


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
