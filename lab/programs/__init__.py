"""Programs of the lab: started as children, watched, and ended together.

Lives here: the supervisor, the tether that ends orphans, free places on loopback, and where programs are
  installed.
May not live here: what a certain program needs (``lab.testbed``).
Imported by: every other room of the lab.
"""
