"""Measurement peer: the operator's far end, an RFC 9946 server and a STAMP Session-Reflector (RFC 8762).

Lives here: both servers, admission, keys, and the record of the load tests served.
May not live here: protocol cores (``wire.udpstp``, ``wire.stamp``).
Imported by: ``lab`` and tests only.
"""
