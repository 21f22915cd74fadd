"""What of the package is compiled, where a compiler is there; see recorder/hotpath.py."""

from setuptools import Extension, setup

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
            extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden"],
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
            extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden"],
            optional=True,
        ),
    ]

setup(ext_modules=extensions)
