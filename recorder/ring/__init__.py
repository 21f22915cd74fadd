"""The ring: logged steps in a memory-mapped file, which the kernel keeps when the process dies."""
