"""What tests share: engines, phones and callers."""
