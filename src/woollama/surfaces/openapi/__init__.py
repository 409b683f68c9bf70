"""`/openapi.json` and `/docs`: what the routes are, for programs and for people."""
