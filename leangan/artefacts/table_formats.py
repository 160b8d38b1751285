"""A table, and its print as Markdown and LaTeX (booktabs) with everything that came from outside escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
    "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "±": r"$\pm$", "×": r"$\times$", "³": r"$^3$",
    "–": "--", "−": "$-$", "∞": r"$_\infty$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "\n": " ",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One printed value. `note` is the number of its explanation, `bold`: the column's best ranked mean."""

    text: str
    note: str = ""
    bold: bool = False


@dataclass
class Table:
    """A table to print. `groups` are (heading, its columns' headings); `rows` are (method, cells).

    A row without cells is the heading of the rows below it. `blocks` counts the groups that stand side by side, the
    others below; all of them where it is empty.
    """

    caption: str
    groups: list[tuple[str, list[str]]]
    rows: list[tuple[str, list[Cell]]]
    notes: list[str] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)

    def note(self, text: str) -> str:
        """The number of a note, the same for the same text; no text has no note."""
        if text and text not in self.notes:
            self.notes.append(text)
        return str(self.notes.index(text) + 1) if text else ""

    def parts(self) -> Iterator[tuple[list[tuple[str, list[str]]], list[tuple[str, list[Cell]]]]]:
        """The groups and the rows of each block."""
        group = column = 0
        for count in self.blocks or [len(self.groups)]:
            groups = self.groups[group : group + count]
            width = sum(len(names) for _, names in groups)
            yield groups, [(method, cells[column : column + width]) for method, cells in self.rows]
            group, column = group + count, column + width


def latex_escape(text: str) -> str:
    """`text` as LaTeX prints it literally."""
    return "".join(TEX.get(character, character) for character in text)


def markdown_escape(text: str) -> str:
    """`text` as Markdown prints it literally inside a table cell."""
    text = re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", text.replace("\n", " "))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown(table: Table) -> str:
    """Pipe tables, one per block; Markdown has one heading line, so each heading repeats its group."""
    lines = []
    for groups, rows in table.parts():
        headings = ["Method", *(f"{group}: {name}" for group, names in groups for name in names)]
        lines += [
            markdown_line([markdown_escape(heading) for heading in headings]),
            markdown_line(["---", *["---:"] * (len(headings) - 1)]),
            *(_markdown_row(method, cells, len(headings) - 1) for method, cells in rows),
            "",
        ]
    lines += [
        *(f"Note {table.note(note)}: {markdown_escape(note)}  " for note in table.notes),
        "",
        markdown_escape(table.caption),
        "",
    ]
    return "\n".join(lines)


def _markdown_row(method: str, cells: list[Cell], count: int) -> str:
    if not cells:
        return markdown_line([f"*{markdown_escape(method)}*", *[""] * count])
    return markdown_line([markdown_escape(method), *map(_markdown_cell, cells)])


def markdown_line(cells: Iterable[str]) -> str:
    """A row of a pipe table."""
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell) -> str:
    text = f"**{markdown_escape(cell.text)}**" if cell.bold else markdown_escape(cell.text)
    return f"{text} (note {cell.note})" if cell.note else text


def latex(table: Table) -> str:
    r"""A table environment; a block wider than the text is scaled down to it. Its first line says what it needs."""
    lines = [
        r"% \usepackage{booktabs,graphicx}",
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{latex_escape(table.caption)}}}",
    ]
    for groups, rows in table.parts():
        lines += _latex_block(groups, rows)
    if table.notes:
        notes = " ".join(rf"\textsuperscript{{{table.note(note)}}}{latex_escape(note)}." for note in table.notes)
        lines.append(rf"\par\smallskip {notes}")
    return "\n".join([*lines, r"\end{table}", ""])


def _latex_block(groups: list[tuple[str, list[str]]], rows: list[tuple[str, list[Cell]]]) -> list[str]:
    titles, rules, start = [], [], 2
    for group, names in groups:
        titles.append(rf"\multicolumn{{{len(names)}}}{{c}}{{{latex_escape(group)}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + len(names) - 1}}}")
        start += len(names)
    headings = ["Method", *(latex_escape(name) for _, names in groups for name in names)]
    return [
        r"\par\medskip",
        r"\sbox0{%",
        rf"\begin{{tabular}}{{l{'r' * (start - 2)}}}",
        r"\toprule",
        " & ".join(["", *titles]) + r" \\",
        " ".join(rules),
        " & ".join(headings) + r" \\",
        r"\midrule",
        *(_latex_row(method, cells, start - 1) for method, cells in rows),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
    ]


def _latex_row(method: str, cells: list[Cell], count: int) -> str:
    if not cells:
        return rf"\addlinespace\multicolumn{{{count}}}{{l}}{{\textit{{{latex_escape(method)}}}}} \\"
    return " & ".join([latex_escape(method), *map(_latex_cell, cells)]) + r" \\"


def _latex_cell(cell: Cell) -> str:
    text = latex_escape(cell.text)
    text = rf"\textbf{{{text}}}" if cell.bold else text
    return rf"{text}\textsuperscript{{{cell.note}}}" if cell.note else text
