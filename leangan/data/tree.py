"""The files below a folder as a user sees them: links are followed, what systems leave behind is passed over."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM = frozenset({
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir",
    "#recycle", "lost+found",
})  # fmt: skip
"""What macOS, Windows, network storage and file systems put among a user's files; in lower case."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no part of any set: it begins with a dot, or a system left it."""
    return name.startswith(".") or name.lower() in SYSTEM


@dataclass
class Tree:
    """What lies below a folder. Names are relative to it, with / between the parts, in no particular order."""

    files: dict[str, os.DirEntry] = field(default_factory=dict)

    folders: list[str] = field(default_factory=list)
    """Names that end with /, empty ones too."""

    hidden: list[str] = field(default_factory=list)
    """By `is_hidden`. Folders end with / and have not been looked into."""

    faults: dict[str, str] = field(default_factory=dict)
    """What cannot be read, with the reason and the remedy."""


def walk(top: Path) -> Tree:
    """List `top` and all folders below it, through links too.

    A folder that links reach a second time is a fault: followed again, it would double its images, or never end.
    """
    tree = Tree()
    real = os.path.realpath(top)
    reached = {real: "the set's own folder"}
    pending = [(os.fspath(top), "", real)]
    while pending:
        place, prefix, real = pending.pop()
        try:
            with os.scandir(place) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            tree.faults[prefix] = f"cannot be listed ({error.strerror}); allow it, or move the folder elsewhere"
            continue
        for entry in entries:
            name = prefix + entry.name
            try:
                if is_hidden(entry.name):
                    tree.hidden.append(f"{name}/" if entry.is_dir(follow_symlinks=False) else name)
                elif entry.is_file():
                    tree.files[name] = entry
                elif entry.is_dir():
                    target = os.path.realpath(entry.path) if entry.is_symlink() else f"{real}/{entry.name}"
                    if target in reached:
                        tree.faults[name] = f"is {reached[target]} once more; remove one of the links"
                        continue
                    reached[target] = f"{name}/"
                    tree.folders.append(f"{name}/")
                    pending.append((entry.path, f"{name}/", target))
                elif entry.is_symlink():
                    goal = os.readlink(entry.path)
                    what = "is neither a file nor a folder" if os.path.exists(entry.path) else "is not there"
                    tree.faults[name] = f"is a link to {goal}, which {what}; mend or remove the link"
            except OSError as error:  # links in a circle, or to where nobody may look
                tree.faults[name] = f"is a link that cannot be followed ({error.strerror}); mend or remove it"
    return tree
