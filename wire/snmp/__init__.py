"""wire.snmp."""
