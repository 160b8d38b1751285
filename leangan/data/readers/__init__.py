"""Data sets in their original forms: one reader per file, each a `Source`.

Readers are found by file name. A new one needs no other change. It defines one or more of these, at top level:

- `FORM`, a form that any set may have, such as a ZIP, with how a path is recognised (`data.forms.Form`).
- `open_set(row, path)`, which gives the source of a known set whose `kind` in sources.csv is the file's name, or, of
  sets that come with the installation, whose `location` is. `path` is where the set lies, None for these.
- `ROWS`, known sets that need no line in sources.csv: a literal list of dicts with its columns. Empty columns may be
  omitted. Unless stated, `kind` is the file's name and `location` is resources/sources/<name>.

Packages of the extras are imported within functions, so that the other readers work without them. Files whose names
begin with _ are for readers to import.
"""
