"""Whose fault an error is: the method's, which is a result, or another's, after which the same command continues."""

from __future__ import annotations

from leangan.core.distributed import lost_ranks
from leangan.core.errors import ConfigError
from leangan.core.gpu_error import gpu_failed
from leangan.core.out_of_memory import out_of_memory


def of_the_method(error: Exception) -> bool:
    """Whether an error while training is one of the method or backbone, and not of the machine or the configuration."""
    if isinstance(error, ConfigError | OSError):
        return False
    return not (out_of_memory(error) or gpu_failed(error) or lost_ranks(error))
