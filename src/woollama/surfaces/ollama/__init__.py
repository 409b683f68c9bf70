"""Ollama's own API, `/api`: what its clients ask for, answered for every model that woollama knows."""
