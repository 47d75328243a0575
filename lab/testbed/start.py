"""Start of a program over a kernel link, until its output shows that it is ready."""

from lab.netns.requirements import KernelLinkError
from lab.programs.supervisor import ChildProgram, Supervisor

WITHIN_S = 20.0


def start_ready(supervisor: Supervisor, program: ChildProgram, sign: str) -> int:
    """Start a program, wait until its output contains ``sign``, and return its process id.

    Raises KernelLinkError with the program's output when it ends before, or is not ready in time.
    """
    pid = supervisor.start(program)
    log = supervisor.log_of(program.name)
    found = supervisor.wait_until(lambda: sign in log.read_text(errors="replace"), WITHIN_S)
    if found is not True:
        output = str(found) if found else f"not ready after {WITHIN_S:g} s: {log.read_text(errors='replace')}"
        raise KernelLinkError(f"{program.name} did not start: {output.strip()}")
    return pid
