"""dataset.json as people's programs write it: encodings, names, numbers."""

from __future__ import annotations

import json

import pytest

from leangan.data.contracts import DatasetError
from leangan.data.readers.labels import parse_labels

FILES = ["a/1.png", "b/2.png"]


def parsed(names: list[str], files: list[str] = FILES, numbers: tuple[int, ...] = (1, 0), **others) -> list[int]:
    content = json.dumps({"labels": list(map(list, zip(names, numbers, strict=True))), **others})
    return parse_labels(content.encode(), files, "dataset.json")[0].tolist()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_of_other_systems(encoding):
    content = json.dumps({"labels": [["\u00e9.png", 0]], "classes": ["\u732b"]}, ensure_ascii=False)
    labels, names = parse_labels(content.encode(encoding), ["\u00e9.png"], "dataset.json")
    assert (labels.tolist(), names) == ([0], ["\u732b"])


def test_another_encoding_is_named_with_the_remedy():
    content = '{"labels": [["\u00e9.png", 0]]}'.encode("cp1252")
    with pytest.raises(DatasetError, match="dataset.json: not valid JSON .*utf-8.* write it anew, in UTF-8"):
        parse_labels(content, ["\u00e9.png"], "dataset.json")


@pytest.mark.parametrize(
    "names",
    [
        ["a/1.png", "b/2.png"],
        ["a\\1.png", "b\\2.png"],
        ["./a/1.png", "./b/2.png"],
        [".\\a\\1.png", "b//2.png"],
        ["pets/a/1.png", "pets/b/2.png"],
        ["/home/me/pets/a/1.png", "/home/me/pets/b/2.png"],
        ["C:\\pets\\a\\1.png", "C:\\pets\\b\\2.png"],
    ],
)
def test_names_are_understood_where_they_can_mean_one_file_only(names):
    assert parsed(names) == [1, 0]
    assert parsed(names[::-1]) == [0, 1]


def test_names_may_lack_the_folder_that_all_images_share():
    assert parsed(["a/1.png", "b/2.png"], ["x/y/a/1.png", "x/y/b/2.png"]) == [1, 0]
    assert parsed(["y/a/1.png", "y/b/2.png"], ["x/y/a/1.png", "x/y/b/2.png"]) == [1, 0]


@pytest.mark.parametrize("names", [["1.png", "2.png"], ["c/1.png", "c/2.png"], ["A/1.png", "B/2.png"]])
def test_names_that_would_have_to_be_guessed_are_refused(names):
    with pytest.raises(DatasetError, match=f"labels {names[0]}, {names[1]}, which are not among the 2 images .a/1.png"):
        parsed(names)


def test_labels_of_another_split_are_not_taken_for_images_of_the_same_name():
    with pytest.raises(DatasetError, match="labels train/1.png, train/2.png, which are not among"):
        parsed(["train/1.png", "train/2.png"], ["test/1.png", "test/2.png"])


@pytest.mark.parametrize(("theirs", "ours"), [("e\u0301", "\u00e9"), ("\u00e9", "e\u0301")])
def test_accents_may_be_stored_in_either_way(theirs, ours):
    assert parsed([f"{theirs}/1.png", "b.png"], [f"{ours}/1.png", "b.png"]) == [1, 0]


def test_files_that_only_differ_by_how_accents_are_stored_keep_their_own_labels():
    assert parsed(["e\u0301.png", "\u00e9.png"], ["e\u0301.png", "\u00e9.png"]) == [1, 0]


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [((1, 2), "go up to 2, and no image has 0;"), ((0, 5), "go up to 5, and no image has 1, 2, 3 and 1")],
)
def test_numbers_of_no_image_are_refused_unless_classes_are_named(numbers, missing):
    with pytest.raises(DatasetError, match=f"dataset.json: labels {missing}.* number the classes from 0 without gaps"):
        parsed(FILES, numbers=numbers)
    assert parsed(FILES, numbers=numbers, classes=list("abcdef")) == list(numbers)


def test_the_first_names_and_the_count_of_what_does_not_fit():
    files = [f"{i}.png" for i in range(9)]
    with pytest.raises(DatasetError, match="4 labels for 9 images; 4.png, 5.png, 6.png and 2 more without one"):
        parsed(files[:4], files, numbers=(0, 1, 0, 1))
    with pytest.raises(DatasetError, match="labels 5.png, 6.png, 7.png and 1 more, which are not among the 5 images"):
        parsed(files, files[:5], numbers=(0,) * 9)


@pytest.mark.parametrize(("content", "there"), [(b"{}", "it is empty"), (b'{"Labels": []}', "it has 'Labels'")])
def test_labels_without_their_key_are_not_taken_for_none(content, there):
    with pytest.raises(DatasetError, match=f'lacks the key "labels" .{there}.; "labels": null says'):
        parse_labels(content, FILES, "dataset.json")


@pytest.mark.parametrize(
    "content", [b'{"labels": [], "labels": null}', b'{"classes": [], "labels": null, "classes": []}']
)
def test_a_key_that_is_given_twice(content):
    with pytest.raises(DatasetError, match="holds '(labels|classes)' 2 times"):
        parse_labels(content, FILES, "dataset.json")
