"""setuptools' build_ext with memprof's one list of sources: every .c file of lib/.

The Makefile has the same rule. Not part of the installed package.
"""

from pathlib import Path

from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("include/memprof", "lib", "lib/os", "lib/py", "pymod/memprof")


def find(pattern: str) -> list[str]:
    paths = (path for folder in FOLDERS for path in (ROOT / folder).glob(pattern))
    return sorted(str(path.relative_to(ROOT)) for path in paths)


class BuildExt(build_ext):
    def finalize_options(self):
        (ext,) = self.distribution.ext_modules
        ext.sources = find("*.c")
        ext.depends = find("*.h")
        ext.include_dirs = ["include"]
        ext.define_macros = [("MEMPROF_VERSION", f'"{self.distribution.get_version()}"')]
        ext.extra_compile_args = ["-std=c11", "-O2", "-fvisibility=hidden", "-fno-plt", "-pthread"]
        super().finalize_options()
