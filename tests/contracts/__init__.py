"""Suites that several implementations pass: test classes subclass them."""
