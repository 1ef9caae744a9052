"""What people would use instead of this service, each as its own documentation recommends."""
