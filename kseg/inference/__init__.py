"""kseg.inference"""
