"""What can go wrong while the embedded stack starts; each is one sentence for the terminal."""

from __future__ import annotations

import errno


class StackError(Exception):
    """The stack cannot start or go on; the message tells the person why and what to do."""


def os_sentence(problem: OSError) -> str:
    """One sentence for an operating-system error that stops the stack."""
    where = f" ({problem.filename})" if problem.filename else ""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full{where}. Free some space and start again."
    if problem.errno == errno.EROFS:
        return f"The disk is read-only{where}. Copy the project to a writable folder."
    if problem.errno in (errno.EACCES, errno.EPERM):
        return (
            f"This user may not write here{where}. Start as the user who owns the folder, "
            "or delete the .calqsync folder."
        )
    return f"{problem.strerror or problem}{where}."


def log_sentence(tail: str) -> str | None:
    """The known reason in the last lines of a server's log, if there is one."""
    lowered = tail.lower()
    if "no space left on device" in lowered or "disk quota" in lowered:
        return "The disk is full. Free some space and start again."
    if "address already in use" in lowered or "could not bind" in lowered:
        return "Its port was taken by another program meanwhile. Start again."
    if "permission denied" in lowered:
        return "A file cannot be read or written by the user that runs the server."
    return None
