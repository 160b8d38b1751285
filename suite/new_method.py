"""Start a method: `make new-method NAME=mine`, or `python -m suite.new_method mine`.

Writes augment/mine.py, a small method that already trains and passes the contract tests, for you to change.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys

from suite import registry
from suite.config import ROOT, read
from suite.errors import ConfigError
from suite.files import write_atomic

TEMPLATE = '''"""TITLE: what the method does, in one line, and where it comes from."""

from __future__ import annotations

import torch
from torch import Tensor

from augment import base
from augment.base import Role


class Method(base.Method):
    """Mirrors each image that D sees with probability `p`. Replace by what yours does.

    Args:
        p: 0 changes nothing.
    """

    title = "TITLE"
    paper = "unpublished"

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def transform(self, x: Tensor, role: Role) -> Tensor:
        mirrored = torch.rand(len(x), 1, 1, 1, device=x.device) < self.p
        return torch.where(mirrored, x.flip(3), x)
'''


def new_method(name: str) -> str:
    """Write augment/<name>.py and return that path; ConfigError where the name is taken or no module's name."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"{name!r} cannot be a method's name: use lower-case letters, digits and _, beginning with a letter, "
            "as in make new-method NAME=my_method."
        )
    relative = f"augment/{name}.py"
    if name in registry.names("method") or name in read("config/methods.yaml") or (ROOT / relative).exists():
        raise ConfigError(f"the name {name!r} is taken, in augment/, config/methods.yaml or by a package: use another.")
    write_atomic(ROOT / relative, TEMPLATE.replace("TITLE", name.replace("_", " ").capitalize()))
    return relative


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Start a method of your own in augment/.")
    parser.add_argument("name")
    path = new_method(parser.parse_args(argv).name)
    print(f"{path} is there and works. Change it, then follow docs/add-a-method.md.")


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(f"error: {error}")
