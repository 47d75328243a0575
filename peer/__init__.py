"""The measurement peer: the operator's far end, an RFC 9946 server and a STAMP session-reflector.

May live here: admission, sessions and the sockets that serve them. May not: a verdict on anybody's line.
"""
