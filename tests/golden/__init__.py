"""Recordings of earlier versions, which every later version must read."""
