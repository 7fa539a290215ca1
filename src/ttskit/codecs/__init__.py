"""Decoding, encoding, resampling, joining and loudness: numbers in, numbers out."""
