"""STAMP, the Simple Two-way Active Measurement Protocol (RFC 8762) with its extensions (RFC 8972).

May live here: packet and TLV formats, the Session-Sender and Session-Reflector cores, and what a train of
replies says of the line. Time comes in as integer nanoseconds since the Unix epoch.
May not: sockets, clocks, schedules, or what a program does with the result.
"""
