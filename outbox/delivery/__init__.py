"""Delivery: what is sent when, and what a receipt means. Pure: no I/O, no clock, no asyncio.

Moments are seconds on a clock that never steps. Rows come from the journal and states go back to it as
values; the shell (``outbox.publisher``) moves them. Only ``outbox`` imports this room.

**Rows.** The journal stores four states. *In flight* and *apart* exist in memory only, so a restart turns
both into waiting, and the row is sent again.

    state      event                                        next state
    ---------  -------------------------------------------  -----------
    waiting    chosen for a batch                           in flight
    in flight  receipt line: committed, conflict, rejected  that state
    in flight  no receipt in time, publishing failed,       waiting
               or the ledger was full (storage)
    in flight  its batch was rejected whole: see below      waiting, apart or rejected
    apart      its turn comes                               in flight
    apart      the collector rejects everything, or the     rejected
               day's share is used up
    rejected   start of the program, and once a day         waiting
    committed, conflict: final

**Batches.** A batch is in flight under the SHA-256 of its payload. Without a receipt in time it is *late*:
its rows are free to be sent again, and a receipt that still comes counts. A receipt names records one by
one, or rejects the batch whole. Then the sender decodes its rows itself. Rows that its decoder refuses
become rejected, and the others wait again. Where it refuses none, ``verdict.VERDICTS`` decides by the
reason:

    reason                         one row    several rows
    -----------------------------  ---------  -----------------------
    storage                        waiting    waiting
    too-large                      rejected   apart, in two halves
    malformed, invalid             rejected   apart, each row alone
    any other (newer-schema, ...)  rejected   rejected

At most 100 rows a day are sent alone. Three rejected alone, with nothing accepted in between, mean that the
collector rejects everything: nothing is sent alone until it accepts something.

**Order.** New rows go first, at their own pace, and one of four places in flight is kept for them. Then
rows that are apart, then the backlog, newest first; both share one slower pace. Declared gaps ride along,
or go alone where there is nothing else. Silence of the collector slows everything but new rows.

**Never:** a change to a row that was not in the batch that the receipt names; a row in two batches in
flight; a row kept from others because its neighbour is bad; a state other than waiting by anything but a
receipt.
"""
