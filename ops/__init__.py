"""What runs beside the service and is never shipped to Lambda."""
