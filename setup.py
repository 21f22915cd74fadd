"""What of the package is compiled, where a compiler is there; see recorder/hotpath.py."""

from setuptools import Extension, setup

FLAGS = ["-std=c11", "-O2", "-fvisibility=hidden"]
NATIVE = "recorder/format/native"
PARTS = ("deflate", "huffman", "planes", "cells", "pool")

try:
    import numpy
except ImportError:  # built without isolation, and without NumPy: the Python path does it all
    extensions = []
else:
    extensions = [
        Extension(
            "recorder._hotpath",
            ["recorder/_hotpath.c"],
            include_dirs=[numpy.get_include()],
            extra_compile_args=FLAGS,
            optional=True,
        ),
        Extension(
            "recorder.format._unshuffle",
            ["recorder/format/_unshuffle.c"],
            extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden"],
            optional=True,
        ),
        Extension(
            "recorder._seal",
            ["recorder/_seal.c"],
            extra_compile_args=FLAGS,
            optional=True,
        ),
        Extension(
            "recorder.format._native",
            [f"{NATIVE}/{name}.c" for name in ("module", *PARTS)],
            depends=[f"{NATIVE}/{name}.h" for name in PARTS],
            include_dirs=[numpy.get_include()],
            extra_compile_args=[*FLAGS, "-O3", "-pthread"],
            extra_link_args=["-pthread"],
            optional=True,
        ),
    ]

setup(ext_modules=extensions)
