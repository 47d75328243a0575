"""wire.messages."""
