"""Whose fault an error is: the method's, which is a result, or another's, after which the same command continues."""

from __future__ import annotations

from suite.errors import ConfigError
from training.distributed import lost_ranks
from training.gpu_error import gpu_failed
from training.memory import out_of_memory


def of_the_method(error: Exception) -> bool:
    """Whether an error while training is one of the method or backbone, and not of the machine or the configuration."""
    if isinstance(error, ConfigError | OSError):
        return False
    return not (out_of_memory(error) or gpu_failed(error) or lost_ranks(error))
