from pathlib import Path

import pytest

from sparta_sim.cache import build_once, cache_dir, content_key


def test_key_depends_on_every_part_and_on_where_parts_end() -> None:
    keys = [content_key(parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["ab", "d"], ["c", "ab"])]
    assert len(set(keys)) == len(keys)
    assert content_key(["ab", "c"]) == keys[0]


def test_cache_folder_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARTA_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("SPARTA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "sparta_hw"


def test_builds_once(tmp_path: Path) -> None:
    builds = []

    def build(folder: Path) -> Path:
        builds.append(folder)
        (folder / "out").write_text("made")
        return folder / "out"

    target = tmp_path / "cache" / "thing"
    assert build_once(target, build).read_text() == "made"
    assert build_once(target, build).read_text() == "made"
    assert len(builds) == 1
    assert list(target.parent.iterdir()) == [target]


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> Path:
        (folder / "out").write_text("half")
        raise RuntimeError("compiler crashed")

    target = tmp_path / "cache" / "thing"
    with pytest.raises(RuntimeError, match="compiler crashed"):
        build_once(target, build)
    assert list(target.parent.iterdir()) == []
