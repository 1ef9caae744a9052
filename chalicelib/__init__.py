"""Resets and rotates the SIP credentials of office phones."""
