"""What strangers can send: whatever it is, the answer is one of the contract and no phone changes by accident."""
