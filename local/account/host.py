"""What Lambda calls the interpreter and the processor that functions run on here."""

import platform
import sys


def python_runtime() -> str:
    """Lambda's name for the running interpreter, for example python3.13."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def architecture() -> str:
    """Lambda's name for this machine's processor: arm64 or x86_64."""
    return "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"
