"""The baseline: D sees reals and fakes as they are."""

from __future__ import annotations

from leangan.plugins import method


class Method(method.Method):
    """Nothing is added to the backbone's own training."""

    title = "Baseline"
    paper = "arXiv:1912.04958 (StyleGAN2), arXiv:1809.11096 (BigGAN)"
    capturable = True
