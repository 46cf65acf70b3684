"""The shipped manifest fits the data; a wrong one is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from autohair_video.errors import InputError
from autohair_video.training.credits import write_credits
from autohair_video.training.manifest import load_manifest

GOOD = '[[source]]\nname = "a"\nimages = "a/*.jpg"\nkind = "teachers"\nlicence = "CC0"\ncredit = "A"\n'


def test_every_shipped_source_has_files(shared: Path) -> None:
    for source in load_manifest():
        if source.kind != "rendered":
            files = source.files(shared / "data")
            assert files, source.name
            assert not source.excluded.keys() & {path.stem for path in files}
            assert len(files) <= (source.most or len(files))
    drawn = next(s for s in load_manifest() if s.kind == "drawn")
    assert all(drawn.beside(shared / "data", drawn.drawn, p.stem) for p in drawn.files(shared / "data"))
    assert len(drawn.stems_with_bystanders(shared / "data")) > 400


def test_held_out_pictures_are_one_in_so_many_by_the_number_that_ends_their_name(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(GOOD + "held_out_every = 10\nmost = 2\n")
    (source,) = load_manifest(path)
    held = [stem for stem in ("007", "010", "ann-120", "ann-121", "ann", "10-b") if source.is_held_out(stem)]
    assert held == ["010", "ann-120"]
    (tmp_path / "a").mkdir()
    for i in range(6):
        (tmp_path / f"a/{i}.jpg").touch()
    assert [p.stem for p in source.files(tmp_path)] == ["0", "3"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"holds no \[\[source\]\]"),
        ("[[source]\n", "not valid TOML"),
        (GOOD + "colour = 1\n", "source a: unknown key 'colour'"),
        (GOOD.replace('credit = "A"\n', ""), "source a: key 'credit' is missing"),
        (GOOD + 'share = "much"\n', "source a: share = 'much' has the wrong type"),
        (GOOD + "frames = 0\n", "source a: .*must be positive"),
        (GOOD.replace("teachers", "oracle"), "source a: unknown kind 'oracle'"),
        (GOOD.replace("teachers", "drawn"), "source a: kind 'drawn' needs"),
        (GOOD + GOOD, "same name"),
        ("source = 3\n", "wrong"),
    ],
)
def test_a_wrong_manifest_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        load_manifest(path)
    assert "\n" not in str(caught.value)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: the manifest cannot be read"):
        load_manifest(tmp_path / "none.toml")


def test_credits_name_each_listed_file_and_a_gap_is_an_error(tmp_path: Path) -> None:
    manifest, table = tmp_path / "own.toml", tmp_path / "a/sources.tsv"
    manifest.write_text(GOOD + 'credits = "a/sources.tsv"\n')
    table.parent.mkdir()
    table.write_text("file\tlicence\tauthor_or_url\n1.jpg\tCC BY 2.0\thttps://example.org/1\n9.jpg\tx\ty\n")
    (tmp_path / "a/1.jpg").touch()
    assert write_credits(tmp_path, load_manifest(manifest), tmp_path / "CREDITS.md") == 1
    text = (tmp_path / "CREDITS.md").read_text()
    assert "- 1.jpg: <https://example.org/1> (CC BY 2.0)" in text
    assert "9.jpg" not in text
    (tmp_path / "a/2.jpg").touch()
    with pytest.raises(InputError, match=r"sources\.tsv: lists no credit for 2\.jpg"):
        write_credits(tmp_path, load_manifest(manifest), tmp_path / "CREDITS.md")
    table.write_text("file\n1.jpg\n")
    with pytest.raises(InputError, match=r"sources\.tsv: has no column 'licence'"):
        write_credits(tmp_path, load_manifest(manifest), tmp_path / "CREDITS.md")
