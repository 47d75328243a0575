"""Every decoder against bytes that nobody meant: any input ends in one of the outcomes that it declares.

``targets`` names the decoders with valid examples and what each may do, ``mutation`` makes inputs from the
examples, ``running`` runs one target for a while: ``make test`` for a moment each, ``make fuzz`` as you like.
"""
