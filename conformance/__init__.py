"""What the public surface promises, as recorded cases, and the means to hold any base URL against them."""
