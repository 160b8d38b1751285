"""GAN training with little data: methods, backbones, training, metrics, tables, figures and leaderboard.

    from leangan.augment.pipeline import Pipeline

The packages, each of which imports only those above it:

    core                     errors, files, processes, the spec of a run
    data                     sources, prepared data sets, training subsets
    plugins                  contracts of methods and backbones, their discovery and composition
    models, augment          the backbones and the methods: one file or folder each
    runs                     from the configuration to the runs that it asks for
    launching                how a job takes its GPUs and starts its processes
    training                 the training loop
    metrics                  from a snapshot to rows
    released                 the networks that the authors of papers published
    planning                 what a call will run and what that costs
    results                  rows of all runs as one table, and the published numbers
    artefacts                tables and figures of the papers
    leaderboard              the page
"""

from pathlib import Path

# In a checkout, models/ and augment/ are beside this folder, at the project's root; in an installed package, inside it.
if not Path(__path__[0], "models").is_dir():
    __path__.append(str(Path(__path__[0]).parent))
