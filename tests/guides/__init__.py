"""Installation guides, followed to the letter in fresh Debian systems (``make test-docs``, as root).

Lives here: the program, its scratch machines, and the stand-in for systemd that runs in them.
May not live here: tests of ``make test``, which take seconds (``tests/deploy/test_install.py``).
Imported by: nobody.
"""
