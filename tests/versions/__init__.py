"""Neighbouring versions, both ways round: what an older agent, peer or collector says and understands.

``v0_1`` is the wire of 0.1, frozen: its own decoders (``wire``) and messages that its own encoders wrote
(``recorded``). Neither is ever edited. A release adds its own: ``python -m tests.versions.freeze``.
"""
