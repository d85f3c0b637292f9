"""A stage takes only inputs that are what dvc.lock says they are.

What would break: after another's lock came by git, a stage is trained on the old files that are
still there; or damaged weights are used and recorded as good.
"""

import json
from pathlib import Path

import pytest

from montessori.artifacts.files import new_folder, read_digests
from montessori.errors import MontessoriError
from montessori.pipeline.inputs import find_disagreements, folder_md5, require_recorded_inputs
from tests.pipeline.test_stage import finish, start

ROOT = Path(__file__).parents[2]
LOCK = """stages:
  prefs@a:
    cmd: python -m stages.prefs --name a
    outs:
    - {{path: data/prefs/a, hash: md5, md5: {md5}}}
  teacher-dpo@a:
    deps:
    - {{path: data/prefs/a, hash: md5, md5: {dep}}}
    outs:
    - {{path: data/teachers/a, hash: md5, md5: 00000000000000000000000000000000.dir}}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """A folder with an artifact, and a lock that knows it."""
    monkeypatch.chdir(tmp_path)
    write_pairs("one two")
    write_lock()
    return tmp_path


def write_pairs(text: str) -> None:
    with new_folder(Path("data/prefs/a"), {}, libraries=()) as folder:
        (folder / "below").mkdir()
        (folder / "below" / "pairs.txt").write_text(text)


def write_lock() -> None:
    md5 = md5_of(Path("data/prefs/a"))
    Path("dvc.lock").write_text(LOCK.format(md5=md5, dep=md5))


def md5_of(folder: Path) -> str:
    return folder_md5({name: digest.md5 for name, digest in read_digests(folder).items()})


def refusal(stage: str = "teacher-dpo@a", path: str = "data/prefs/a") -> str:
    with pytest.raises(MontessoriError) as error:
        require_recorded_inputs([Path(path), Path("data/teachers/a")], stage)
    return str(error.value)


def test_the_md5_of_a_folder_is_dvcs():
    """By DVC's own code, on a folder of this repository."""
    from dvc.repo import Repo
    from dvc_data.hashfile.build import build

    folder = ROOT / "data" / "micro" / "prompts"
    with Repo(str(ROOT)) as repo:
        _, _, tree = build(repo.cache.local, str(folder), repo.dvcfs.repo.fs, "md5")
    assert md5_of(folder) == tree.hash_info.value


def test_inputs_as_recorded_pass(place: Path):
    paths = [Path("data/prefs/a"), Path("data/prefs/a/below/pairs.txt"), Path("params.yaml")]
    require_recorded_inputs(paths, "teacher-dpo@a")
    require_recorded_inputs([Path("data/teachers/a")], "teacher-dpo@a")  # its own, not there yet


def test_older_files_are_refused(place: Path):
    """The lock of another clone came by git, the files did not."""
    write_pairs("one two three")
    write_lock()
    write_pairs("one two")
    text = refusal()
    assert "data/prefs/a is not what prefs@a made" in text
    assert "dvc checkout --force --allow-missing data/prefs/a" in text
    assert refusal(path="data/prefs/a/below/pairs.txt") == text
    require_recorded_inputs([Path("data/prefs/a")], "prefs@a")  # what a stage replaces may be old


def test_a_flipped_byte_is_refused_with_the_object_that_holds_it(place: Path):
    """DVC trusts its cache: a checkout alone would bring the same file back."""
    md5 = md5_of(Path("data/prefs/a"))
    listing = place / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    listing.parent.mkdir(parents=True)
    entry = {"md5": "abcdef", "relpath": "below/pairs.txt"}
    listing.write_text(json.dumps([entry]))
    Path("data/prefs/a/below/pairs.txt").write_text("one twp")
    text = refusal()
    assert "data/prefs/a/below/pairs.txt is damaged" in text
    assert "rm -f .dvc/cache/files/md5/ab/cdef; rm -r data/prefs/a; dvc pull data/prefs/a" in text
    listing.unlink()
    assert "next: rm -r data/prefs/a; dvc pull" in refusal()


def test_a_file_that_is_gone_from_a_folder_is_damage(place: Path):
    Path("data/prefs/a/below/pairs.txt").unlink()
    assert "data/prefs/a/below/pairs.txt is damaged" in refusal()


def test_locks_of_older_versions_are_left_alone(place: Path):
    Path("dvc.lock").write_text(Path("dvc.lock").read_text().replace("hash: md5, ", ""))
    write_pairs("other")
    require_recorded_inputs([Path("data/prefs/a")], "teacher-dpo@a")


def test_a_lock_that_disagrees_with_itself_is_told(place: Path):
    assert find_disagreements(Path("dvc.lock")) == []
    Path("dvc.lock").write_text(LOCK.format(md5="1.dir", dep="2.dir"))
    assert find_disagreements(Path("dvc.lock")) == [
        "teacher-dpo@a was run on another data/prefs/a than prefs@a made"
    ]
    assert find_disagreements(Path("nowhere.lock")) == []


@pytest.mark.parametrize("by_dvc", [True, False])
def test_a_stage_looks_at_its_inputs_under_dvc(place: Path, monkeypatch, by_dvc: bool):
    lock = LOCK.format(md5=md5_of(Path("data/prefs/a")), dep="").replace("data/prefs/a", "in")
    Path("dvc.lock").write_text(lock)
    Path("data/prefs/a").rename("in")
    Path("in/below/pairs.txt").write_text("other")
    if by_dvc:
        monkeypatch.setenv("DVC_STAGE", "toy@mine")
    status, errors = finish(start(place, 'job.metrics({"made": 1})'))
    assert status == (2 if by_dvc else 0)
    assert ("in/below/pairs.txt is damaged" in errors) == by_dvc
    assert Path("m/mine.json").exists() != by_dvc
