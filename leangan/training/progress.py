"""Progress of one training run: a bar on a terminal, one line now and then in a log or beside other jobs."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

from leangan.core.ranks import rank

LINE_SECONDS = 15.0


class Progress:
    """Shows images shown, rate and time left; `name` stands at the front of every line. Rank 0 speaks for all."""

    def __init__(self, name: str, total_nimg: int, start_nimg: int) -> None:
        self.name, self.total_nimg, self.start_nimg = name, total_nimg, start_nimg
        self.silent = rank() > 0
        self.started = self.last_line = time.monotonic()
        self.bar = None
        if sys.stderr.isatty() and not self.silent:
            self.bar = tqdm(
                total=total_nimg, initial=start_nimg, desc=name, unit="img", unit_scale=True, dynamic_ncols=True
            )

    def update(self, cur_nimg: int, note: str) -> None:
        """Report the position; `note` is a short text such as losses or p."""
        if self.silent:
            return
        if self.bar is not None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(cur_nimg - self.bar.n)
        elif time.monotonic() - self.last_line >= LINE_SECONDS or cur_nimg >= self.total_nimg:
            self.last_line = time.monotonic()
            rate = (cur_nimg - self.start_nimg) / max(self.last_line - self.started, 1e-9)
            left = (self.total_nimg - cur_nimg) / max(rate, 1e-9)
            done = f"{cur_nimg / self.total_nimg:4.0%}  {cur_nimg / 1000:.1f}/{self.total_nimg / 1000:.1f} kimg"
            print(
                f"{self.name}: {done}  {rate:.0f} images/s  ETA {int(left) // 60}:{int(left) % 60:02d}  {note}",
                flush=True,
            )

    def close(self) -> None:
        """End the bar's line."""
        if self.bar is not None:
            self.bar.close()
