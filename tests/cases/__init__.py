"""Inputs from the field that failed, each a test under its name (B01a, B05b ...): the input as it came."""
