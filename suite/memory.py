"""How processes on a CPU keep their memory (glibc; elsewhere the variable says nothing).

Large activation buffers must not go back to the kernel after each use, else page faults take much of the time: 30 to
60 % in feature extraction. Huge pages, where the kernel has them on "madvise", save most of those that are left.
glibc reads the variable when a process starts.
"""

from __future__ import annotations

KEEP_MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:glibc.malloc.hugetlb=1"
}
