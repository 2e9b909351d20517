"""The embedded stack: real servers, workers and a Procountor stand-in on one machine."""
