"""Figures as plugins: each file defines `draw`, and its name goes into the `figures:` of an artefact.

An entry `{name: [methods]}` there draws these methods alone.

    def draw(artefact: Artefact, rows_dir: Path) -> Figure

`rows_dir` is results/<scale>/rows, with `<run>/train.jsonl` and `<run>/samples/`. `artefact.main_columns` and
`artefact.main_methods` are what there is to draw: at least one of each, though not every method has a run in every
column (`column.finished_runs(method)` may be empty). A figure that has something to show before any run has numbers,
such as published ones, says `WITHOUT_RUNS = True` and looks at `artefact.columns` and `artefact.methods`.
"""
