"""Build the C core: one stable-ABI extension for each folder of ``src/radgen/_native``.

Everything else about the build stands in ``pyproject.toml``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, CompileError, ExecError, PlatformError

NATIVE = Path("src/radgen/_native")

COMPILER_NEEDED = """
radgen builds a small C core and found no working C compiler.
  Debian/Ubuntu: sudo apt install build-essential
  Fedora:        sudo dnf install gcc
  macOS:         xcode-select --install
  Windows:       install the "Desktop development with C++" build tools
Then run the same pip command again. A prebuilt wheel needs no compiler.
"""


class BuildCore(build_ext):
    """Build the extensions; where no compiler works, say what to install."""

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except (CCompilerError, CompileError, ExecError, PlatformError) as error:
            raise SystemExit(f"{error}\n{COMPILER_NEEDED}") from error


def extensions() -> list[Extension]:
    """Return one extension for each folder of C sources."""
    windows = sys.platform == "win32"
    unix = ["-std=c11", "-O3", "-Wall", "-Wextra", "-fno-math-errno", "-fno-trapping-math"]
    folders = sorted({source.parent for source in NATIVE.glob("*/*.c")})
    return [
        Extension(
            f"radgen._native._{folder.name}",
            sources=sorted(source.as_posix() for source in folder.glob("*.c")),
            depends=sorted(header.as_posix() for header in folder.glob("*.h")),
            extra_compile_args=["/std:c11", "/O2"] if windows else unix,
            libraries=[] if windows else ["m"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
        )
        for folder in folders
    ]


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildCore},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
