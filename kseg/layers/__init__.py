"""kseg.layers"""
