"""kseg.ops"""
