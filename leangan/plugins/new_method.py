"""Start a method: `make new-method NAME=mine`, or `leangan new-method mine`.

Writes augment/mine.py, a small method that already trains and passes the contract tests, for you to change.
"""

from __future__ import annotations

import keyword
import re

from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError
from leangan.core.files import write_atomic
from leangan.core.project import ROOT, check_checkout
from leangan.core.yaml_files import read
from leangan.plugins import registry

TEMPLATE = '''"""TITLE: what the method does, in one line, and where it comes from."""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.plugins import method
from leangan.plugins.method import Role


class Method(method.Method):
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
    check_checkout("leangan new-method")
    relative = f"augment/{name}.py"
    if name in registry.names("method") or name in read("config/methods.yaml") or (ROOT / "augment" / name).exists():
        raise ConfigError(f"the name {name!r} is taken, in augment/, config/methods.yaml or by a package: use another.")
    write_atomic(ROOT / relative, TEMPLATE.replace("TITLE", name.replace("_", " ").capitalize()))
    return relative


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "new-method",
        "Start a method of your own.",
        reads="Nothing.",
        writes="augment/<name>.py in the checkout: a small method that trains and passes the contract tests.",
    )
    parser.add_argument("name", help="lower-case letters, digits and _")
    path = new_method(parser.parse_args(argv).name)
    print(f"{path} is there and works. Change it, then follow docs/add-a-method.md.")
