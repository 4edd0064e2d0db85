"""kseg.cli"""
