"""Output paths of exports: files and folders written atomically, which replace only older exports."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from evals.errors import BadInput
from evals.io.folders.leftovers import hold, new_folder, partial_path, remove_left_folders, remove_leftovers


@contextmanager
def whole_folder(target: Path, *, force: bool, is_ours: Callable[[Path], bool]) -> Generator[Path]:
    """A folder that replaces `target` once it is complete; on an error nothing is left of it. Raises BadInput.

    A non-empty `target` is refused, or with `force` replaced if every file in it belongs to an export (`is_ours`, of
    the path relative to the folder).
    """
    target = target.absolute()
    _check(target, force=force, is_ours=is_ours)
    made, old = (partial_path(target, kind) for kind in ("part", "old"))
    remove_left_folders(target)
    missing = [parent for parent in target.parents if not parent.exists()]
    try:
        try:
            with new_folder(made):
                yield made
            _check(target, force=force, is_ours=is_ours)  # again, as writing may have taken long
            if target.exists():
                target.rename(old)
            try:
                made.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
        except OSError as error:
            raise BadInput(f"{target}: cannot be written: {error.strerror or error}") from None
        missing = []
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()


@contextmanager
def whole_file_path(target: Path, *, force: bool) -> Generator[Path]:
    """A path to write that replaces the file `target` at the end; an existing file needs `force`. Raises BadInput."""
    target = target.absolute()
    if target.is_dir():
        raise BadInput(f"{target} is a folder; name a file with -o")
    if target.exists() and not force:
        raise BadInput(f"{target} is there already; choose another -o, or replace it with --force")
    made = partial_path(target)
    remove_leftovers(target.parent)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made.unlink(missing_ok=True)
        with made.open("xb") as file:  # a new file: never through a link
            hold(file.fileno())
            yield made
        made.replace(target)
    except OSError as error:
        raise BadInput(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        made.unlink(missing_ok=True)


def _check(target: Path, *, force: bool, is_ours: Callable[[Path], bool]) -> None:
    if not target.exists():
        return
    if not target.is_dir() or target.is_symlink():
        raise BadInput(f"{target} is no folder; choose another -o")
    files = [path for path in target.rglob("*") if not path.is_dir()]
    if not files:
        return
    if not force:
        raise BadInput(f"{target} is there already; choose another -o, or replace it with --force")
    foreign = next((path for path in files if not is_ours(path.relative_to(target))), None)
    if foreign is not None:
        raise BadInput(f"{target} holds {foreign.name!r}, which no export wrote; choose another -o")
