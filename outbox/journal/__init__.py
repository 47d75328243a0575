"""The journal: records in one SQLite file from their commit until the collector has them, and a week beyond.

Lives here: the tables (``schema``, ``store``, ``gaps``), opening the file and taking over what a damaged
one still has (``file``, ``salvage``), the small file beside it that says how far it came (``heartbeat``),
what is dropped when it is full (``space``), records while the disk fails (``memory``), and the thread that
all of it runs on (``thread``).

May not live here: what a record means, and what is sent when. The journal knows no probe: it compares
``outbox.rows.Filing`` and never reads a record.

The journal has two states. *On disk*, a commit is on the disk when it returns. *In memory*, the disk takes
nothing, and records wait in the same tables in memory.

    state      event                             next state
    ---------  --------------------------------  ---------------------------------------------------
    on disk    the disk fails                    in memory, in the same epoch
    on disk    the file is damaged               on disk, in a new epoch of a new file that takes over
                                                 what the damaged one still has
    on disk    the new file is damaged at once   in memory, in a new epoch
    in memory  the disk works again              on disk: what memory holds is written

Never: an identity for two contents; a loss of what a heartbeat on the disk names that is not a declared
gap; a wait for the disk on the event loop.
"""
