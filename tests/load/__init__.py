"""How many requests a second the service holds on one machine, and that it neither errs nor grows under them."""
