"""setuptools' build_ext with memprof's one rule for sources: every .c file of lib/ and pymod/core/,
of the systems in lib/os/ this one's only.

The Makefile has the same rule. Not part of the installed package.
"""

from pathlib import Path

from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("include", "lib", "pymod/core")
SYSTEM = "linux"


def is_of_this_system(path: Path) -> bool:
    return path.parent.parent != ROOT / "lib" / "os" or path.parent.name == SYSTEM


def find(pattern: str) -> list[str]:
    paths = (path for folder in FOLDERS for path in (ROOT / folder).rglob(pattern))
    return sorted(str(path.relative_to(ROOT)) for path in paths if is_of_this_system(path))


class BuildExt(build_ext):
    def finalize_options(self):
        (ext,) = self.distribution.ext_modules
        ext.sources = find("*.c")
        ext.depends = find("*.h")
        ext.include_dirs = ["include", "lib"]
        ext.define_macros = [("MEMPROF_VERSION", f'"{self.distribution.get_version()}"')]
        ext.extra_compile_args = ["-std=c11", "-O2", "-fvisibility=hidden", "-fno-plt", "-pthread"]
        super().finalize_options()
