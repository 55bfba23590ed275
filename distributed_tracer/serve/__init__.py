"""serve: a store in a browser. One process, no internet; pages are plain ES modules that need no build."""
