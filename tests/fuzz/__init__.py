"""Fuzzing of every decoder: any input has to end in one of its declared outcomes.

``targets`` lists the decoders with valid examples and their outcomes. ``mutation`` makes inputs from the
examples. ``running`` runs one target for a while: briefly in ``make test``, as long as asked in ``make
fuzz``.
"""
