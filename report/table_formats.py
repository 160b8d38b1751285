"""A table, and its print as Markdown and LaTeX (booktabs) with everything that came from outside escaped."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
    "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", "×": r"$\times$",
    "³": r"$^3$", "–": "--", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "\n": " ",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One printed value. `note` is the number of its explanation, `bold`: the column's best mean."""

    text: str
    note: str = ""
    bold: bool = False


@dataclass
class Table:
    """A table to print. `groups` are (heading, its columns' headings); `rows` are (method, cells).

    A row without cells is the heading of the rows below it.
    """

    caption: str
    groups: list[tuple[str, list[str]]]
    rows: list[tuple[str, list[Cell]]]
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> str:
        """The number of a note, the same for the same text; no text has no note."""
        if text and text not in self.notes:
            self.notes.append(text)
        return str(self.notes.index(text) + 1) if text else ""


def latex_escape(text: str) -> str:
    """`text` as LaTeX prints it literally."""
    return "".join(TEX.get(character, character) for character in text)


def markdown_escape(text: str) -> str:
    """`text` as Markdown prints it literally inside a table cell."""
    text = re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", text.replace("\n", " "))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown(table: Table) -> str:
    """A pipe table; Markdown has one heading line, so each heading repeats its group."""
    headings = ["Method", *(f"{group}: {name}" for group, names in table.groups for name in names)]
    lines = [
        _line([markdown_escape(heading) for heading in headings]),
        _line(["---", *["---:"] * (len(headings) - 1)]),
        *(_markdown_row(method, cells, len(headings) - 1) for method, cells in table.rows),
        "",
        *(f"Note {table.note(note)}: {markdown_escape(note)}  " for note in table.notes),
        "",
        markdown_escape(table.caption),
        "",
    ]
    return "\n".join(lines)


def _markdown_row(method: str, cells: list[Cell], count: int) -> str:
    if not cells:
        return _line([f"*{markdown_escape(method)}*", *[""] * count])
    return _line([markdown_escape(method), *map(_markdown_cell, cells)])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell) -> str:
    text = f"**{markdown_escape(cell.text)}**" if cell.bold else markdown_escape(cell.text)
    return f"{text} (note {cell.note})" if cell.note else text


def latex(table: Table) -> str:
    r"""A table environment for a document that loads the package booktabs and, with pdfTeX, T1 fonts."""
    count = sum(len(names) for _, names in table.groups)
    groups, rules, start = [], [], 2
    for group, names in table.groups:
        groups.append(rf"\multicolumn{{{len(names)}}}{{c}}{{{latex_escape(group)}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + len(names) - 1}}}")
        start += len(names)
    headings = ["Method", *(latex_escape(name) for _, names in table.groups for name in names)]
    notes = " ".join(rf"\textsuperscript{{{table.note(note)}}}{latex_escape(note)}." for note in table.notes)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_escape(table.caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * count}}}",
        r"\toprule",
        " & ".join(["", *groups]) + r" \\",
        " ".join(rules),
        " & ".join(headings) + r" \\",
        r"\midrule",
        *(_latex_row(method, cells, count + 1) for method, cells in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *([rf"\par\smallskip\footnotesize {notes}"] if notes else []),
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _latex_row(method: str, cells: list[Cell], count: int) -> str:
    if not cells:
        return rf"\addlinespace\multicolumn{{{count}}}{{l}}{{\textit{{{latex_escape(method)}}}}} \\"
    return " & ".join([latex_escape(method), *map(_latex_cell, cells)]) + r" \\"


def _latex_cell(cell: Cell) -> str:
    text = latex_escape(cell.text)
    text = rf"\textbf{{{text}}}" if cell.bold else text
    return rf"{text}\textsuperscript{{{cell.note}}}" if cell.note else text
