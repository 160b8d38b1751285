"""Whose fault an error is: the method's, which is a result, or another's, after which the same command continues."""

from __future__ import annotations

from leangan.core.distributed import is_lost_rank
from leangan.core.errors import ConfigError
from leangan.core.gpu_error import is_gpu_failure
from leangan.core.out_of_memory import is_out_of_memory


def is_plugin_fault(error: Exception) -> bool:
    """Whether an error while training is one of the method or backbone, and not of the machine or the configuration."""
    if isinstance(error, ConfigError | OSError):
        return False
    return not (is_out_of_memory(error) or is_gpu_failure(error) or is_lost_rank(error))
