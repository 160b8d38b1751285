"""Digests of code change with what the code does, and with nothing else."""

import textwrap

import pytest

from leangan.core.code import code_sha256

CODE = '''
"""Docstring."""

import math


class Method:
    """Another."""

    title = "Mine"
    p: float = 0.5

    def transform(self, x, *, role="real"):
        """A third."""
        text = f"{x:.2f} and {role!r}"
        return None if x is None else (math.pi * x, text)
'''


def digest(tmp_path, text: str) -> str:
    path = tmp_path / "method.py"
    path.write_text(textwrap.dedent(text))
    return code_sha256([path])


@pytest.mark.parametrize(
    "before, after",
    [
        ('"""Docstring."""', '"""Another text,\nin two lines."""'),
        ('"""A third."""', ""),
        ("import math", "import math  # for pi"),
        ("(math.pi * x, text)", "(\n            math.pi\n            * x,\n            text,\n        )"),
        ('role="real"', "role='real'"),
        ('title = "Mine"', 'title = "Yours"'),
        (
            'title = "Mine"',
            'title: str = "Yours"\n    paper = "arXiv:0000.00000"\n    quick = {"p": 1}\n    neutral = {}',
        ),
    ],
)
def test_comments_docstrings_layout_and_names_do_not_count(tmp_path, before, after):
    assert before in CODE
    # A function whose docstring was all it held keeps a body.
    assert digest(tmp_path, CODE.replace(before, after)) == digest(tmp_path, CODE)


@pytest.mark.parametrize(
    "before, after",
    [
        ("0.5", "0.50001"),
        ("0.5", "1"),
        ("math.pi * x", "x * math.pi"),
        ('role="real"', 'role="fake_d"'),
        ("{x:.2f}", "{x:.3f}"),
        ("return None if", "return 0 if"),
        ("import math", "import cmath as math"),
        ("class Method:", "class Method(object):"),
    ],
)
def test_everything_else_does(tmp_path, before, after):
    assert before in CODE
    assert digest(tmp_path, CODE.replace(before, after)) != digest(tmp_path, CODE)


PROJECT = """
from leangan.core.errors import ConfigError, unknown_name
from leangan.plugins import method


def f():
    from leangan.core.files import sha256

    return method, ConfigError, unknown_name, sha256
"""


@pytest.mark.parametrize(
    "before, after",
    [
        (
            "leangan.core.errors import ConfigError, unknown_name",
            "leangan.other.place import unknown_name, ConfigError",
        ),
        ("from leangan.core.errors import ConfigError, unknown_name\n", ""),
        ("from leangan.plugins import method\n", "from leangan.core.errors import ConfigError\n"),
    ],
)
def test_where_in_the_project_a_name_comes_from_does_not_count(tmp_path, before, after):
    """Moved together, split or joined: the same names, the same digest; other names, another."""
    assert before in PROJECT
    same = "place" in after
    assert (digest(tmp_path, PROJECT.replace(before, after)) == digest(tmp_path, PROJECT)) == same


def test_another_method_to_derive_from_is_another_code(tmp_path):
    """Every module of a method defines the name Method."""
    derived = "from leangan.augment.{} import Method as Base\n\n\nclass Method(Base):\n    pass\n"
    assert digest(tmp_path, derived.format("ada")) != digest(tmp_path, derived.format("da"))


def test_what_comes_from_elsewhere_counts_with_its_module(tmp_path):
    assert digest(tmp_path, "from math import sqrt as f\n") != digest(tmp_path, "from cmath import sqrt as f\n")
    assert digest(tmp_path, "from leangan.a import f\n") != digest(tmp_path, "from leangan.a import g as f\n")
    assert digest(tmp_path, "from leangans.a import f\n") != digest(tmp_path, "from leangans.b import f\n")


def test_one_and_one_point_zero_and_true_are_three_values(tmp_path):
    assert len({digest(tmp_path, f"a = {value}\n") for value in ("1", "1.0", "True", "'1'", "b'1'", "1j", "None")}) == 7


def test_files_count_in_their_order(tmp_path):
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text("a = 1\n")
    second.write_text("b = 2\n")
    assert len({code_sha256(files) for files in ([first], [second], [first, second], [second, first])}) == 4


def test_what_is_not_python_counts_by_its_bytes(tmp_path):
    assert digest(tmp_path, "def f(:\n") != digest(tmp_path, "def f(: \n")
